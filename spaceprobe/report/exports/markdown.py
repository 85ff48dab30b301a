"""Tables as Markdown, as GitHub shows them."""

from collections.abc import Iterator, Sequence

from spaceprobe.report.exports.paper_table import PaperTable

_SPECIAL = str.maketrans({letter: f"\\{letter}" for letter in "\\|*_`<"})


def markdown(text: str) -> str:
    r"""Return a text as Markdown prints it.

    >>> markdown("a|b_c")
    'a\\|b\\_c'
    """
    return text.translate(_SPECIAL)


def markdown_table(table: PaperTable) -> str:
    """Return a table, under its title, with its notes below it."""
    return "\n".join(_lines(table)) + "\n"


def _lines(table: PaperTable) -> Iterator[str]:
    yield f"<!-- spaceprobe, {table.origin} -->"
    yield ""
    yield f"**{markdown(table.title)}**"
    yield ""
    yield _row([markdown(head) for head in table.heads])
    yield _row(["---:" if number else "---" for number in table.numeric])
    for row, mark in zip(table.rows, table.marks, strict=True):
        first, *cells = map(markdown, row)
        yield _row([f"{first} <sup>{mark}</sup>" if mark else first, *cells])
    for number, note in enumerate(table.notes, start=1):
        yield ""
        yield f"<sup>{number}</sup> {markdown(note)}"
    for remark in table.remarks:
        yield ""
        yield markdown(remark)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
