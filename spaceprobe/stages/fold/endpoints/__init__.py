"""The sources of endpoints: which paths are measured. A new one is a file here and a line below."""

from spaceprobe.stages.fold.endpoints.class_pairs import CLASS_PAIRS
from spaceprobe.stages.fold.endpoints.entry import EndpointsEntry

ENDPOINTS: dict[str, EndpointsEntry] = {
    entry.name: entry
    for entry in (
        CLASS_PAIRS,
    )
}  # fmt: skip
