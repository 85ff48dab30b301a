"""How far rounding reaches: what is this close counts as equal."""

FLOAT32_EPSILON = 2.0**-23
"""Relative rounding of a trained weight: networks are trained and stored in float32."""

SUM_ROUNDING = 1e-12
"""Chosen: of a sum over thousands of shares, which are at most 1. What is this close to a threshold has
reached it, so that no rank and no p-value hangs on the last bit."""
