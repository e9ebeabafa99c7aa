"""The density of states of the rectangular torus without field, as exact integers.

The products of Kaufman's solution (`torus.py`) are polynomials in y = e^{-2K} whose coefficients count the states with
a number of broken bonds. They are evaluated at roots of unity modulo many primes, in which cos q is a number too, and
put together by the Chinese remainder theorem: integers of any size from arithmetic in 64 bits.
"""

import math
from collections.abc import Sequence

import numpy as np

from mcgen import checks
from mcgen.errors import InputError, SizeError
from mcgen.ising.exact.torus import TorusThermodynamics, check_torus_shape
from mcgen.progress import progress as progress_bar

# Seconds for one prime, value of y, mode and bit of M, measured at 64 x 64 and 96 x 96 on one core; for the limit only.
SECONDS_PER_STEP = 3e-8
MOST_SECONDS = 600


def _is_prime(p: int) -> bool:
    """The Miller-Rabin test; these bases are enough below 3 215 031 751."""
    odd, twos = p - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    for base in (2, 3, 5, 7):
        x = pow(base, odd, p)
        if x not in (1, p - 1) and all((x := x * x % p) != p - 1 for _ in range(twos - 1)):
            return False
    return True


def _primes(order: int, bits: int) -> list[int]:
    """Primes p = 1 mod order, the largest below 2^31 (products fit int64), with a product above 2^bits."""
    found: list[int] = []
    product = 1
    candidate = (2**31 - 2) // order * order + 1
    while product <= 1 << bits:
        if candidate <= order:
            raise SizeError(
                f"the torus has 2^{bits} states, and there are too few primes to count them; use a smaller shape"
            )
        if _is_prime(candidate):
            found.append(candidate)
            product *= candidate
        candidate -= order
    return found


def _prime_factors(number: int) -> list[int]:
    factors, divisor = [], 2
    while divisor * divisor <= number:
        while number % divisor == 0:
            factors.append(divisor)
            number //= divisor
        divisor += 1
    return [*factors, number] if number > 1 else factors


