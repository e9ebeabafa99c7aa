"""What the CPU target asks of vector registers: a tile of products that stays in them, and leave to use wide ones.

Numba compiles loops over arrays well, but two things cannot be said in Python: that a small tile of results is to stay
in registers during a loop, and that 512-bit registers are welcome (LLVM keeps to 256 bits on Intel processors unless a
function carries an attribute). Both are said here to LLVM itself, through Numba's documented extension interface.
"""

from collections.abc import Callable
from typing import NamedTuple

from llvmlite import binding, ir
from numba.core import types
from numba.extending import intrinsic

# Registers of the processor: how many numbers one holds, and a tile of rows x vectors that fits beside its operands.
_FEATURES = binding.get_host_cpu_features()
if _FEATURES.get("avx512f"):
    LANES, ROWS, VECTORS = 8, 4, 4
elif _FEATURES.get("avx2"):
    LANES, ROWS, VECTORS = 4, 2, 4
else:
    LANES, ROWS, VECTORS = 2, 4, 4
COLUMNS = LANES * VECTORS


@intrinsic
def wide_vectors(typing_context):  # noqa: ANN001, ANN202 - Numba reads the names, not types
    """Let the function that calls this use 512-bit vectors where the processor has them."""

    def generate(context, builder, signature, arguments):  # noqa: ANN001, ANN202
        # llvmlite knows only LLVM's own attribute names; this one is a string attribute of the x86 target.
        set.add(builder.function.attributes, '"prefer-vector-width"="512"')
        return context.get_dummy_value()

    return types.none(), generate


@intrinsic
def multiply_factors(typing_context, products, product_step, high, high_step, low, low_step, n_units, fresh):  # noqa: ANN001, ANN202
    """products[r, c] *= prod_j (1 + high[r, j] low[j, c]) for a tile of ROWS x COLUMNS float64 numbers.

    If `fresh` is not 0, the products before are taken to be 1. All arguments are integers: addresses of the first
    elements and distances of rows, in bytes. The products stay in registers for the whole loop over j, so that a factor
    costs one fused multiply-add and one multiplication, the least that the arithmetic allows. Every product is taken in
    the order of j: its bits do not depend on the tile.
    """
    i64, double = ir.IntType(64), ir.DoubleType()
    vector = ir.VectorType(double, LANES)
    mask = ir.VectorType(ir.IntType(32), LANES)

    def generate(context, builder, signature, arguments):  # noqa: ANN001, ANN202
        products, product_step, high, high_step, low, low_step, n_units, fresh = arguments

        def place(base, step, row, column):  # noqa: ANN001, ANN202
            offset = builder.add(builder.mul(step, row), ir.Constant(i64, 8 * column))
            return builder.add(base, offset)

        def broadcast(number):  # noqa: ANN001, ANN202
            first = builder.insert_element(ir.Constant(vector, ir.Undefined), number, ir.Constant(ir.IntType(32), 0))
            return builder.shuffle_vector(first, ir.Constant(vector, ir.Undefined), ir.Constant(mask, [0] * LANES))

        tile = [(r, v) for r in range(ROWS) for v in range(VECTORS)]
        one = ir.Constant(vector, [1.0] * LANES)
        targets = {
            (r, v): builder.inttoptr(place(products, product_step, ir.Constant(i64, r), v * LANES), vector.as_pointer())
            for r, v in tile
        }
        is_fresh = builder.icmp_signed("!=", fresh, ir.Constant(i64, 0))
        starts = {key: builder.select(is_fresh, one, builder.load(targets[key], align=8)) for key in tile}
        entry = builder.block
        loop = builder.append_basic_block("units")
        end = builder.append_basic_block("units.end")
        builder.cbranch(builder.icmp_signed(">", n_units, ir.Constant(i64, 0)), loop, end)
        builder.position_at_end(loop)
        j = builder.phi(i64)
        j.add_incoming(ir.Constant(i64, 0), entry)
        running = {key: builder.phi(vector) for key in tile}
        lows = [
            builder.load(builder.inttoptr(place(low, low_step, j, v * LANES), vector.as_pointer()), align=8)
            for v in range(VECTORS)
        ]
        following = {}
        for r in range(ROWS):
            address = builder.add(place(high, high_step, ir.Constant(i64, r), 0), builder.mul(j, ir.Constant(i64, 8)))
            factor = broadcast(builder.load(builder.inttoptr(address, double.as_pointer())))
            for v in range(VECTORS):
                term = builder.fadd(builder.fmul(factor, lows[v], flags=["contract"]), one, flags=["contract"])
                following[r, v] = builder.fmul(running[r, v], term)
        next_j = builder.add(j, ir.Constant(i64, 1))
        j.add_incoming(next_j, loop)
        for key in tile:
            running[key].add_incoming(starts[key], entry)
            running[key].add_incoming(following[key], loop)
        builder.cbranch(builder.icmp_signed("<", next_j, n_units), loop, end)
        builder.position_at_end(end)
        for key in tile:
            result = builder.phi(vector)
            result.add_incoming(starts[key], entry)
            result.add_incoming(following[key], loop)
            targets[key] = (targets[key], result)
        for pointer, result in targets.values():
            builder.store(result, pointer, align=8)
        return context.get_dummy_value()

    return types.none(*[types.int64] * 8), generate


