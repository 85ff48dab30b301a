"""The two containers of torch.save, zip archive and legacy stream: one pickle, and bytes of storages.

Everything in them that a reader trusts is checked, so that no file can ask for more memory than its own
size, and so that what is read here is what torch would read.
"""

import io
import struct
import tarfile
import zipfile
from collections.abc import Collection, Mapping
from typing import BinaryIO, NamedTuple

import torch

from spaceprobe.weights.pickles import (
    MAX_PICKLE_BYTES,
    Global,
    Persistent,
    Pickle,
    RefusedError,
    read_pickle,
)
from spaceprobe.weights.quoting import quote, quote_error

ARCHIVE_START = b"PK\x03\x04"  # torch.save writes archives since 1.6, a stream of pickles before
FOLDER_MARK = 0x10  # of MS-DOS, in the external attributes
PLAIN_FLAGS = 0x08 | 0x800  # sizes repeated behind the data, name in UTF-8: what torch.save sets
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C  # torch.serialization.MAGIC_NUMBER
LEGACY_VERSION = 1001  # torch.serialization.PROTOCOL_VERSION


_DTYPES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
    "ComplexFloatStorage": torch.complex64,
    "ComplexDoubleStorage": torch.complex128,
    "QInt8Storage": torch.qint8,
    "QUInt8Storage": torch.quint8,
    "QInt32Storage": torch.qint32,
}
STORAGE_TYPES = {
    **{f"torch.{name}": dtype for name, dtype in _DTYPES.items()},
    "torch.storage.UntypedStorage": torch.uint8,  # counted in bytes; the tensor names its type
}


def damaged(detail: str) -> RefusedError:
    """Return the error for a file in which something is not as torch.save writes it."""
    return RefusedError(
        f"is damaged or was not written by torch.save ({detail}); get it again, or save it as safetensors"
    )


class Storage(NamedTuple):
    """The bytes behind tensors, as a pickle declares them."""

    key: str
    dtype: torch.dtype
    num_bytes: int


class Container(NamedTuple):
    """A file that torch.save wrote.

    Attributes:
        pickle: its one pickle of content.
        starts: where the bytes of each storage begin in the file, by its key.
    """

    pickle: Pickle
    starts: Mapping[str, int]


def read_container(file: BinaryIO, size: int, allowed: Collection[str]) -> Container:
    """Return the pickle of a file that torch.save wrote, whose storages are as large as it declares.

    Args:
        file: open for reading, seekable.
        size: its bytes.
        allowed: what the pickle may mention, see `read_pickle`.

    Raises:
        RefusedError: a size, a checksum or the layout is not what torch.save writes, or code is in it.
        OSError: the file cannot be read.
    """
    file.seek(0)
    is_archive = file.read(len(ARCHIVE_START)) == ARCHIVE_START
    return _read_archive(file, size, allowed) if is_archive else _read_legacy(file, size, allowed)


def declared_storage(persistent: Persistent) -> Storage:
    """Return the storage that a pickle declares.

    Raises:
        RefusedError: the declaration is not one that torch.save writes.
    """
    identity = persistent.id
    if not isinstance(identity, tuple) or len(identity) < 5 or identity[0] != "storage":
        raise damaged("a storage without a size")
    kind, key, _, count = identity[1:5]
    # A sixth entry is a view into another storage; torch has written None there since 0.4.
    if not isinstance(kind, Global) or kind.name not in STORAGE_TYPES or identity[5:] not in ((), (None,)):
        raise damaged("a storage of an unknown kind")
    if type(key) is not str or type(count) is not int or count < 0:
        raise damaged("a storage without a size")
    dtype = STORAGE_TYPES[kind.name]
    return Storage(key, dtype, count * dtype.itemsize)


def _read_archive(file: BinaryIO, size: int, allowed: Collection[str]) -> Container:
    try:
        _check_directory(file, size)
        with zipfile.ZipFile(file) as archive:
            sizes = _check_members(archive, size)
            pickle = read_pickle(io.BytesIO(archive.read(f"{_prefix(archive)}/data.pkl")), allowed)
            byte_order = archive.read(f"{_prefix(archive)}/byteorder") if "byteorder" in sizes else b"little"
            prefix = f"{_prefix(archive)}/data/"
            starts = {
                info.filename.removeprefix(prefix): _start(file, info)
                for info in archive.infolist()
                if info.filename.startswith(prefix)
            }
    except RefusedError:
        raise
    # zipfile raises BadZipFile for damage that it looks for, and the others for damage that it does not.
    except (
        zipfile.BadZipFile,
        RuntimeError,
        EOFError,
        ValueError,
        LookupError,
        OverflowError,
        struct.error,
    ) as error:
        raise damaged(quote_error(error)) from error
    if byte_order != b"little":
        raise RefusedError(
            "was saved on a machine that stores the highest byte first; save it as safetensors there"
        )
    for storage in map(declared_storage, pickle.persistents):
        if sizes.get(f"data/{storage.key}") != storage.num_bytes:
            raise _wrong_size(storage, sizes.get(f"data/{storage.key}"))
    return Container(pickle, starts)


def _start(file: BinaryIO, info: zipfile.ZipInfo) -> int:
    """Return where the bytes of a member begin: behind its header, its name and its extra field."""
    file.seek(info.header_offset)
    header = file.read(30)
    lengths: tuple[int, int] = struct.unpack_from("<2H", header, 26)  # of name and extra field
    return info.header_offset + 30 + sum(lengths)


