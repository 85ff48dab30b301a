"""What folding_null.csv is made of. Without pandas, for the declarations of tables."""

PLAIN = ("length", "chi", "null_chi")
"""The columns of paths.csv of which folding_null.csv has means."""

EXCESS = "excess"

MATCHED = ("matched_chi", "matched_null_chi", "matched_excess")
"""The same at the lengths that all networks of a seed have."""

NULL_RESPONSES = (*PLAIN, EXCESS, *MATCHED)
"""What is correlated with depth, width and swept numbers."""
