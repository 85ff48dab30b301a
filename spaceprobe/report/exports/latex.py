"""Tables as LaTeX, with the rules of booktabs."""

import re
from collections.abc import Iterator, Sequence

from spaceprobe.report.exports.paper_table import EMPTY, PaperTable

PACKAGES = r"\usepackage{booktabs}"
"""What the preamble needs."""

_SPECIAL = {letter: f"\\{letter}" for letter in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
}
_MATHEMATICS = {
    "χ": r"\chi",
    "σ": r"\sigma",
    "Φ": r"\Phi",
    "ρ": r"\rho",
    "ε": r"\varepsilon",
    "β": r"\beta",
    "λ": r"\lambda",
    "√": r"\surd",
    "±": r"\pm",
    "≥": r"\ge",
    "≤": r"\le",
    "×": r"\times",
    "−": "-",
    "→": r"\to",
    "₀": "_0",
    "₁": "_1",
    "₂": "_2",
    "²": "^2",
}
_LETTERS = str.maketrans(_SPECIAL | {letter: f"${name}$" for letter, name in _MATHEMATICS.items()})
_PARAGRAPH = "\\par\n"
_MINUS = re.compile(r"(?<![\w.])-(?=\d)")


def latex(text: str) -> str:
    r"""Return a text as LaTeX prints it, in text mode, with minus signs before numbers.

    >>> latex("χ & 50 %"), latex("-0.5 [-1.0, 0.1]"), latex("2x30_b")
    ('$\\chi$ \\& 50 \\%', '$-$0.5 [$-$1.0, 0.1]', '2x30\\_b')
    """
    return _MINUS.sub("−", text.replace(EMPTY, "--")).translate(_LETTERS)


def latex_table(table: PaperTable) -> str:
    """Return a ``tabular`` of a table; notes are below it, in the size of footnotes."""
    return "\n".join(_lines(table)) + "\n"


def _lines(table: PaperTable) -> Iterator[str]:
    yield f"% {table.title}: spaceprobe, {table.origin}"
    yield f"% The preamble needs {PACKAGES}."
    yield rf"\begin{{tabular}}{{{''.join('r' if number else 'l' for number in table.numeric)}}}"
    yield r"\toprule"
    yield _row(table.heads)
    yield r"\midrule"
    for row, mark in zip(table.rows, table.marks, strict=True):
        first, *cells = map(latex, row)
        yield " & ".join([f"{first}$^{{{mark}}}$" if mark else first, *cells]) + r" \\"
    yield r"\bottomrule"
    yield r"\end{tabular}"
    notes = [f"$^{{{number}}}$ {latex(note)}" for number, note in enumerate(table.notes, start=1)]
    notes += map(latex, table.remarks)
    if notes:
        yield ""
        yield rf"{{\footnotesize {_PARAGRAPH.join(notes)}{_PARAGRAPH}}}"


def _row(cells: Sequence[str]) -> str:
    return " & ".join(map(latex, cells)) + r" \\"
