"""A rank rule: how many singular values exceed their mean."""

from spaceprobe.lmd.rank_rules import RankEstimate


def above_mean(spectrum):
    """Return how many singular values exceed their mean."""
    count = int((spectrum.values > spectrum.values.mean()).sum())
    return RankEstimate(float(count), count)
