"""What the CPU target asks of vector registers: a tile of products that stays in them, and leave to use wide ones.

Numba compiles loops over arrays well, but two things cannot be said in Python: that a small tile of results is to stay
in registers during a loop, and that 512-bit registers are welcome (LLVM keeps to 256 bits on Intel processors unless a
function carries an attribute). Both are said here to LLVM itself, through Numba's documented extension interface.
"""

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


@intrinsic
def add_rows(typing_context, result, weights, row_step, rows, n_rows, single):  # noqa: ANN001, ANN202
    """result[c] = sum_k weights[rows[k], c] for SUM_BYTES bytes of neighbouring columns c, in the order of k.

    All arguments are integers: addresses of the first elements of the result, of the column of the weights and of the
    int64 row numbers, the distance of rows in bytes, how many rows there are, and whether the numbers are float32 (1) or
    float64 (0). The sums stay in registers: an addition costs the load of what it adds.
    """
    i64 = ir.IntType(64)

    def loop(builder, number, lanes, arguments):  # noqa: ANN001, ANN202
        result, weights, row_step, rows, n_rows, _ = arguments
        vector = ir.VectorType(number, lanes)
        size = 8 * LANES
        align = 4 if lanes != LANES else 8
        entry = builder.block
        body = builder.append_basic_block("rows")
        end = builder.append_basic_block("rows.end")
        builder.cbranch(builder.icmp_signed(">", n_rows, ir.Constant(i64, 0)), body, end)
        builder.position_at_end(body)
        k = builder.phi(i64)
        k.add_incoming(ir.Constant(i64, 0), entry)
        sums = [builder.phi(vector) for _ in range(SUMS)]
        place = builder.add(rows, builder.mul(k, ir.Constant(i64, 8)))
        row = builder.load(builder.inttoptr(place, i64.as_pointer()))
        base = builder.add(weights, builder.mul(row, row_step))
        following = []
        for index, running in enumerate(sums):
            running.add_incoming(ir.Constant(vector, [0.0] * lanes), entry)
            address = builder.add(base, ir.Constant(i64, index * size))
            number_there = builder.load(builder.inttoptr(address, vector.as_pointer()), align=align)
            following.append(builder.fadd(running, number_there))
            running.add_incoming(following[-1], body)
        after = builder.add(k, ir.Constant(i64, 1))
        k.add_incoming(after, body)
        builder.cbranch(builder.icmp_signed("<", after, n_rows), body, end)
        builder.position_at_end(end)
        for index in range(SUMS):
            total = builder.phi(vector)
            total.add_incoming(ir.Constant(vector, [0.0] * lanes), entry)
            total.add_incoming(following[index], body)
            sums[index] = total
        for index, total in enumerate(sums):
            address = builder.add(result, ir.Constant(i64, index * size))
            builder.store(total, builder.inttoptr(address, vector.as_pointer()), align=align)

    def generate(context, builder, signature, arguments):  # noqa: ANN001, ANN202
        with builder.if_else(builder.icmp_signed("!=", arguments[-1], ir.Constant(i64, 0))) as (single, double):
            with single:
                loop(builder, ir.FloatType(), 2 * LANES, arguments)
            with double:
                loop(builder, ir.DoubleType(), LANES, arguments)
        return context.get_dummy_value()

    return types.none(result, weights, row_step, rows, n_rows, single), generate


# Bytes of neighbouring columns that add_rows takes together.
SUM_BYTES = 8 * LANES * SUMS
