"""The README and the pages of docs/, and what they quote: code, command lines, links, names."""

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *(path for path in sorted((ROOT / "docs").rglob("*.md")) if "_build" not in path.parts),
]


def page_name(path):
    """Return the page's path as it is written in the repository."""
    return str(path.relative_to(ROOT))


def blocks(path, language):
    """Return the code blocks of a language; an empty one for those without."""
    return re.findall(rf"^```{language}\n(.*?)^```", path.read_text(), re.DOTALL | re.MULTILINE)


def recipes():
    """Return the code of each section of docs/extending.md by the section's title."""
    _, *sections = re.split(r"^## ", (ROOT / "docs" / "extending.md").read_text(), flags=re.MULTILINE)
    code = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
    return {section.partition("\n")[0]: "\n".join(code.findall(section)) for section in sections}


def headings(path):
    """Return the titles of a page's sections."""
    return re.findall(
        r"^#+ (.+)$", re.sub(r"^```.*?^```", "", path.read_text(), flags=re.DOTALL | re.M), re.M
    )


def anchor(heading):
    """Return the anchor that GitHub and MyST give to a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def command_lines(path):
    """Return the words of every `spaceprobe …` that a page quotes, in a block or within a sentence."""
    text = path.read_text()
    quoted = re.findall(r"`(spaceprobe [^`]+)`", text)
    for block in [*blocks(path, ""), *blocks(path, "sh")]:
        block = block.replace("\\\n", " ")  # a line that goes on
        quoted += re.findall(r"^(?:\$ )?(spaceprobe .*)$", block, re.MULTILINE)
        quoted += re.findall(r"\$\((spaceprobe [^)]*)\)", block)
    return [shlex.split(line, comments=True)[1:] for line in quoted]


def targets(path):
    """Return the file and the anchor of every link and picture that stays in the repository."""
    links = re.findall(r"\]\(([^)\s]+)\)", path.read_text())
    return [link.partition("#")[::2] for link in links if not re.match(r"\w+://", link)]