def _check_directory(file: BinaryIO, size: int) -> None:
    """Refuse an archive in which torch and zipfile could find two different lists of members."""
    file.seek(max(0, size - 98))
    tail = file.read(98).rjust(98, b"\0")
    *_, num_bytes, start, _ = struct.unpack("<4s4H2LH", tail[-22:])
    end = size - 22
    if tail[-42:-38] == b"PK\x06\x07":
        end = size - 98
        num_bytes, start = struct.unpack_from("<QQ", tail, 40)
        if struct.unpack_from("<Q", tail, 64) != (end,) or not tail.startswith(b"PK\x06\x06"):
            raise damaged("zip64 directory at another place")
    if tail[-22:-18] != b"PK\x05\x06" or start + num_bytes != end:
        raise damaged("no zip directory at the end: cut off?")


def _check_members(archive: zipfile.ZipFile, size: int) -> dict[str, int]:
    """Return the bytes of each member by its name below the archive's own folder."""
    infos = archive.infolist()
    if not infos:
        raise damaged("an empty archive")
    prefix = f"{_prefix(archive)}/"
    if len({info.filename.lower() for info in infos}) < len(infos):  # torch does not tell case apart
        raise damaged("two members of one name")
    if any(info.filename == f"{prefix}constants.pkl" for info in infos):
        raise RefusedError(
            "is a TorchScript archive, which holds code, and spaceprobe runs none; "
            "save the plain state dict as safetensors where the file was made"
        )
    for info in infos:
        if not _is_plain(info) or not info.filename.startswith(prefix):
            name = quote(info.filename)
            raise damaged(f"member {name} is compressed, encrypted, elsewhere or not a file")
    if sum(info.file_size for info in infos) > size:
        raise damaged("members that overlap")
    broken = archive.testzip()
    if broken is not None:
        raise damaged(f"the CRC-32 of {quote(broken)} differs")
    sizes = {info.filename.removeprefix(prefix): info.file_size for info in infos}
    if sizes.get("data.pkl", MAX_PICKLE_BYTES + 1) > MAX_PICKLE_BYTES:
        raise damaged(f"no data.pkl of at most {MAX_PICKLE_BYTES} bytes")
    return sizes


def _is_plain(info: zipfile.ZipInfo) -> bool:
    """Return whether a member is a stored file whatever way its entry is read.

    torch does not read what is marked as a folder at all: it would return uninitialised memory.
    """
    is_stored = info.compress_type == zipfile.ZIP_STORED and info.compress_size == info.file_size
    is_folder = info.filename.endswith("/") or bool(info.external_attr & FOLDER_MARK)
    has_one_name = (
        info.filename == info.orig_filename
    )  # not a second one in an extra field, not a null character
    return is_stored and not is_folder and has_one_name and not info.flag_bits & ~PLAIN_FLAGS


def _prefix(archive: zipfile.ZipFile) -> str:
    return archive.infolist()[0].filename.split("/", 1)[0]


def _read_legacy(file: BinaryIO, size: int, allowed: Collection[str]) -> Container:
    file.seek(0)
    start = io.BytesIO(file.read(MAX_PICKLE_BYTES))  # five pickles come first, then the storages
    _refuse_tar(start.getvalue()[:512])
    if read_pickle(start, allowed).root != LEGACY_MAGIC:
        raise damaged("a pickle that is not torch's")
    if read_pickle(start, allowed).root != LEGACY_VERSION:
        raise damaged("an unknown version")
    read_pickle(start, allowed)  # sizes of numbers on the machine that wrote it, which torch ignores
    pickle = read_pickle(start, allowed)
    keys = read_pickle(start, allowed).root
    storages = {storage.key: storage for storage in map(declared_storage, pickle.persistents)}
    if any(storages[declared.key] != declared for declared in map(declared_storage, pickle.persistents)):
        raise damaged("a storage with two sizes")
    if not isinstance(keys, list) or any(type(key) is not str for key in keys):
        raise damaged("no list of storages")
    if sorted(keys) != sorted(storages):
        raise damaged("storages that are not the declared ones")
    file.seek(start.tell())
    starts = {key: _skip_storage(file, storages[key], size) for key in keys}
    return Container(pickle, starts)


def _refuse_tar(header: bytes) -> None:
    """Refuse torch's oldest format: torch would unpack it to the disk before it finds it unsafe."""
    try:
        tarfile.TarInfo.frombuf(header, "latin-1", "strict")
    except tarfile.HeaderError:
        return
    raise damaged("a tar archive")


def _skip_storage(file: BinaryIO, storage: Storage, size: int) -> int:
    """Move past a storage: its number in eight bytes, then its elements; return where these begin."""
    count = int.from_bytes(file.read(8), "little")
    start = file.tell()
    end = start + storage.num_bytes
    if count * storage.dtype.itemsize != storage.num_bytes or end > size:
        raise _wrong_size(storage, min(count * storage.dtype.itemsize, size - start))
    file.seek(end)
    return start


def _wrong_size(storage: Storage, num_bytes: int | None) -> RefusedError:
    actual = "is missing" if num_bytes is None else f"has {num_bytes} bytes"
    return damaged(f"storage {quote(storage.key)} {actual}, {storage.num_bytes} bytes are declared")
