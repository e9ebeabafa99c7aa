"""Block Gibbs sweeps with the matrix products of a library, for models whose weights fill a GPU's caches."""

from collections.abc import Callable


def sweep(
    matmul: Callable,
    visible: object,
    hidden: object,
    weights: object,
    transposed_weights: object,
    draw_hidden: Callable[[int], None],
    draw_visible: Callable[[int], None],
    n_sweeps: int,
) -> None:
    """Sweep all chains: two products, each followed by one kernel that adds the bias and draws in place.

    Products and kernels wait for each other on the default stream of the device, never the host for one of them.

    Parameters
    ----------
    matmul : function
        matmul(a, b, out=c) of the library, in the full precision of its arguments.
    visible, hidden : arrays of the library, shape (n_models, n_chains, n_visible) and (n_models, n_chains, n_hidden)
        The states, modified.
    weights, transposed_weights : arrays of the library
        Shape (n_models, n_visible, n_hidden) and (n_models, n_hidden, n_visible).
    draw_hidden, draw_visible : function
        Called with the number of the sweep after each product, when the array of the layer holds the fields without
        bias; they replace them by states.
    n_sweeps : int

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen.rbm.gibbs import products
    >>> v, h, W = np.ones((1, 1, 2)), np.empty((1, 1, 1)), np.ones((1, 2, 1))
    >>> products.sweep(np.matmul, v, h, W, np.swapaxes(W, 1, 2), lambda sweep: None, lambda sweep: None, n_sweeps=1)
    >>> v.tolist()
    [[[2.0, 2.0]]]
    """
    for number in range(n_sweeps):
        matmul(visible, weights, out=hidden)
        draw_hidden(number)
        matmul(hidden, transposed_weights, out=visible)
        draw_visible(number)