def _root_of_unity(order: int, p: int) -> int:
    """A number whose powers modulo p return to 1 after exactly `order` steps."""
    factors = set(_prime_factors(order))
    return next(
        root
        for root in (pow(base, (p - 1) // order, p) for base in range(2, p))
        if all(pow(root, order // factor, p) != 1 for factor in factors)
    )


def _powers(base: int, n: int, p: int) -> np.ndarray:
    """base^0 ... base^(n-1) modulo p."""
    powers = np.ones(1, np.int64)
    while powers.size < n:
        powers = np.concatenate([powers, powers * pow(base, powers.size, p) % p])
    return powers[:n]


def _power(x: np.ndarray, exponent: int, p: int) -> np.ndarray:
    result = np.ones_like(x)
    while exponent:
        if exponent % 2:
            result = result * x % p
        x = x * x % p
        exponent //= 2
    return result


def _chebyshev(c: np.ndarray, d2: np.ndarray, d2_powers: list[np.ndarray], length: int, p: int) -> np.ndarray:
    """U^(length) of U^(0) = 2, U^(1) = c, U^(k+1) = c U^(k) - D^2 U^(k-1), by doubling k.

    With d2 = D^2, and d2_powers its powers k before each doubling.
    """
    low, high = np.full_like(c, 2), c
    for digit, power in zip(f"{length:b}", d2_powers, strict=True):
        middle = (low * high - c * power) % p
        if digit == "1":
            low, high = middle, (high * high - 2 * (power * d2 % p)) % p
        else:
            low, high = (low * low - 2 * power) % p, middle
    return low


def _twice_the_sum(y: np.ndarray, root: int, shape: tuple[int, int], p: int) -> np.ndarray:
    """2 sum_b G_b y^b modulo p, from a root of unity of order 2N: Kaufman's four products."""
    n, length = shape
    y2 = y * y % p
    d = y * (1 - y2) % p
    d2 = d * d % p
    d2_powers = [_power(d2, length >> bit, p) for bit in range(length.bit_length(), 0, -1)]
    crossing = 2 * _power(d, length, p) % p
    square = (1 + y2) * (1 + y2) % p
    products = {}
    for parity in (0, 1):
        sums, differences = np.ones_like(y), np.ones_like(y)
        for k in range(parity, n + 1, 2):
            if k == 0:
                u, v = _power(y * (1 + y) % p, length, p), _power((1 - y) % p, length, p)
            elif k == n:
                u, v = _power(1 + y, length, p), _power(y * (1 - y) % p, length, p)
            else:
                two_cosines = pow(root, k, p) + pow(root, 2 * n - k, p)
                u, v = _chebyshev((square - d * (two_cosines % p)) % p, d2, d2_powers, length, p), crossing
            sums = sums * ((u + v) % p) % p
            differences = differences * ((u - v) % p) % p
        products[parity] = sums, differences
    return (sum(products[1]) + products[0][0] - products[0][1]) % p


def _inverse_transform(values: np.ndarray, root: int, p: int) -> np.ndarray:
    """The coefficients of the polynomial with the given values at root^0, root^1, ..."""
    n = values.size
    return _transform(values[None, :], pow(root, p - 2, p), p)[0] * pow(n, p - 2, p) % p


def _transform(rows: np.ndarray, root: int, p: int) -> np.ndarray:
    """sum_j x_j root^(jk) of each row, by splitting off the prime factors of its length."""
    count, n = rows.shape
    if n == 1:
        return rows
    factor = _prime_factors(n)[0]
    part = n // factor
    split = rows.reshape(count, part, factor).transpose(0, 2, 1).reshape(count * factor, part)
    parts = _transform(split, pow(root, factor, p), p).reshape(count, factor, part)
    powers = _powers(root, n, p)
    parts = parts * powers[np.arange(factor)[:, None] * np.arange(part)] % p
    result = np.zeros((count, factor, part), np.int64)
    for k in range(factor):
        for j in range(factor):
            result[:, k] += parts[:, j] * powers[(j * k * part) % n] % p
    return (result % p).reshape(count, n)


def _counts_modulo(p: int, shape: tuple[int, int], points: int) -> np.ndarray:
    """G_b modulo p at b = 0, 2, 4 ..., from the values at the powers of a root of unity of order 2 points."""
    root = _root_of_unity(2 * points, p)
    values = _twice_the_sum(_powers(root, points, p), pow(root, points // shape[0], p), shape, p)
    halves = values * pow(2, p - 2, p) % p
    return _inverse_transform(halves, root * root % p, p)[: shape[0] * shape[1] + 1]


def _from_residues(residues: list[np.ndarray], primes: list[int]) -> np.ndarray:
    """The integers below the product of the primes with the given residues."""
    product = math.prod(primes)
    total: np.ndarray | int = 0
    for residue, p in zip(residues, primes, strict=True):
        others = product // p
        total = total + residue.astype(object) * (others * pow(others, -1, p))
    return total % product


def density_of_states(
    shape: Sequence[int], coupling: float = 1.0, progress: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """The energy levels of the torus without field and exactly how many states each has.

    Parameters
    ----------
    shape : sequence of two int
        Sites along each axis, at least 2. As everywhere, an axis of length 2 has two bonds between its sites.
    coupling : float
        J of all bonds, in units of energy, not 0.
    progress : bool
        Whether to show progress.

    Returns
    -------
    levels : float64, increasing
        Those that occur, among -2 J N, -2 J N + 4 J, ... 2 J N with the number of sites N.
    counts : object array of int, all positive
        They add up to 2**N.

    Raises
    ------
    InputError
        If the shape or the coupling is not that of such a torus.
    SizeError
        If it would take more than about ten minutes. A torus of 32 x 32 sites takes less than a second, 64 x 64 ten
        seconds, 128 x 128 five minutes.

    References
    ----------
    Kaufman, Phys. Rev. 76, 1232 (1949); Beale, Phys. Rev. Lett. 76, 78 (1996), for the counts from the expansion of her
    solution, which is found here modulo primes.

    Examples
    --------
    >>> from mcgen.ising.exact import counting
    >>> levels, counts = counting.density_of_states((16, 16))
    >>> levels[:4].tolist(), counts[:4].tolist()
    ([-512.0, -504.0, -500.0, -496.0], [2, 512, 1024, 67840])
    """
    lengths = check_torus_shape(shape)
    coupling = checks.real("coupling", coupling)
    if coupling == 0:
        raise InputError("coupling=0.0 leaves one level for all states; give a number other than 0")
    n, length = min(lengths), max(lengths)
    sites = n * length
    seconds = _estimated_seconds(n, length)
    if seconds > MOST_SECONDS:
        raise SizeError(
            f"counting the states of shape={lengths} takes about {seconds / 60:.0f} minutes; the limit is "
            f"{MOST_SECONDS // 60}, for example (128, 128); use a smaller shape, or closed_form for one temperature"
        )
    points = n
    while points % 2 == 0:
        points //= 2
    while points <= sites:
        points *= 2
    primes = _primes(2 * points, sites)
    residues = []
    with progress_bar(len(primes), "primes", progress) as bar:
        for p in primes:
            residues.append(_counts_modulo(p, (n, length), points))
            bar.update(1)
    counts = _from_residues(residues, primes)
    if sum(counts.tolist()) != 1 << sites:
        raise ArithmeticError(f"the counts of shape={lengths} do not add up to 2^{sites}; please report this")
    levels = coupling * (4.0 * np.arange(sites + 1) - 2.0 * sites)
    occurs = np.flatnonzero(counts > 0)
    occurs = occurs if coupling > 0 else occurs[::-1]
    return levels[occurs], counts[occurs]


def _estimated_seconds(n: int, length: int) -> float:
    sites = n * length
    primes = sites / 30
    return SECONDS_PER_STEP * primes * sites * n * length.bit_length()


def from_density_of_states(levels: np.ndarray, counts: np.ndarray, temperature: float) -> TorusThermodynamics:
    """Exact thermodynamics at one temperature from the counts of states, such as those of `density_of_states`.

    Parameters
    ----------
    levels : array
        Energies.
    counts : array of int, of the same shape
        How many states have each; Python integers of any size.
    temperature : float
        T in units of energy, above 0.

    Returns
    -------
    TorusThermodynamics
        With a relative error below 1e-12.

    Raises
    ------
    InputError
        If the temperature is not positive, the shapes differ or a count is not a positive integer.

    Examples
    --------
    >>> from mcgen.ising.exact import counting
    >>> levels, counts = counting.density_of_states((16, 16))
    >>> round(counting.from_density_of_states(levels, counts, temperature=1.0).energy, 10)
    -511.2730122527
    """
    temperature = checks.positive("temperature", temperature)
    levels = checks.finite_array("levels", levels, (None,)).astype(np.float64)
    whole = [checks.integer("counts", count, 1) for count in np.asarray(counts, object).ravel()]
    if len(whole) != levels.size or not whole:
        raise InputError(f"counts has {len(whole)} entries for {levels.size} levels; give one count for each level")
    above = levels - levels.min()
    logs = np.array([math.log(count) for count in whole]) - above / temperature
    largest = logs.max()
    weights = np.exp(logs - largest)
    total = math.fsum(weights)
    p = weights / total
    mean = math.fsum(p * above)
    variance = math.fsum(p * (above - mean) ** 2)
    ground = float(levels.min())
    log_partition = math.fsum([-ground / temperature, float(largest), math.log(total)])
    return TorusThermodynamics(log_partition, ground + mean, variance / temperature / temperature)
