"""FashionMNIST: articles of clothing."""

from spaceprobe.data.idx_files import IdxSet
from spaceprobe.data.idx_images import idx_entry

FILES = IdxSet("fashion-mnist", "FashionMNIST")
ENTRY = idx_entry(FILES)