# Registers that hold sums of rows: enough to hide the latency of an addition.
SUMS = 8
# Bytes of neighbouring columns that add_rows takes together.
SUM_BYTES = 8 * LANES * SUMS


@intrinsic
def add_rows(typing_context, result, start, weights, row_step, rows, n_rows, single):  # noqa: ANN001, ANN202
    """result[c] = start[c] + sum_k weights[rows[k], c] for SUM_BYTES bytes of neighbouring columns c, in order.

    All arguments are integers: addresses of the first elements of the result, of what the sums start from, of the
    column of the weights and of the int64 row numbers, the distance of rows in bytes, how many rows there are, and
    whether the numbers are float32 (1) or float64 (0). The sums stay in registers: an addition costs the load of what
    it adds.
    """

    def loop(builder, kind, arguments):  # noqa: ANN001, ANN202
        result, start, weights, row_step, rows, n_rows = arguments
        starts = [
            builder.load(_place(builder, start, kind.size * v, kind.vector), align=kind.align) for v in range(SUMS)
        ]

        def body(k, sums):  # noqa: ANN001, ANN202
            row = builder.load(_place(builder, rows, builder.mul(k, _integer(8)), _I64))
            base = builder.add(weights, builder.mul(row, row_step))
            terms = [
                builder.load(_place(builder, base, kind.size * v, kind.vector), align=kind.align) for v in range(SUMS)
            ]
            return [builder.fadd(total, term) for total, term in zip(sums, terms, strict=True)]

        for v, total in enumerate(_reduced(builder, n_rows, starts, body)):
            builder.store(total, _place(builder, result, kind.size * v, kind.vector), align=kind.align)

    def generate(context, builder, signature, arguments):  # noqa: ANN001, ANN202
        *places, single = arguments
        with builder.if_else(builder.icmp_signed("!=", single, _integer(0))) as (yes, no):
            with yes:
                loop(builder, _SINGLE, places)
            with no:
                loop(builder, _DOUBLE, places)
        return context.get_dummy_value()

    return types.none(result, start, weights, row_step, rows, n_rows, single), generate


# A tile of sums of products: rows x vectors that fit into the registers beside their operands, with sums enough to hide
# the latency of a multiply-add also where a tile has one vector only.
PRODUCT_ROWS, PRODUCT_VECTORS = (9, 3) if LANES == 8 else (6, 2)
PRODUCT_BYTES = 8 * LANES * PRODUCT_VECTORS


