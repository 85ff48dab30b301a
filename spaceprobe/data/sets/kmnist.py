"""KMNIST: cursive Japanese characters."""

from spaceprobe.data.idx_files import IdxSet
from spaceprobe.data.idx_images import idx_entry

FILES = IdxSet("kmnist", "KMNIST")
ENTRY = idx_entry(FILES)
