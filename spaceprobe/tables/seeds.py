"""Which settings only draw other random numbers: no question is asked about their values."""

SEEDS = ("seed", "initialization_seed", "order_seed", "points_seed", "images_seed")
"""Columns of such settings in runs.csv."""