@intrinsic
def add_products(  # noqa: ANN202
    typing_context, result, result_step, states, state_step, term_step, weights, weight_step, n_terms,  # noqa: ANN001
    n_vectors, single,  # noqa: ANN001
):  # fmt: skip
    """result[r, c] += sum_k states[r, k] weights[k, c] for a tile of PRODUCT_ROWS rows and n_vectors registers.

    All arguments are integers: addresses of first elements, distances of rows in bytes, and that of the terms of a row
    of states (which may be a matrix or its transpose as it lies in memory); how many terms there are; how many
    registers of columns, at most PRODUCT_VECTORS; and whether the numbers are float32 (1) or float64 (0). The sums stay
    in registers: a term of a whole tile costs the multiply-adds that the arithmetic asks for, and half as many loads.
    Every sum is taken in the order of k with one rounding for each term, so its bits do not depend on the tile, nor on
    how the terms are cut into pieces.
    """

    def generate(context, builder, signature, arguments):  # noqa: ANN001, ANN202
        *places, n_vectors, single = arguments
        result, result_step, *terms = places

        def tile(kind, vectors):  # noqa: ANN001, ANN202
            sums = _Tile(kind, vectors, result, result_step)
            sums.store(builder, sums.add(builder, sums.load(builder), *terms))

        _choose_tile(builder, n_vectors, single, tile)
        return context.get_dummy_value()

    arguments = (result, result_step, states, state_step, term_step, weights, weight_step, n_terms, n_vectors, single)
    return types.none(*arguments), generate


@intrinsic
def multiply_tile(  # noqa: ANN202
    typing_context, result, result_step, start, start_step, fresh, left, left_step, left_term_step, right, right_step,  # noqa: ANN001
    n_terms, n_vectors, single  # noqa: ANN001
):  # fmt: skip
    """result[r, c] = start[r] + sum_k left[r, k] right[k, c] for a tile as in `add_products`.

    Where `fresh` is 0, the sums start from what the result holds instead. The left matrix has steps in bytes from row
    to row and from term to term, so that it may be a matrix or its transpose as it lies in memory; start_step is that
    from one row's start to the next.
    """

    def generate(context, builder, signature, arguments):  # noqa: ANN001, ANN202
        *places, n_vectors, single = arguments
        result, result_step, start, start_step, fresh, left, left_step, left_term_step, right, right_step, n = places
        is_fresh = builder.icmp_signed("!=", fresh, _integer(0))

        def tile(kind, vectors):  # noqa: ANN001, ANN202
            sums = _Tile(kind, vectors, result, result_step)
            rows = [builder.add(start, builder.mul(start_step, _integer(r))) for r in range(PRODUCT_ROWS)]
            numbers = [builder.load(_place(builder, row, 0, kind.number)) for row in rows]
            firsts = [_broadcast(builder, number, kind.vector) for number in numbers for _ in range(vectors)]
            held = sums.load(builder)
            starts = [builder.select(is_fresh, first, hold) for first, hold in zip(firsts, held, strict=True)]
            sums.store(builder, sums.add(builder, starts, left, left_step, left_term_step, right, right_step, n))

        _choose_tile(builder, n_vectors, single, tile)
        return context.get_dummy_value()

    arguments = (result, result_step, start, start_step, fresh, left, left_step, left_term_step, right, right_step)
    return types.none(*arguments, n_terms, n_vectors, single), generate


class _Tile:
    """PRODUCT_ROWS rows of so many registers in memory, and sums of products for them that stay in registers."""

    def __init__(self, kind: "_Kind", vectors: int, result: ir.Value, step: ir.Value):
        self.kind, self.vectors, self.result, self.step = kind, vectors, result, step

    def _places(self, builder: ir.IRBuilder) -> list:
        lines = [builder.add(self.result, builder.mul(self.step, _integer(r))) for r in range(PRODUCT_ROWS)]
        kind = self.kind
        return [_place(builder, line, kind.size * v, kind.vector) for line in lines for v in range(self.vectors)]

    def load(self, builder: ir.IRBuilder) -> list:
        """The numbers in memory."""
        return [builder.load(place, align=self.kind.align) for place in self._places(builder)]

    def store(self, builder: ir.IRBuilder, numbers: list) -> None:
        """Put numbers back."""
        for place, number in zip(self._places(builder), numbers, strict=True):
            builder.store(number, place, align=self.kind.align)

    def add(self, builder, starts, left, left_step, left_term_step, right, right_step, n_terms):  # noqa: ANN001, ANN202
        """The starts and, in the order of k, left[r, k] right[k, c], with one rounding for each."""
        kind, vectors = self.kind, self.vectors
        rows = [builder.add(left, builder.mul(left_step, _integer(r))) for r in range(PRODUCT_ROWS)]

        def body(k, sums):  # noqa: ANN001, ANN202
            base = builder.add(right, builder.mul(k, right_step))
            terms = [
                builder.load(_place(builder, base, kind.size * v, kind.vector), align=kind.align)
                for v in range(vectors)
            ]
            shift = builder.mul(k, left_term_step)
            following = []
            for r, row in enumerate(rows):
                factor = builder.load(_place(builder, row, shift, kind.number))
                everywhere = _broadcast(builder, factor, kind.vector)
                for v, term in enumerate(terms):
                    product = builder.fmul(everywhere, term, flags=("contract",))
                    following.append(builder.fadd(sums[r * vectors + v], product, flags=("contract",)))
            return following

        return _reduced(builder, n_terms, starts, body)


