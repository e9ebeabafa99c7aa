"""Random numbers: Philox4x32-10 streams that are addressed, not advanced.

Every word is a function of (seed, purpose, step, chain, unit) alone. A result is therefore the same for any number of
threads, on CPU and CUDA, and after a resume: whoever needs a number computes it from its address.

The key is the 64-bit seed. The counter is (unit // 4, step, chain, purpose), and word unit % 4 of the four that come
out belongs to the unit. `purpose.py` lists the purposes.
"""

import numpy as np
from scipy.special import ndtri

from mcgen import backend, checks
from mcgen.rng import purpose

__all__ = ["derive", "fine_uniforms", "normals", "permutation", "purpose", "split_seed", "uniforms", "words"]

LARGEST_SEED = 2**64 - 1
LARGEST_WORD = 2**32 - 1


def split_seed(seed: int) -> tuple[np.uint32, np.uint32]:
    """The two words of the Philox key, low half first.

    Parameters
    ----------
    seed : int
        From 0 to 2**64 - 1.

    Raises
    ------
    InputError
        If seed is not an integer in that range.

    Examples
    --------
    >>> from mcgen import rng
    >>> [int(word) for word in rng.split_seed(2**32 + 7)]
    [7, 1]
    """
    seed = checks.integer("seed", seed, 0, LARGEST_SEED)
    return np.uint32(seed & LARGEST_WORD), np.uint32(seed >> 32)


def words(
    seed: int,
    purpose: int,
    n_chains: int,
    n_units: int,
    step: int = 0,
    device: str = "cpu",
    first_chain: int = 0,
) -> np.ndarray:
    """Random 32-bit words of one step of one stream.

    Parameters
    ----------
    seed : int
        Key of the stream, 0 to 2**64 - 1.
    purpose : int
        One of the numbers in `mcgen.rng.purpose`.
    n_chains, n_units : int
        How many chains, and words for each.
    step : int
        Which step of the stream, 0 to 2**32 - 1.
    device : {"cpu", "cuda"}
    first_chain : int
        The number of the first chain.

    Returns
    -------
    ndarray of uint32, shape (n_chains, n_units)

    Raises
    ------
    InputError
        If an argument is out of range.
    DeviceError
        If the device cannot be used.

    References
    ----------
    Salmon, Moraes, Dror & Shaw, Parallel random numbers: as easy as 1, 2, 3, SC'11 (2011).

    Examples
    --------
    >>> from mcgen import rng
    >>> [f"{word:08x}" for word in rng.words(seed=0, purpose=0, n_chains=1, n_units=4)[0]]
    ['6627e8d5', 'e169c58d', 'bc57ac4c', '9b00dbd8']
    """
    key = split_seed(seed)
    first_chain = checks.integer("first_chain", first_chain, 0, LARGEST_WORD)
    n_chains = checks.integer("n_chains", n_chains, 0, LARGEST_WORD - first_chain)
    n_units = checks.integer("n_units", n_units, 0, 4 * LARGEST_WORD)
    step = checks.integer("step", step, 0, LARGEST_WORD)
    target = backend.target(device)
    result = target.to_device(np.empty((n_chains, n_units), np.uint32))
    if result.size:
        counter = np.int64(first_chain), np.uint32(step), np.uint32(purpose)
        target.launch(target.kernels("rng").fill_words, n_chains, 1, result, *counter, *key)
    return target.to_host(result)


def uniforms(
    seed: int,
    purpose: int,
    n_chains: int,
    n_units: int,
    step: int = 0,
    device: str = "cpu",
    first_chain: int = 0,
) -> np.ndarray:
    """Uniform random numbers in the open interval (0, 1), with a resolution of 2**-32.

    Arguments and errors are those of `words`.

    Returns
    -------
    ndarray of float64, shape (n_chains, n_units)

    Examples
    --------
    >>> from mcgen import rng
    >>> u = rng.uniforms(seed=1, purpose=0, n_chains=1000, n_units=1000)
    >>> round(float(u.mean()), 2), round(float(12 * u.var()), 2)
    (0.5, 1.0)
    """
    from mcgen.rng import formulas

    return formulas.uniform(words(seed, purpose, n_chains, n_units, step, device, first_chain))


def fine_uniforms(seed: int, purpose: int, n_chains: int, n_units: int, step: int = 0) -> np.ndarray:
    """Uniform random numbers in [0, 1) with a resolution of 2**-53: 53 bits of two words each.

    Arguments and errors are those of `words`; the words 2 k and 2 k + 1 of a chain make its number k.

    Returns
    -------
    ndarray of float64, shape (n_chains, n_units)

    Examples
    --------
    >>> from mcgen import rng
    >>> u = rng.fine_uniforms(seed=1, purpose=0, n_chains=1000, n_units=1000)
    >>> round(float(u.mean()), 2), round(float(12 * u.var()), 2)
    (0.5, 1.0)
    """
    pairs = words(seed, purpose, n_chains, 2 * n_units, step).reshape(n_chains, n_units, 2)
    return ((pairs[:, :, 0] >> 5) * 67108864.0 + (pairs[:, :, 1] >> 6)) * 2.0**-53


def normals(seed: int, purpose: int, n_chains: int, n_units: int, step: int = 0) -> np.ndarray:
    """Standard normal random numbers, by inversion of the normal distribution function.

    Arguments and errors are those of `words`.

    Returns
    -------
    ndarray of float64, shape (n_chains, n_units)

    Examples
    --------
    >>> from mcgen import rng
    >>> z = rng.normals(seed=1, purpose=0, n_chains=1000, n_units=1000)
    >>> round(abs(float(z.mean())), 2), round(float(z.var()), 2)
    (0.0, 1.0)
    """
    return ndtri(uniforms(seed, purpose, n_chains, n_units, step))


def permutation(seed: int, purpose: int, n: int, step: int = 0) -> np.ndarray:
    """A random order of 0 ... n-1: the order that sorts n random words of 64 bits.

    Returns
    -------
    ndarray of int64, shape (n,)

    Raises
    ------
    InputError
        If an argument is out of range.

    Examples
    --------
    >>> from mcgen import rng
    >>> sorted(rng.permutation(seed=1, purpose=0, n=5).tolist())
    [0, 1, 2, 3, 4]
    """
    pairs = words(seed, purpose, 1, 2 * n, step).reshape(n, 2).astype(np.uint64)
    return np.argsort((pairs[:, 0] << np.uint64(32)) | pairs[:, 1], kind="stable")


def derive(seed: int, index: int) -> int:
    """A new seed for part `index` of a larger computation, such as one temperature of several.

    Parts that shared a seed would use the same random numbers and be correlated.

    Parameters
    ----------
    seed : int
        From 0 to 2**64 - 1.
    index : int
        From 0 to 2**32 - 1.

    Returns
    -------
    int
        From 0 to 2**64 - 1.

    Raises
    ------
    InputError
        If an argument is out of range.

    Examples
    --------
    >>> from mcgen import rng
    >>> rng.derive(7, 0) != rng.derive(7, 1)
    True
    """
    low, high = words(seed, purpose.DERIVE_SEED, 1, 2, step=index)[0]
    return int(low) | int(high) << 32
