"""The ranks that a study gives to layers made of factors. Without torch."""

import re
from collections.abc import Sequence

from spaceprobe.networks.entry import NetworkOptions

BY_DIMENSION = "dimension"
"""Stands for the dimension of what enters each layer of the untrained network."""

FULL_RANK = "full"
"""Stands for as many directions as a layer has."""

MAX_RANK = 10_000


def parse_ranks(text: str) -> str:
    """Return ranks as written in a study: ``dimension``, ``full``, or a number for each weight matrix.

    Raises:
        ValueError: it is none of these.
    """
    if text in (BY_DIMENSION, FULL_RANK):
        return text
    words = text.split("-")
    if not all(re.fullmatch("[0-9]{1,5}", word) and 1 <= int(word) <= MAX_RANK for word in words):
        raise ValueError(
            f"expected {BY_DIMENSION}, {FULL_RANK}, or a number from 1 to {MAX_RANK} for each weight matrix, "
            f"such as 13-9-8; got {text!r}"
        )
    return "-".join(str(int(word)) for word in words)


def listed_ranks(options: NetworkOptions) -> list[int]:
    """Return the rank of each weight matrix, the readout included, as far as the settings alone tell.

    Where the data have to tell, and for ``full``, it is more than any layer has.
    """
    if options.ranks in (BY_DIMENSION, FULL_RANK):
        return [MAX_RANK] * (len(options.hidden_widths) + 1)
    return [int(word) for word in options.ranks.split("-")]


def check_ranks(options: NetworkOptions, input_shape: Sequence[int]) -> None:
    """Check that there is a rank for each weight matrix, and that no setting of them does nothing.

    Raises:
        ValueError: it is not so; the message begins with the setting's name.
    """
    del input_shape
    num_matrices = len(options.hidden_widths) + 1
    ranks = listed_ranks(options)
    if len(ranks) != num_matrices:
        raise ValueError(
            f"network.ranks: expected {num_matrices} numbers for network.architecture "
            f"{options.architecture}, one for each weight matrix with the readout, got {options.ranks}"
        )
    if options.rank_factor != 1 and options.ranks != BY_DIMENSION:
        raise ValueError(
            f"network.rank_factor: does nothing with ranks: {options.ranks}; leave it out, or set ranks: "
            f"{BY_DIMENSION}"
        )
