"""What the likelihood of an RBM of small images is compared with: simpler distributions, and another program's RBM."""

from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp

from mcgen import rbm, rng, stats

# Images of each kind that are added to the data, so that no pixel is certain.
PSEUDO_COUNT = 1.0
EM_STEPS, EM_STARTS = 200, 5
PEER_BATCH = 10
PEER_RATES = (0.02, 0.01, 0.005)


class Yardstick(NamedTuple):
    """Log-likelihoods in nats an image: the mean of the training images, and that of every test image."""

    key: str  # in files
    name: str
    train: float
    rows: np.ndarray

    @property
    def test(self) -> stats.Estimate:
        """The mean of the test images."""
        return stats.mean(self.rows)

    def less(self, other: "Yardstick") -> stats.Estimate:
        """By how much the mean is larger than another of the same images, which are hard or easy for both."""
        return stats.mean(self.rows - other.rows)


def measured(key: str, name: str, train: np.ndarray, test: np.ndarray) -> Yardstick:
    """From log p(v) of every image, each (n_rows,)."""
    return Yardstick(key, name, float(train.mean()), test)


def mixture(train: np.ndarray, n_components: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Fit p(v) = sum_k w_k prod_i p_ki^v_i (1 - p_ki)^(1 - v_i) by EM, the best of some starts.

    Parameters
    ----------
    train : array, shape (n_rows, n_pixels)
        Of 0 and 1.
    n_components : int
        With one, pixels are independent.
    seed : int

    Returns
    -------
    log_weights, logs : arrays, shapes (n_components,) and (2, n_components, n_pixels)
        log w_k, and log p_ki and log (1 - p_ki).

    References
    ----------
    Bishop, Pattern Recognition and Machine Learning (2006), eqs. 9.54 to 9.60.

    Examples
    --------
    >>> import numpy as np
    >>> from digits_parts.yardsticks import log_mixture, mixture
    >>> rows = np.repeat([[0, 0, 1, 1], [1, 1, 0, 0]], 50, axis=0)
    >>> float(np.exp(log_mixture(mixture(rows, 2, seed=1), rows[:1]))[0].round(1))  # 1/2, less the pseudo-counts
    0.5
    """
    ends = []
    for start in range(EM_STARTS if n_components > 1 else 1):
        u = rng.uniforms(rng.derive(seed, start), rng.purpose.STUDY_SPLIT, len(train), n_components)
        shares = (1 - u) ** -4  # of each component in each row: one of them has most
        shares /= shares.sum(axis=1, keepdims=True)
        for _ in range(EM_STEPS if n_components > 1 else 1):
            counts = shares.sum(axis=0)
            p = (shares.T @ train + PSEUDO_COUNT) / (counts[:, None] + 2 * PSEUDO_COUNT)
            weights = (counts + PSEUDO_COUNT) / (len(train) + n_components * PSEUDO_COUNT)
            fit = np.log(weights), np.array([np.log(p), np.log1p(-p)])
            joint = log_joint(fit, train)
            shares = np.exp(joint - logsumexp(joint, axis=1, keepdims=True))
        ends.append((float(log_mixture(fit, train).mean()), fit))
    return max(ends, key=lambda end: end[0])[1]


def log_joint(fit: tuple[np.ndarray, np.ndarray], rows: np.ndarray) -> np.ndarray:
    """log w_k + log p(v | k), shape (n_rows, n_components)."""
    log_weights, (of_ones, of_zeros) = fit
    return log_weights + rows @ (of_ones - of_zeros).T + of_zeros.sum(axis=1)


def log_mixture(fit: tuple[np.ndarray, np.ndarray], rows: np.ndarray) -> np.ndarray:
    """log p(v) of rows under a mixture, shape (n_rows,)."""
    return logsumexp(log_joint(fit, rows), axis=1)


def peer(train: np.ndarray, n_hidden: int, epochs: int, seed: int) -> tuple[rbm.RBM, float]:
    """scikit-learn's BernoulliRBM after so many epochs, with the learning rate that suits the training images best.

    Returns
    -------
    model : RBM
    rate : float
        The learning rate, of `PEER_RATES`.
    """
    from sklearn.neural_network import BernoulliRBM

    ends = []
    for rate in PEER_RATES:
        found = BernoulliRBM(n_hidden, learning_rate=rate, batch_size=PEER_BATCH, n_iter=epochs, random_state=seed)
        found.fit(train)
        model = rbm.RBM(
            np.ascontiguousarray(found.components_.T), found.intercept_visible_.copy(), found.intercept_hidden_.copy()
        )
        ends.append((rbm.exact.log_likelihood(model, train), model, rate))
    _, model, rate = max(ends, key=lambda end: end[0])
    return model, rate


def yardsticks(train: np.ndarray, test: np.ndarray, n_hidden: int, epochs: int, seed: int) -> list[Yardstick]:
    """Independent pixels, a mixture with as many parameters as the RBM, and scikit-learn's RBM of the same size."""
    n_pixels = train.shape[1]
    n_parameters = n_pixels * n_hidden + n_pixels + n_hidden
    n_components = max(1, round((n_parameters + 1) / (n_pixels + 1)))
    found = []
    for key, count in (("independent", 1), ("mixture", n_components)):
        fit = mixture(train, count, rng.derive(seed, 0))
        name = "independent pixels" if count == 1 else f"mixture of {count} such"
        found.append(measured(key, name, log_mixture(fit, train), log_mixture(fit, test)))
    model, rate = peer(train, n_hidden, epochs, seed % 2**32)
    log_z = rbm.exact.log_partition(model)
    name = f"scikit-learn's RBM, rate {rate:g}"
    of_sets = (rbm.evaluation.log_likelihood(model, rows, log_z).rows for rows in (train, test))
    return [*found, measured("peer", name, *of_sets)]
