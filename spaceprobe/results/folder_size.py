"""What a folder occupies."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class FolderSize:
    """How much lies in a folder.

    Attributes:
        num_bytes: of all its files together.
        num_files: how many these are.
    """

    num_bytes: int
    num_files: int

    def __add__(self, other: "FolderSize") -> "FolderSize":
        """Return how much lies in two folders."""
        return FolderSize(self.num_bytes + other.num_bytes, self.num_files + other.num_files)

    def __str__(self) -> str:
        """Return it in words.

        >>> str(FolderSize(12_340_000, 412)), str(FolderSize(999, 1))
        ('12.3 MB in 412 files', '999 bytes in 1 file')
        """
        files = f"{self.num_files:,} file{'s' * (self.num_files != 1)}"
        return f"{bytes_in_words(self.num_bytes)} in {files}"


def bytes_in_words(num_bytes: int) -> str:
    """Return a number of bytes as a person reads it, by powers of 1,000.

    >>> bytes_in_words(1), bytes_in_words(12_340), bytes_in_words(5_000_000_000)
    ('1 byte', '12.3 kB', '5.0 GB')
    """
    if num_bytes < 1000:
        return f"{num_bytes} byte{'s' * (num_bytes != 1)}"
    value = float(num_bytes)
    for unit in ("kB", "MB", "GB"):
        value /= 1000
        if value < 999.95:
            return f"{value:.1f} {unit}"
    return f"{value / 1000:,.1f} TB"


def size_of(path: Path) -> FolderSize:
    """Return how much lies below a folder, or in a file; links count by themselves and are not followed."""
    sizes = [*_sizes(path)]
    return FolderSize(sum(sizes), len(sizes))


def _sizes(path: Path) -> Iterator[int]:
    try:
        if not path.is_dir() or path.is_symlink():
            yield path.lstat().st_size
            return
        entries = sorted(os.scandir(path), key=lambda entry: entry.name)
    except OSError:  # removed meanwhile, or not to be read
        return
    for entry in entries:
        yield from _sizes(Path(entry.path))
