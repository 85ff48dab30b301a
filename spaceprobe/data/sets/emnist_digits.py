"""EMNIST digits, through torchvision."""

from spaceprobe.data.emnist import emnist_entry

ENTRY = emnist_entry("digits")
