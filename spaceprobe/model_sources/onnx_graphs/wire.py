"""What an ONNX file holds, counted before it is parsed: parsing makes objects of a hundred bytes of two.

A file is messages within messages, of fields with a number and a length (protobuf's wire format). Only the
messages on the way to nodes, attributes and tensors are looked into.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from spaceprobe.model_sources.onnx_graphs.refusal import OnnxRefusal

MAX_NODES = 20_000
"""Chosen: a large network of images has some thousand."""

MAX_TENSORS = 50_000
"""Chosen: constants of a file; every node may have two of its own, and shapes."""

MAX_FIELDS = 2_000_000
"""Chosen: fields that are looked at, a second or two."""

MAX_OTHER_BYTES = 64 << 20
"""Chosen: bytes beside the numbers of tensors: names, attributes, documentation."""

INSIDE: Mapping[str, Mapping[int, str]] = {
    "model": {7: "graph"},
    "graph": {1: "node", 5: "tensor"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor"},
    "tensor": {},
}
"""The kinds of messages that are looked into, by the number of their field (onnx.proto)."""

NUMBERS = {1, 4, 5, 7, 9, 10, 11}
"""The fields of a tensor that hold its sizes and its numbers, which take at most eight bytes a byte."""

EXTERNAL_DATA = 13
TRUNCATED = "is truncated, or is not an ONNX file; export it again"


@dataclass
class _Count:
    nodes: int = 0
    tensors: int = 0
    fields: int = 0
    other_bytes: int = 0
    graphs: int = field(default=0)


def check_counts(data: bytes) -> None:
    """Check how many nodes and tensors a file holds, and that its lengths add up.

    Raises:
        OnnxRefusal: it holds too many, no graph, or tensors that lie in other files, or it is truncated.
    """
    count = _Count()
    _scan(data, 0, len(data), "model", count)
    if count.graphs != 1:
        raise OnnxRefusal(
            "holds no graph of operators, or several, so it is not an ONNX model; export it again"
        )


def _scan(data: bytes, begin: int, end: int, kind: str, count: _Count) -> None:
    for number, start, stop in _fields(data, begin, end, count):
        inside = INSIDE[kind].get(number)
        if inside is not None:
            count.nodes += inside == "node"
            count.tensors += inside == "tensor"
            count.graphs += inside == "graph"
            for what, has, most in (
                ("nodes", count.nodes, MAX_NODES),
                ("constant tensors", count.tensors, MAX_TENSORS),
            ):
                if has > most:
                    raise OnnxRefusal(f"has more than {most:,} {what}, the most that are read")
            _scan(data, start, stop, inside, count)
        elif kind == "tensor" and number == EXTERNAL_DATA:
            raise OnnxRefusal(
                "keeps weights in another file, which is not read; export it in one file "
                "(torch.onnx.export(..., external_data=False), or onnx.save of what onnx.load read)"
            )
        elif not (kind == "tensor" and number in NUMBERS):
            count.other_bytes += stop - start
            if count.other_bytes > MAX_OTHER_BYTES:
                raise OnnxRefusal(
                    f"holds more than {MAX_OTHER_BYTES:,} bytes beside its weights, the most that are read"
                )


def _fields(data: bytes, at: int, end: int, count: _Count) -> Iterator[tuple[int, int, int]]:
    """Yield the number of each field of a message, where its content begins and where it ends."""
    while at < end:
        count.fields += 1
        if count.fields > MAX_FIELDS:
            raise OnnxRefusal(f"is made of more than {MAX_FIELDS:,} fields, the most that are read")
        tag, at = _whole_number(data, at, end)
        kind = tag & 7
        if kind == 0:
            start = at
            _, at = _whole_number(data, at, end)
        elif kind == 2:
            length, start = _whole_number(data, at, end)
            at = start + length
        elif kind in (1, 5):
            start, at = at, at + (8 if kind == 1 else 4)
        else:
            raise OnnxRefusal(TRUNCATED)
        if at > end or tag >> 3 == 0:
            raise OnnxRefusal(TRUNCATED)
        yield tag >> 3, start, at


def _whole_number(data: bytes, at: int, end: int) -> tuple[int, int]:
    """Return a number of seven bits a byte, the lowest first, and where it ends."""
    value = 0
    for place in range(10):
        if at >= end:
            raise OnnxRefusal(TRUNCATED)
        byte = data[at]
        at += 1
        value |= (byte & 127) << (7 * place)
        if byte < 128:
            return value, at
    raise OnnxRefusal(TRUNCATED)
