"""Notebooks as pages: their sentences and their code, without outputs, which they are stored without.

Read here, since an extension that runs notebooks would bring all of Jupyter.
"""

import json
from typing import Any

from docutils import nodes
from myst_parser.parsers.sphinx_ import MystParser


def as_markdown(notebook: str) -> str:
    """Return the cells of a notebook, given as JSON, as one Markdown text."""
    parts = []
    for cell in json.loads(notebook)["cells"]:
        text = "".join(cell["source"])
        parts.append(text if cell["cell_type"] == "markdown" else f"```python\n{text}\n```")
    return "\n\n".join(parts)


class NotebookParser(MystParser):
    """Parses a notebook as the page of Markdown that its cells are."""

    supported = ("notebook",)

    def parse(self, inputstring: str, document: nodes.document) -> None:
        """Fill the document of a page from the text of its file."""
        super().parse(as_markdown(inputstring), document)


def setup(app: Any) -> dict[str, bool]:
    """Register notebooks as sources of pages."""
    app.add_source_suffix(".ipynb", "notebook")
    app.add_source_parser(NotebookParser)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
