"""Arrays of stored parts are read as numpy reads them, each header once."""

import io

import numpy as np
import pytest

from spaceprobe.study.storage.part_files import _read_array


def saved(array):
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


ARRAYS = {
    "none": np.zeros(0),
    "no rows": np.zeros((0, 3), dtype=np.int64),
    "no columns": np.zeros((2, 0, 3), dtype=np.float32),
    "scalar": np.array(-0.0),
    "table": np.arange(6, dtype=np.int64).reshape(2, 3),
    "by columns": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "odd numbers": np.array([np.nan, np.inf, 5e-324]),
    "booleans": np.array([True, False]),
    "bytes": np.frombuffer(b"{}", dtype=np.uint8),
    "texts": np.array(["a", "χ d"]),
    "big-endian": np.arange(3, dtype=">i4"),
}


@pytest.mark.parametrize("array", ARRAYS.values(), ids=ARRAYS)
def test_an_array_is_read_as_numpy_reads_it(array):
    data = saved(array)
    expected = np.load(io.BytesIO(data), allow_pickle=False)
    for _ in range(2):  # the second time the header is known
        found = _read_array(data)
        assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
        assert found.tobytes() == expected.tobytes()
        found[...] = 0  # one's own, to change


def test_same_header_other_numbers():
    assert _read_array(saved(np.array([1, 2]))).tolist() == [1, 2]
    assert _read_array(saved(np.array([3, 4]))).tolist() == [3, 4]


def test_no_pickle_is_read():
    with pytest.raises(ValueError, match="Object arrays cannot be loaded"):
        _read_array(saved(np.array([{}], dtype=object)))


@pytest.mark.parametrize("data", [b"", b"{}", saved(np.arange(4))[:9], saved(np.arange(4))[:-1]])
def test_what_is_not_an_array_is_refused(data):
    with pytest.raises((ValueError, TypeError), match=r"magic|header|EOF|buffer is too small"):
        _read_array(data)