def _choose_tile(builder: ir.IRBuilder, n_vectors: ir.Value, single: ir.Value, tile: Callable) -> None:
    """tile(kind, vectors) for the precision and the number of registers that are asked for."""
    end = builder.append_basic_block("tiles.end")
    number = builder.add(builder.mul(single, _integer(PRODUCT_VECTORS)), n_vectors)
    switch = builder.switch(number, end)
    for is_single, kind in enumerate((_DOUBLE, _SINGLE)):
        for vectors in range(1, PRODUCT_VECTORS + 1):
            block = builder.append_basic_block(f"tile.{kind.number}.{vectors}")
            switch.add_case(_integer(is_single * PRODUCT_VECTORS + vectors), block)
            builder.position_at_end(block)
            tile(kind, vectors)
            builder.branch(end)
    builder.position_at_end(end)


class _Kind(NamedTuple):
    """Numbers of one precision: their type and bytes, a register of them and its bytes."""

    number: ir.Type
    align: int
    vector: ir.Type
    size: int


_I64 = ir.IntType(64)
_SINGLE = _Kind(ir.FloatType(), 4, ir.VectorType(ir.FloatType(), 2 * LANES), 8 * LANES)
_DOUBLE = _Kind(ir.DoubleType(), 8, ir.VectorType(ir.DoubleType(), LANES), 8 * LANES)


def _integer(value: int) -> ir.Constant:
    return ir.Constant(_I64, value)


def _place(builder: ir.IRBuilder, base: ir.Value, offset: int | ir.Value, kind: ir.Type) -> ir.Value:
    """A pointer to a number or register at an address and some bytes more."""
    offset = _integer(offset) if isinstance(offset, int) else offset
    return builder.inttoptr(builder.add(base, offset), kind.as_pointer())


def _broadcast(builder: ir.IRBuilder, number: ir.Value, vector: ir.VectorType) -> ir.Value:
    """A register of equal numbers."""
    nothing = ir.Constant(vector, ir.Undefined)
    first = builder.insert_element(nothing, number, ir.Constant(ir.IntType(32), 0))
    mask = ir.VectorType(ir.IntType(32), vector.count)
    return builder.shuffle_vector(first, nothing, ir.Constant(mask, [0] * vector.count))


def _reduced(builder: ir.IRBuilder, n: ir.Value, starts: list, body: Callable) -> list:
    """What is left of registers after body(k, registers) -> registers for k = 0 ... n-1."""
    entry = builder.block
    loop, end = builder.append_basic_block("terms"), builder.append_basic_block("terms.end")
    builder.cbranch(builder.icmp_signed(">", n, _integer(0)), loop, end)
    builder.position_at_end(loop)
    k = builder.phi(_I64)
    running = [builder.phi(start.type) for start in starts]
    following = body(k, running)
    after = builder.add(k, _integer(1))
    k.add_incoming(_integer(0), entry)
    k.add_incoming(after, loop)
    builder.cbranch(builder.icmp_signed("<", after, n), loop, end)
    builder.position_at_end(end)
    results = []
    for phi, start, value in zip(running, starts, following, strict=True):
        phi.add_incoming(start, entry)
        phi.add_incoming(value, loop)
        result = builder.phi(start.type)
        result.add_incoming(start, entry)
        result.add_incoming(value, loop)
        results.append(result)
    return results
