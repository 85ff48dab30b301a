"""FashionMNIST: articles of clothing."""

from spaceprobe.data.idx_files import IdxSet
from spaceprobe.data.idx_images import idx_entry

FILES = IdxSet("fashion-mnist", "FashionMNIST")

ENTRY = idx_entry(
    FILES,
    summary="articles of clothing: ten classes of 28 × 28 grey levels",
    module=__name__,
)
