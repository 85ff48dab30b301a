"""EMNIST bymerge, through torchvision."""

from spaceprobe.data.emnist import emnist_entry

ENTRY = emnist_entry("bymerge")
