"""Vector registers for Numba kernels, of int8 or of float32, with the saturating arithmetic of decoders.

Numba leaves vectorising to LLVM, which keeps running minima over a list of edges in memory instead of in registers.
A `Vector` is an LLVM vector value: LLVM turns it into AVX-512, AVX2, SSE or NEON registers, whichever there are.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from llvmlite.binding import get_host_cpu_features
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

INNER = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True, "_nrt": False}
"""Options of a function that only compiled ones call: no entries from outside, no counting of references to arrays."""
_FEATURES = get_host_cpu_features()
_AVX2 = bool(_FEATURES.get("avx2")) and not _FEATURES.get("avx512bw")
# Two registers to a vector where they are of AVX2, SSE or NEON: a decoder's running values, each waiting for the one
# before, then come in two chains that a processor computes side by side, and still fit into 16 registers.
BYTES = 64 if _FEATURES.get("avx2") else 32


class Vector(types.Type):
    """Numba's type of a vector: `lanes` values of `element`."""

    def __init__(self, element: types.Type) -> None:
        self.element = element
        self.lanes = BYTES * 8 // element.bitwidth
        super().__init__(name=f"Vector({element} x {self.lanes})")


@register_model(Vector)
class _Model(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Vector) -> None:
        element = ir.FloatType() if isinstance(kind.element, types.Float) else ir.IntType(kind.element.bitwidth)
        super().__init__(manager, kind, ir.VectorType(element, kind.lanes))


def _element(context: Any, builder: Any, kind: Any, memory: Any, index: Any) -> Any:
    """The address of an element; an array stays a value: its way through memory, Numba's own, is slow to compile."""
    if isinstance(kind, types.Array):
        memory = builder.extract_value(memory, context.data_model_manager[kind].get_field_position("data"))
    return builder.gep(memory, [index])


