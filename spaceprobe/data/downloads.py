"""Downloads of IDX files from the addresses that torchvision knows, each checked by its MD5 sum."""

import gzip
import hashlib
from http.client import HTTPException
from urllib.request import urlopen

TIMEOUT_S = 30.0  # chosen: of one read, so that a dead mirror does not hold a study for ever
MAX_BYTES = 1 << 26  # chosen: the largest file has 26 MB


def download_file(torchvision_name: str, file_name: str) -> bytes:
    """Return the content of a raw IDX file, from the first mirror that gives what was published.

    torchvision's own downloader is not used: it leaves a part of the file where a download breaks off, takes
    that part for the file at the next start, and draws a progress bar even without a terminal.

    Args:
        torchvision_name: a class of ``torchvision.datasets`` that knows mirrors and MD5 sums.
        file_name: of the raw file, without ``.gz``.

    Raises:
        OSError: no mirror can be reached, or what came is not what was published.
        HTTPException: the last mirror breaks off.
    """
    # Here and not above: planning a study imports this file, and torchvision takes a second to import.
    import torchvision.datasets

    known = getattr(torchvision.datasets, torchvision_name)
    packed_name = f"{file_name}.gz"
    expected = dict(known.resources)[packed_name]
    failure: OSError | HTTPException = OSError("torchvision knows no mirror")
    for mirror in known.mirrors:
        url = f"{mirror}{packed_name}"
        try:
            with urlopen(url, timeout=TIMEOUT_S) as response:  # noqa: S310  # torchvision's own address
                packed = response.read(MAX_BYTES)
        except (OSError, HTTPException) as error:
            failure = error
            continue
        if hashlib.md5(packed, usedforsecurity=False).hexdigest() == expected:
            return gzip.decompress(packed)
        failure = OSError(f"{url} gave {len(packed)} bytes whose MD5 sum is not the published one")
    raise failure
