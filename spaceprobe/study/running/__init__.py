"""Runs a study: what has to be done and why, where it is done, and what was done."""
