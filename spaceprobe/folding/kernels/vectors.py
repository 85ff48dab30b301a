"""SIMD vectors for numba: a value of type `Vector` is one LLVM vector, kept in registers.

A layer is walked a group of units at a time. Numba has no type for such a group, and its loops over
short arrays go through memory at every step. So the width of a group is carried by the type of a
*tag*, a tuple of that many zeros: ``load(tag, array, i)`` reads ``len(tag)`` neighbours. LLVM splits a
vector into the registers of the machine (32 doubles are four of AVX-512, eight of AVX2), so the code
is the same everywhere. Comparisons return the bits of a ``uint64``, one a lane, the first the lowest.

Memory is read through pointers: an array handed from function to function is counted up and down by
atomic instructions, which took three quarters of the time of a short walk. Nothing checks bounds, and
the caller of `pointer` keeps the array.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import signature
from numba.extending import intrinsic as numba_intrinsic
from numba.extending import models, register_model

intrinsic: Any = numba_intrinsic  # what it makes is called without its first argument

_ELEMENT = {types.float32: ir.FloatType(), types.float64: ir.DoubleType()}
_LLVM_NAME = {types.float32: "f32", types.float64: "f64"}
_INT32 = ir.IntType(32)
_INT64 = ir.IntType(64)


class Vector(types.Type):
    """``lanes`` floating-point numbers in registers."""

    def __init__(self, dtype: Any, lanes: int) -> None:
        self.dtype = dtype
        self.lanes = lanes
        super().__init__(name=f"Vector({dtype}, {lanes})")


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, vector: Vector) -> None:
        super().__init__(manager, vector, _llvm_type(vector))


def _llvm_type(vector: Vector) -> Any:
    return ir.VectorType(_ELEMENT[vector.dtype], vector.lanes)


def _vector_of(tag: Any) -> Vector:
    return Vector(tag.dtype, tag.count)


def _spread(builder: Any, scalar: Any, lanes: int) -> Any:
    undefined = ir.Constant(ir.VectorType(scalar.type, lanes), ir.Undefined)
    first = builder.insert_element(undefined, scalar, ir.Constant(_INT32, 0))
    zeros = ir.Constant(ir.VectorType(_INT32, lanes), [0] * lanes)
    return builder.shuffle_vector(first, undefined, zeros)


def _lanes_of(builder: Any, bits: Any, lanes: int) -> Any:
    narrow = bits if lanes == 64 else builder.trunc(bits, ir.IntType(lanes))
    return builder.bitcast(narrow, ir.VectorType(ir.IntType(1), lanes))


@intrinsic
def pointer(_: Any, array: Any) -> Any:
    """Where the data of a contiguous array is; it does not keep the array alive."""

    def build(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return context.make_array(sig.args[0])(context, builder, args[0]).data

    return signature(types.CPointer(array.dtype), array), build


@intrinsic
def shift(_: Any, start: Any, count: Any) -> Any:
    """The pointer ``count`` elements further on."""

    def build(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.gep(args[0], [args[1]])

    return signature(start, start, types.intp), build


@intrinsic
def recast(_: Any, start: Any, like: Any) -> Any:
    """The same place, holding elements as the pointer ``like`` does."""

    def build(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.bitcast(args[0], args[1].type)

    return signature(like, start, like), build


@intrinsic
def load(_: Any, tag: Any, start: Any, index: Any) -> Any:
    """The vector at ``start[index]``."""
    vector = _vector_of(tag)

    def build(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        address = builder.gep(args[1], [args[2]])
        value = builder.load(builder.bitcast(address, _llvm_type(vector).as_pointer()))
        value.align = vector.dtype.bitwidth // 8
        return value

    return signature(vector, tag, start, types.intp), build


@intrinsic
def store(_: Any, start: Any, index: Any, vector: Any) -> Any:
    """Write ``vector`` to ``start[index]`` and behind."""

    def build(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        address = builder.gep(args[0], [args[1]])
        written = builder.store(args[2], builder.bitcast(address, _llvm_type(vector).as_pointer()))
        written.align = vector.dtype.bitwidth // 8
        return context.get_dummy_value()

    return signature(types.none, start, types.intp, vector), build


@intrinsic
def spread(_: Any, tag: Any, scalar: Any) -> Any:
    """A vector with ``scalar`` in every lane."""
    vector = _vector_of(tag)

    def build(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _spread(builder, args[1], vector.lanes)

    return signature(vector, tag, tag.dtype), build


@intrinsic
def spread_at(_: Any, tag: Any, start: Any, index: Any) -> Any:
    """A vector with ``start[index]`` in every lane."""
    vector = _vector_of(tag)

    def build(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _spread(builder, builder.load(builder.gep(args[1], [args[2]])), vector.lanes)

    return signature(vector, tag, start, types.intp), build


@intrinsic
def multiply_add(_: Any, a: Any, b: Any, c: Any) -> Any:
    """``a * b + c``, fused where the machine can."""

    def build(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        llvm = _llvm_type(a)
        function = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(llvm, [llvm, llvm, llvm]),
            f"llvm.fmuladd.v{a.lanes}{_LLVM_NAME[a.dtype]}",
        )
        return builder.call(function, args)

    return signature(a, a, a, a), build


@intrinsic
def add(_: Any, a: Any, b: Any) -> Any:
    """``a + b``."""

    def build(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.fadd(args[0], args[1])

    return signature(a, a, a), build


@intrinsic
def subtract(_: Any, a: Any, b: Any) -> Any:
    """``a - b``."""

    def build(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.fsub(args[0], args[1])

    return signature(a, a, a), build


@intrinsic
def multiply(_: Any, a: Any, b: Any) -> Any:
    """``a * b``."""

    def build(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.fmul(args[0], args[1])

    return signature(a, a, a), build


@intrinsic
def greater(_: Any, a: Any, b: Any) -> Any:
    """One bit a lane: ``a > b``; 0 where either is NaN."""

    def build(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        lanes = builder.fcmp_ordered(">", args[0], args[1])
        bits = builder.bitcast(lanes, ir.IntType(a.lanes))
        return bits if a.lanes == 64 else builder.zext(bits, _INT64)

    return signature(types.uint64, a, a), build


@intrinsic
def choose(_: Any, bits: Any, a: Any, b: Any) -> Any:
    """The lanes of ``a`` whose bit is 1, and the others of ``b``."""

    def build(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.select(_lanes_of(builder, args[0], a.lanes), args[1], args[2])

    return signature(a, types.uint64, a, a), build


@intrinsic
def keep(_: Any, vector: Any, bits: Any) -> Any:
    """The lanes whose bit is 1; the others become 0."""

    def build(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        chosen = _lanes_of(builder, args[1], vector.lanes)
        return builder.select(chosen, args[0], ir.Constant(args[0].type, None))

    return signature(vector, vector, types.uint64), build


@intrinsic
def lowest(_: Any, bits: Any) -> Any:
    """Position of the lowest 1 of a ``uint64`` that is not 0."""

    def build(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return signature(types.intp, types.uint64), build


@intrinsic
def popcount(_: Any, bits: Any) -> Any:
    """Number of ones of a ``uint64``."""

    def build(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.ctpop(args[0])

    return signature(types.intp, types.uint64), build


@intrinsic
def prefetch(_: Any, start: Any, index: Any) -> Any:
    """Ask for the cache line of ``start[index]``."""

    def build(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        address = builder.bitcast(builder.gep(args[0], [args[1]]), ir.IntType(8).as_pointer())
        kind = ir.FunctionType(ir.VoidType(), [address.type, _INT32, _INT32, _INT32])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        builder.call(function, [address, *(ir.Constant(_INT32, n) for n in (0, 3, 1))])
        return context.get_dummy_value()

    return signature(types.none, start, types.intp), build
