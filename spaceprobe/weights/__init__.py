"""Weights of any network: files read without trusting them, and the matrices in them."""
