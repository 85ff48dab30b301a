"""How Sphinx builds the site: `make docs`.

Nothing is fetched, neither while it is built nor by who reads it. So equations are written in Unicode, as in
the docstrings, and not for MathJax, which a browser would load from elsewhere.
"""

import re
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

import spaceprobe

project = "spaceprobe"
author = "The spaceprobe developers"
copyright = "2026, the spaceprobe developers"
release = version = spaceprobe.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_click",
    "notebooks",
    "settings",
    "tables",
]
exclude_patterns = ["_build", "_ext", "**.ipynb_checkpoints"]

myst_heading_anchors = 3  # a link to a section is the one that GitHub makes
myst_enable_extensions = ["colon_fence"]

highlight_language = "text"  # where a block names no other: outputs and commands
smartquotes = False  # S' and --out are meant as they are written

html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_title = "spaceprobe"
html_show_sourcelink = False

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
default_role = "code"
maximum_signature_line_length = 90

_QUOTED = re.compile(r"(``.*?``|`[^`]*`)", re.DOTALL)


def escape_docstring(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Escape the bars and stars of a docstring's formulas, such as |W|, for reStructuredText."""
    del app, what, name, obj, options
    parts = _QUOTED.split("\n".join(lines))
    parts[::2] = [re.sub(r"([|*])", r"\\\1", part) for part in parts[::2]]
    lines[:] = "".join(parts).split("\n")


def setup(app: Any) -> None:
    """Register `escape_docstring` to run before napoleon."""
    app.connect("autodoc-process-docstring", escape_docstring, priority=400)