def _pointer(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    """The address of element `args[1]` of `args[0]`, as a vector's."""
    vector = context.get_value_type(Vector(signature.args[0].dtype))
    return builder.bitcast(_element(context, builder, signature.args[0], *args[:2]), vector.as_pointer())


@intrinsic
def past(typing: Any, memory: Any, index: Any) -> Any:
    """The memory from element `index` of an array, to be kept, or of such memory on: one value, where that is seven."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _element(context, builder, signature.args[0], *args)

    return types.CPointer(memory.dtype)(memory, types.intp), build


@intrinsic
def integers(typing: Any, memory: Any) -> Any:
    """The same memory as integers that are as wide."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], context.get_value_type(signature.return_type))

    return types.CPointer(types.Integer.from_bitwidth(memory.dtype.bitwidth))(memory), build


@intrinsic
def width(typing: Any, memory: Any) -> Any:
    """How many elements a vector has: a constant."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return ir.Constant(ir.IntType(64), Vector(signature.args[0].dtype).lanes)

    return types.int64(memory), build


def _stay_rolled(builder: Any) -> None:
    builder.asm(ir.FunctionType(ir.VoidType(), []), "", "", [], side_effect=True)


@intrinsic
def rolled(typing: Any) -> Any:
    """Keep LLVM from unrolling the loop that this stands in, and from vectorising it; it is no instruction.

    A loop over vectors gains nothing by eight copies of itself, each of which is compiled.
    """

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _stay_rolled(builder)
        return context.get_dummy_value()

    return types.void(), build


@intrinsic
def load(typing: Any, array: Any, index: Any) -> Any:
    """The vector that starts at element `index` of a flat array, which need not be aligned."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load(_pointer(context, builder, signature, args), align=1)

    return Vector(array.dtype)(array, types.intp), build


@intrinsic
def store(typing: Any, array: Any, index: Any, value: Any) -> Any:
    """Write a vector to a flat array from element `index` on."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store(args[2], _pointer(context, builder, signature, args), align=1)
        return context.get_dummy_value()

    return types.void(array, types.intp, value), build


@intrinsic
def copy(typing: Any, memory: Any, to: Any, count: Any) -> Any:
    """Copy so many values, up to a whole vector, from the first on to element `to` and on."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        step = args[1].type(Vector(signature.args[0].dtype).lanes)
        with cgutils.for_range_slice(builder, step.type(0), args[2], step) as (i, _):
            _stay_rolled(builder)
            value = builder.load(_pointer(context, builder, signature, (args[0], i)), align=1)
            builder.store(value, _pointer(context, builder, signature, (args[0], builder.add(args[1], i))), align=1)
        return context.get_dummy_value()

    return types.void(memory, types.intp, types.intp), build


@intrinsic
def quantise(typing: Any, like: Any, values: Any, index: Any, steps: Any, limit: Any) -> Any:
    """A vector of the elements of `like` from as many float32 from `index` on: times `steps`, within ±`limit`.

    Integers are rounded to the nearest, to even ones where two are as near.
    """
    kind = Vector(like.dtype)

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        wide = ir.VectorType(ir.FloatType(), kind.lanes)
        at = builder.bitcast(_element(context, builder, signature.args[1], args[1], args[2]), wide.as_pointer())
        scale, most = (_spread(builder, args[i], kind.lanes) for i in (3, 4))
        value = _smaller(builder, builder.fmul(builder.load(at, align=1), scale), most)
        value = _larger(builder, value, builder.fneg(most))
        if isinstance(kind.element, types.Float):
            return value
        whole = builder.fptosi(_call(builder, "rint", (value,)), ir.VectorType(ir.IntType(32), kind.lanes))
        return builder.trunc(whole, context.get_value_type(kind))

    return kind(like, values, types.intp, types.float32, types.float32), build


@intrinsic
def signs(typing: Any, a: Any) -> Any:
    """The signs of a vector as the bits of an integer, the first lane's the lowest; 1 is negative."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        (value,) = args
        if isinstance(signature.args[0].element, types.Float):
            value = _sign_bits(builder, value)
        negative = builder.icmp_signed("<", value, ir.Constant(value.type, None))
        bits = builder.bitcast(negative, ir.IntType(negative.type.count))
        return bits if bits.type.width == 64 else builder.zext(bits, ir.IntType(64))

    return types.uint64(a), build


@intrinsic
def splat(typing: Any, array: Any, value: Any) -> Any:
    """`value` in every lane of a vector of the elements of `array`."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = signature.return_type
        scalar = context.cast(builder, args[1], signature.args[1], kind.element)
        return _spread(builder, scalar, kind.lanes)

    return Vector(array.dtype)(array, value), build


def _call(builder: Any, name: str, args: Any, *more: Any) -> Any:
    kind = args[0].type
    lanes = f"v{kind.count}{'f32' if kind.element == ir.FloatType() else f'i{kind.element.width}'}"
    function = ir.FunctionType(kind, [argument.type for argument in (*args, *more)])
    callee = cgutils.get_or_insert_function(builder.module, function, f"llvm.{name}.{lanes}")
    return builder.call(callee, [*args, *more])


def _binary(integer: Any, floating: Any) -> Any:
    """An intrinsic of two vectors from its builders for int8 and float32."""

    def typed(typing: Any, a: Any, b: Any) -> Any:
        def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return (floating if isinstance(signature.args[0].element, types.Float) else integer)(builder, *args)

        return a(a, b), build

    return intrinsic(typed)


def _smaller(builder: Any, a: Any, b: Any) -> Any:
    return builder.select(builder.fcmp_ordered("<", a, b), a, b)


def _larger(builder: Any, a: Any, b: Any) -> Any:
    return builder.select(builder.fcmp_ordered(">", a, b), a, b)


def _sign_bits(builder: Any, a: Any) -> Any:
    return builder.bitcast(a, ir.VectorType(ir.IntType(32), a.type.count))


def _bitwise(name: str) -> Any:
    def floating(builder: Any, x: Any, y: Any) -> Any:
        return builder.bitcast(getattr(builder, name)(_sign_bits(builder, x), _sign_bits(builder, y)), x.type)

    return _binary(lambda b, x, y: getattr(b, name)(x, y), floating)


def _by_register(builder: Any, name: str, a: Any, b: Any) -> Any:
    """An instruction of AVX2 on the bytes of vectors of two registers."""
    one = ir.VectorType(ir.IntType(8), 32)
    callee = cgutils.get_or_insert_function(builder.module, ir.FunctionType(one, [one, one]), name)
    lanes = [ir.Constant(ir.VectorType(ir.IntType(32), 32), list(range(i, i + 32))) for i in (0, 32)]
    low, high = (builder.call(callee, [builder.shuffle_vector(x, x, part) for x in (a, b)]) for part in lanes)
    return builder.shuffle_vector(low, high, ir.Constant(ir.VectorType(ir.IntType(32), 64), list(range(64))))


def _negate_int(builder: Any, a: Any, sign: Any) -> Any:
    if _AVX2 and a.type.element.width == 8:
        odd = builder.or_(sign, ir.Constant(sign.type, [1] * sign.type.count))  # the instruction makes 0 of a sign of 0
        return _by_register(builder, "llvm.x86.avx2.psign.b", a, odd)
    negative = builder.icmp_signed("<", sign, ir.Constant(sign.type, None))
    return builder.select(negative, builder.neg(a), a)


def _negate_float(builder: Any, a: Any, sign: Any) -> Any:
    bits = _sign_bits(builder, sign)
    mask = builder.and_(bits, ir.Constant(bits.type, [1 << 31] * bits.type.count))
    return builder.bitcast(builder.xor(_sign_bits(builder, a), mask), a.type)


add = _binary(lambda b, x, y: _call(b, "sadd.sat", (x, y)), lambda b, x, y: b.fadd(x, y))
"""Sum; of int8 saturated."""
sub = _binary(lambda b, x, y: _call(b, "ssub.sat", (x, y)), lambda b, x, y: b.fsub(x, y))
"""Difference; of int8 saturated."""
minimum = _binary(lambda b, x, y: _call(b, "umin", (x, y)), _smaller)
"""The smaller of each pair; neither is negative, or both are magnitudes."""
maximum = _binary(lambda b, x, y: _call(b, "umax", (x, y)), _larger)
"""The larger of each pair; likewise."""
xor = _bitwise("xor")
"""Bitwise exclusive or: the sign of the result is the product of the signs."""
either = _bitwise("or_")
"""Bitwise or: the result is negative where one of the two is."""
both = _bitwise("and_")
"""Bitwise and."""
negate_where = _binary(_negate_int, _negate_float)
"""The first, with its sign flipped where the second is negative (below zero, or a negative zero)."""


@intrinsic
def magnitude(typing: Any, a: Any) -> Any:
    """Absolute value; that of the least int8 or int16 is itself, which is the largest where no sign is meant."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        (value,) = args
        if isinstance(signature.args[0].element, types.Float):
            return _call(builder, "fabs", (value,))
        return _call(builder, "abs", (value,), ir.Constant(ir.IntType(1), 0))

    return a(a), build


@intrinsic
def pick(typing: Any, a: Any, b: Any, same: Any, other: Any) -> Any:
    """`same` in the lanes where a equals b, else `other`."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        compare = builder.fcmp_ordered if isinstance(signature.args[0].element, types.Float) else builder.icmp_signed
        return builder.select(compare("==", args[0], args[1]), args[2], args[3])

    return a(a, b, same, other), build


def _spread(builder: Any, scalar: Any, lanes: int) -> Any:
    vector = ir.Constant(ir.VectorType(scalar.type, lanes), ir.Undefined)
    first = builder.insert_element(vector, scalar, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(first, vector, ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes))


@intrinsic
def at(typing: Any, array: Any, index: Any) -> Any:
    """One element of a flat array or of memory, without Numba's check for a negative index."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load(_element(context, builder, signature.args[0], *args))

    return array.dtype(array, types.intp), build


@intrinsic
def put(typing: Any, array: Any, index: Any, value: Any) -> Any:
    """Set one element of a flat array, likewise."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place = _element(context, builder, signature.args[0], *args[:2])
        builder.store(context.get_value_as_data(builder, signature.args[2], args[2]), place)
        return context.get_dummy_value()

    return types.void(array, types.intp, array.dtype), build


@intrinsic
def doubt(typing: Any, like: Any, values: Any, index: Any) -> Any:
    """Whether one of as many float32 as a vector of the elements of `like` has is NaN, from `index` on: not 0 if so."""
    lanes = Vector(like.dtype).lanes

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        half = ir.VectorType(ir.FloatType(), lanes // 2)
        at = builder.bitcast(_element(context, builder, signature.args[1], args[1], args[2]), half.as_pointer())
        one = builder.load(at, align=1)
        other = builder.load(builder.gep(at, [ir.Constant(ir.IntType(32), 1)]), align=1)
        unordered = builder.fcmp_unordered("uno", one, other)  # two of them at a time
        bits = builder.bitcast(unordered, ir.IntType(lanes // 2))
        return builder.zext(bits, ir.IntType(64))

    return types.uint64(like, values, types.intp), build


def _over_zero(builder: Any, a: Any, b: Any) -> Any:
    """By how much the first exceeds the second, 0 where it does not; neither is negative."""
    if a.type.element == ir.FloatType():
        return _larger(builder, builder.fsub(a, b), ir.Constant(a.type, [0.0] * a.type.count))
    return _call(builder, "usub.sat", (a, b))


def _ramp(builder: Any, a: Any) -> Any:
    def constant(each: float | int) -> Any:
        return ir.Constant(a.type, [each] * a.type.count)

    if a.type.element == ir.FloatType():
        return _over_zero(builder, constant(0.5), builder.fmul(a, constant(0.25)))
    if _AVX2:  # looked up by the lowest four bits, 0 where the highest is set: from 16 on
        table = ir.Constant(a.type, ([2] * 4 + [1] * 4 + [0] * 8) * (a.type.count // 16))
        return _by_register(builder, "llvm.x86.avx2.pshuf.b", table, _call(builder, "uadd.sat", (a, constant(112))))
    return _over_zero(builder, constant(2), builder.lshr(a, constant(2)))


@intrinsic
def ramp(typing: Any, a: Any) -> Any:
    """max(0, 2 - a / 4) of a vector that is not negative, of int8 rounded up; of float32 max(0, 1/2 - a / 4)."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _ramp(builder, *args)

    return a(a), build


@intrinsic
def boxplus(typing: Any, a: Any, b: Any) -> Any:
    """Of two magnitudes, but for the term of their sum: the smaller less `ramp` of their difference, but at least 0."""

    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if isinstance(signature.args[0].element, types.Float):
            low, high = _smaller(builder, *args), _larger(builder, *args)
        else:
            low, high = _call(builder, "umin", args), _call(builder, "umax", args)
        return _over_zero(builder, low, _ramp(builder, _over_zero(builder, high, low)))

    return a(a, b), build


def _shift(shift: Any) -> Any:
    """An intrinsic of one vector of integers."""

    def typed(typing: Any, a: Any) -> Any:
        def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            kind = args[0].type
            return shift(builder, args[0], ir.Constant(kind, [1] * kind.count))

        return a(a), build

    return intrinsic(typed)


double = _shift(lambda b, x, one: b.shl(x, one))
"""Every integer shifted left by a bit."""
halve = _shift(lambda b, x, one: b.lshr(x, one))
"""Every integer shifted right by a bit, a 0 coming in."""
lowest = _shift(lambda b, x, one: b.and_(x, one))
"""The lowest bit of every integer."""
