"""What the terminal says of matrices and noise: values above its edge, and those that a few entries make."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from spaceprobe.stages.lmd.tables import PRODUCT_KINDS
from spaceprobe.tables.text import count
from spaceprobe.weights.quoting import quote_if_needed

MAX_NAMED = 5
"""Chosen: matrices with values that a few entries make, of which each gets a line; the table has all."""


def noise_sentences(tails: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield sentences on rows of lmd_tails of a file of weights; none where no row knows its spikes.

    Products of two factors are counted apart: that of two matrices of noise has few values, far from 0.
    """
    known = [row for row in tails if row.get("num_spikes") is not None]
    if not known:
        return
    products = [row for row in known if row["kind"] in PRODUCT_KINDS]
    stored = [row for row in known if row["kind"] not in PRODUCT_KINDS]
    counts = [
        f"{sum(row['num_spikes'] > 0 for row in rows)} of {len(rows)}{what}"
        for rows, what in (
            (stored, " stored" if products else ""),
            (products, " products, whose entries are not independent, so that noise gives such values too"),
        )
        if rows
    ]
    yield (
        f"matrices with singular values above the edge of noise with the variance of their entries: "
        f"{'; '.join(counts)} (num_spikes in lmd_tails.csv)"
    )
    by_entries = [row for row in known if row.get("num_entry_spikes")]
    for row in by_entries[:MAX_NAMED]:
        number, of, entries = row["num_entry_spikes"], row["num_spikes"], row["num_large_entries"]
        yield (
            f"{quote_if_needed(row['name'])}: {number} of {count(of, 'value')} above the edge "
            f"{'is' if number == 1 else 'are'} made by {entries} large entr{'y' if entries == 1 else 'ies'}, "
            f"the largest in row {row['largest_row']}, column {row['largest_column']}{_size(row)}"
        )
    if len(by_entries) > MAX_NAMED:
        yield f"the same holds of {len(by_entries) - MAX_NAMED} more (num_entry_spikes in lmd_tails.csv)"


def _size(row: Mapping[str, Any]) -> str:
    """Return how far the largest entry is, where that is known."""
    distance = row["largest_entry"]
    if distance is None:
        return ""
    return f", {distance:.3g} standard deviations from the mean, both without the large entries"
