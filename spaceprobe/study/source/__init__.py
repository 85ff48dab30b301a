"""The version of the code that computes a stage."""
