"""512 bits as one number: the words of bit-sliced kernels on the CPU.

A `Lanes` value is eight 64-bit words that live in one vector register (or in several, where registers are shorter; LLVM
splits the operations). In kernels it knows &, |, ^, ~, +, *, << and >>, word by word, also with a whole number on the
other side; a formula written with these works for lanes as it does for plain numbers. Loops over arrays would do in
principle, but whether LLVM vectorises loops of eight steps hangs on their surroundings; this says what is meant.
"""

import operator

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic, models, overload, register_model

WORDS = 8
BITS = 64 * WORDS

_word = ir.IntType(64)
_vector = ir.VectorType(_word, WORDS)
_halves = ir.VectorType(ir.IntType(32), 2 * WORDS)
_index = ir.IntType(32)


class Lanes(types.Type):
    """The Numba type of eight words."""

    def __init__(self) -> None:
        super().__init__("Lanes")


lanes = Lanes()


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, data_model_manager, numba_type) -> None:  # noqa: ANN001 - called by Numba
        super().__init__(data_model_manager, numba_type, _vector)


def _as_vector(context, builder, kind, value):  # noqa: ANN001, ANN202
    """The eight words of a Lanes value, or eight times a whole number."""
    if isinstance(kind, Lanes):
        return value
    number = context.cast(builder, value, kind, types.uint64)
    first = builder.insert_element(ir.Constant(_vector, ir.Undefined), number, ir.Constant(_index, 0))
    return builder.shuffle_vector(
        first, ir.Constant(_vector, ir.Undefined), ir.Constant(_halves_of(WORDS), [0] * WORDS)
    )


def _halves_of(n: int) -> ir.VectorType:
    return ir.VectorType(_index, n)


def _binary(python_operator, instruction: str) -> None:  # noqa: ANN001
    """Teach an operator to take lanes, or lanes and a whole number."""

    @intrinsic
    def of_lanes(typing_context, left, right):  # noqa: ANN001, ANN202
        def generate(context, builder, signature, arguments):  # noqa: ANN001, ANN202
            both = [_as_vector(context, builder, *pair) for pair in zip(signature.args, arguments, strict=True)]
            return getattr(builder, instruction)(*both)

        return lanes(left, right), generate

    @overload(python_operator)
    def typed(left, right):  # noqa: ANN001, ANN202
        kinds = (left, right)
        if any(isinstance(kind, Lanes) for kind in kinds) and all(
            isinstance(kind, Lanes | types.Integer) for kind in kinds
        ):
            return lambda left, right: of_lanes(left, right)
        return None


for _operator, _instruction in (
    (operator.and_, "and_"),
    (operator.or_, "or_"),
    (operator.xor, "xor"),
    (operator.add, "add"),
    (operator.mul, "mul"),
    (operator.lshift, "shl"),
    (operator.rshift, "lshr"),
):
    _binary(_operator, _instruction)


@intrinsic
def _complement(typing_context, value):  # noqa: ANN001, ANN202
    def generate(context, builder, signature, arguments):  # noqa: ANN001, ANN202
        return builder.not_(arguments[0])

    return lanes(lanes), generate


@overload(operator.invert)
def _invert(value):  # noqa: ANN001, ANN202
    return (lambda value: _complement(value)) if isinstance(value, Lanes) else None


def _place(context, builder, signature, arguments):  # noqa: ANN001, ANN202
    """The address of word number arguments[1] of the array arguments[0]."""
    array = context.make_array(signature.args[0])(context, builder, arguments[0])
    offset = context.cast(builder, arguments[1], signature.args[1], types.int64)
    return builder.bitcast(builder.gep(array.data, [offset]), _vector.as_pointer())


@intrinsic
def load(typing_context, array, first):  # noqa: ANN001, ANN202
    """The eight words of a C-contiguous uint64 array from its element number `first` on, counted in memory."""

    def generate(context, builder, signature, arguments):  # noqa: ANN001, ANN202
        return builder.load(_place(context, builder, signature, arguments), align=8)

    return lanes(array, first), generate


@intrinsic
def store(typing_context, array, first, value):  # noqa: ANN001, ANN202
    """Write eight words to a C-contiguous uint64 array, from its element number `first` on."""

    def generate(context, builder, signature, arguments):  # noqa: ANN001, ANN202
        builder.store(arguments[2], _place(context, builder, signature, arguments), align=8)
        return context.get_dummy_value()

    return types.none(array, first, value), generate


@intrinsic
def fill(typing_context, number):  # noqa: ANN001, ANN202
    """Eight times the same word."""

    def generate(context, builder, signature, arguments):  # noqa: ANN001, ANN202
        return _as_vector(context, builder, signature.args[0], arguments[0])

    return lanes(number), generate


@intrinsic
def any_bit(typing_context, value):  # noqa: ANN001, ANN202
    """Whether any bit is 1."""

    def generate(context, builder, signature, arguments):  # noqa: ANN001, ANN202
        name = f"llvm.vector.reduce.or.v{WORDS}i64"
        reduce = builder.module.declare_intrinsic(name, fnty=ir.FunctionType(_word, [_vector]))
        return builder.icmp_unsigned("!=", builder.call(reduce, arguments), ir.Constant(_word, 0))

    return types.boolean(lanes), generate


def _ones_of_halves(builder, value):  # noqa: ANN001, ANN202
    """The number of 1s in each of the sixteen 32-bit halves."""
    name = f"llvm.ctpop.v{2 * WORDS}i32"
    count = builder.module.declare_intrinsic(name, fnty=ir.FunctionType(_halves, [_halves]))
    return builder.call(count, [builder.bitcast(value, _halves)])


@intrinsic
def ones_of_halves(typing_context, value):  # noqa: ANN001, ANN202
    """The number of 1s in each 32-bit half of each word, written into that half."""

    def generate(context, builder, signature, arguments):  # noqa: ANN001, ANN202
        return builder.bitcast(_ones_of_halves(builder, arguments[0]), _vector)

    return lanes(lanes), generate


@intrinsic
def number_of_ones(typing_context, value):  # noqa: ANN001, ANN202
    """The number of 1s among all bits."""

    def generate(context, builder, signature, arguments):  # noqa: ANN001, ANN202
        name = f"llvm.vector.reduce.add.v{2 * WORDS}i32"
        add = builder.module.declare_intrinsic(name, fnty=ir.FunctionType(_halves.element, [_halves]))
        return builder.zext(builder.call(add, [_ones_of_halves(builder, arguments[0])]), _word)

    return types.int64(lanes), generate


def _turn(step: int):  # noqa: ANN202
    """An intrinsic that moves the sixteen 32-bit halves by one place around the circle."""
    places = [(k + step) % (2 * WORDS) for k in range(2 * WORDS)]

    @intrinsic
    def turn(typing_context, value):  # noqa: ANN001, ANN202
        def generate(context, builder, signature, arguments):  # noqa: ANN001, ANN202
            halves = builder.bitcast(arguments[0], _halves)
            undefined = ir.Constant(_halves, ir.Undefined)
            moved = builder.shuffle_vector(halves, undefined, ir.Constant(_halves_of(2 * WORDS), places))
            return builder.bitcast(moved, _vector)

        return lanes(lanes), generate

    return turn


# In the order of memory (halves low first): each half takes the place of the one before it, or after it.
next_half = _turn(+1)
previous_half = _turn(-1)

# The first word of every pair of halves, for counters that differ from half to half.
EVEN_NUMBERS = np.arange(0, 2 * WORDS, 2, dtype=np.uint64)
