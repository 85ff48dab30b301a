"""The directive `spaceprobe-settings`: every setting of a study with its default, from its declaration."""

from collections.abc import Iterator
from typing import Any

import tables
from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from spaceprobe.stages import STAGES
from spaceprobe.study.config.sections import section_models


def settings() -> Iterator[tuple[str, str, str]]:
    """Yield dotted key, default and meaning of each setting."""
    for section, model in section_models(STAGES).items():
        for name, field in model.model_fields.items():
            yield f"{section}.{name}", _as_yaml(field.default), field.description or ""


def _as_yaml(value: Any) -> str:
    """Return a default as `spaceprobe validate` writes it; nothing for null."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return f"[{', '.join(map(str, value))}]" if isinstance(value, tuple) else str(value)


class SettingsDirective(SphinxDirective):
    """Renders the table of settings."""

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        return [tables.grid(("setting", "default", "meaning"), list(settings()))]


def setup(app: Any) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("spaceprobe-settings", SettingsDirective)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
