"""How results show themselves: as text in a terminal, as HTML in a notebook."""

from base64 import b64encode
from html import escape

import pandas as pd

NUM_ROWS = 10
"""Chosen: rows of a table that are shown."""


def first_rows(frame: pd.DataFrame) -> str:
    """Return the first rows of a table as text, and how many more there are."""
    text = frame.head(NUM_ROWS).rename_axis(index=None).to_string(index=len(frame) > 1)
    return f"{text}\n... and {rest:,} more" if (rest := len(frame) - NUM_ROWS) > 0 else text


def html_page(summary: str, frame: pd.DataFrame, picture: bytes | None = None) -> str:
    """Return a result as HTML: what it is, a picture, the first rows of its table.

    Args:
        summary: lines of text.
        frame: the table.
        picture: as PNG; None for none.
    """
    parts = ["<br>".join(escape(line) for line in summary.split("\n"))]
    if picture is not None:
        parts.append(
            f'<img style="max-width: 100%" src="data:image/png;base64,{b64encode(picture).decode()}">'
        )
    parts.append(frame.head(NUM_ROWS).to_html(border=0))
    if (rest := len(frame) - NUM_ROWS) > 0:
        parts.append(f"... and {rest:,} more")
    return "\n".join(f"<div>{part}</div>" for part in parts)
