"""The restricted Boltzmann machine: parameters, energies and conditional means."""

from collections.abc import Sequence

import numpy as np

from mcgen import backend, checks, rng
from mcgen.errors import InputError
from mcgen.rbm import units
from mcgen.rbm.symmetry import Symmetry


class RBM:
    """A restricted Boltzmann machine, p(v, h) = e^{-E(v, h)} / Z with E(v, h) = U(v) + U(h) - b.v - c.h - v.W.h.

    U is the energy that continuous units have of their own; it is 0 for units with finitely many states.

    ==============  ===========================================================================================
    "bernoulli"     {0, 1}
    "spin"          {-1, +1}
    Potts(q)        q states, one-hot: q neighbouring entries of the state for each unit
    "gaussian"      real, or Gaussian(mean, variance) with numbers for each unit
    "relu"          real and not negative, or ReLU(mean, variance)
    ==============  ===========================================================================================

    Parameters
    ----------
    weights : array, shape (n_visible, n_hidden)
        W. If all three arrays are float32 the model stays in float32; otherwise it is float64.
    visible_bias : array, shape (n_visible,)
        b.
    hidden_bias : array, shape (n_hidden,)
        c.
    visible, hidden : str or unit
        The kind of the units. Two continuous layers need weights small enough for a finite Z.
    symmetry : Symmetry, optional
        That the parameters obey; the gradient is then tied. `RBM.symmetric` makes such models.

    Attributes
    ----------
    weights, visible_bias, hidden_bias : read-only arrays
    visible, hidden : Unit
        With the fields `name`, `entries`, and the statistics of the units: `mean`, `variance`, `cumulant`, `draw`.
    n_visible, n_hidden : int
        Entries of the state of each layer: the number of units, times q for Potts units.
    dtype : float32 or float64
    symmetry : Symmetry or None

    Raises
    ------
    InputError
        If the shapes do not fit together, a parameter is NaN or infinite, a unit kind is unknown, Z is infinite, or the
        parameters do not obey the symmetry.

    References
    ----------
    Smolensky (1986), Hinton, Neural Comput. 14, 1771 (2002). Hjorth-Jensen (2025), "Probability model".

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen import rbm
    >>> model = rbm.RBM(weights=np.ones((3, 2)), visible_bias=np.zeros(3), hidden_bias=np.zeros(2))
    >>> float(model.energy([1, 1, 0], [1, 1]))
    -4.0
    """

    def __init__(
        self,
        weights: np.ndarray,
        visible_bias: np.ndarray,
        hidden_bias: np.ndarray,
        visible: str | units.Unit = "bernoulli",
        hidden: str | units.Unit = "bernoulli",
        symmetry: Symmetry | None = None,
    ):
        weights = checks.finite_array("weights", weights, (None, None))
        self.n_visible, self.n_hidden = weights.shape
        if 0 in weights.shape:
            raise InputError(f"weights has shape {weights.shape}; both layers need at least one unit")
        self.visible = units.unit("visible", visible, self.n_visible)
        self.hidden = units.unit("hidden", hidden, self.n_hidden)
        visible_bias = checks.finite_array("visible_bias", visible_bias, (self.n_visible,))
        hidden_bias = checks.finite_array("hidden_bias", hidden_bias, (self.n_hidden,))
        parameters = (weights, visible_bias, hidden_bias)
        self.dtype = np.dtype(np.float32 if all(array.dtype == np.float32 for array in parameters) else np.float64)
        self.weights, self.visible_bias, self.hidden_bias = (
            np.array(array, self.dtype, order="C") for array in parameters
        )
        for array in self.parameters:
            array.setflags(write=False)
        units.check_normalizable(self.visible, self.hidden, self.weights)
        if symmetry is not None:
            symmetry.check(*self.parameters, self.visible, self.hidden)
        self.symmetry = symmetry

    @classmethod
    def random(
        cls,
        n_visible: int,
        n_hidden: int,
        seed: int,
        scale: float = 0.01,
        visible: str | units.Unit = "bernoulli",
        hidden: str | units.Unit = "bernoulli",
        dtype: type = np.float64,
    ) -> "RBM":
        """A model with weights drawn from a normal distribution of standard deviation `scale` and zero biases.

        Parameters
        ----------
        n_visible, n_hidden : int
            Entries of the state of each layer: the number of units, times q for Potts units.
        seed : int
            0 to 2**64 - 1.
        scale : float
            0.01 is small enough for hidden units to differ without being decided.
        visible, hidden : str or unit
        dtype : float32 or float64

        Raises
        ------
        InputError
            If an argument is out of range.

        Examples
        --------
        >>> from mcgen import rbm
        >>> rbm.RBM.random(n_visible=16, n_hidden=4, seed=1)
        RBM(n_visible=16, n_hidden=4, visible='bernoulli', hidden='bernoulli', dtype='float64')
        """
        n_visible = checks.integer("n_visible", n_visible, 1)
        n_hidden = checks.integer("n_hidden", n_hidden, 1)
        scale = checks.real("scale", scale)
        weights = scale * rng.normals(seed, rng.purpose.RBM_PARAMETERS, n_visible, n_hidden)
        return cls(weights.astype(dtype), np.zeros(n_visible, dtype), np.zeros(n_hidden, dtype), visible, hidden)

    @classmethod
    def symmetric(
        cls,
        shape: int | Sequence[int],
        n_filters: int,
        seed: int,
        scale: float = 0.01,
        spin_flip: bool = False,
        visible: str | units.Unit = "bernoulli",
        hidden: str | units.Unit = "bernoulli",
        dtype: type = np.float64,
    ) -> "RBM":
        """A model of a periodic lattice whose hidden units are a few filters, shared by all translations.

        It is a plain model: samplers and exact sums see plain weights. Training changes the few free parameters that
        stand for all of them (see `Symmetry`), so that p(v) has the symmetry of the lattice and less data is needed.

        Parameters
        ----------
        shape : int or sequence of int
            Sites along each axis; the visible units are the sites in row-major order.
        n_filters : int
            Each makes one hidden unit for each site (two for ReLU units with `spin_flip`).
        seed : int
            0 to 2**64 - 1.
        scale : float
            Standard deviation of the filters' weights; free biases are 0.
        spin_flip : bool
            Whether p(v) is to be p(-v) too (p(1 - v) for Bernoulli units).
        visible, hidden : str or unit
            Not Potts.
        dtype : float32 or float64

        Raises
        ------
        InputError
            If an argument is out of range.

        Examples
        --------
        >>> from mcgen import rbm
        >>> tied = rbm.RBM.symmetric(shape=(4, 4), n_filters=1, seed=1)
        >>> tied.weights.shape, tied.symmetry.n_free
        ((16, 16), 18)
        """
        tie = Symmetry(shape, n_filters, spin_flip, visible, hidden)
        parameters = (array.astype(dtype) for array in tie.random_parameters(seed, scale))
        return cls(*parameters, visible, hidden, tie)

    @property
    def parameters(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(weights, visible_bias, hidden_bias)."""
        return self.weights, self.visible_bias, self.hidden_bias

    def replace(self, weights: np.ndarray, visible_bias: np.ndarray, hidden_bias: np.ndarray) -> "RBM":
        """A model of the same unit kinds and the same symmetry with other parameters."""
        return RBM(weights, visible_bias, hidden_bias, self.visible, self.hidden, self.symmetry)

    def transposed(self) -> "RBM":
        """The same distribution with the names of the two layers exchanged; without the symmetry, if there is one."""
        return RBM(self.weights.T, self.hidden_bias, self.visible_bias, self.hidden, self.visible)

    def tempered(self, beta: float) -> "RBM":
        """The model with the weights and biases times beta: at beta = 0 all units are independent, without fields.

        For units with finitely many states this is p^beta / sum p^beta, the model at the temperature 1 / beta; the own
        energies of continuous units stay as they are.

        Raises
        ------
        InputError
            If beta is not finite, or Z is infinite.

        Examples
        --------
        >>> from mcgen import rbm
        >>> model = rbm.RBM.random(n_visible=3, n_hidden=2, seed=1)
        >>> bool((model.tempered(0.5).weights == 0.5 * model.weights).all())
        True
        """
        beta = checks.real("beta", beta)
        return self.replace(*(self.dtype.type(beta) * array for array in self.parameters))

    def __repr__(self) -> str:
        symmetry = "" if self.symmetry is None else f", symmetry={self.symmetry!r}"
        return (
            f"RBM(n_visible={self.n_visible}, n_hidden={self.n_hidden}, visible={self.visible.name!r}, "
            f"hidden={self.hidden.name!r}, dtype={self.dtype.name!r}{symmetry})"
        )

    def check_visible(self, v: np.ndarray, name: str = "v", exact_states: bool = False) -> np.ndarray:
        """v in the model's dtype, C-contiguous, checked to fit the visible layer.

        Raises
        ------
        InputError
            If the last axis is not n_visible, a value is NaN or infinite, or a value lies outside the units' range
            (or, with `exact_states`, is not one of their states).
        """
        return self._check_layer(v, name, self.n_visible, self.visible, exact_states)

    def check_rows(self, v: np.ndarray, name: str = "v") -> np.ndarray:
        """v as `check_visible` gives it, checked to be a table of states with at least one row.

        Raises
        ------
        InputError
            If v is no table of states of the visible units, or has no rows.
        """
        v = self.check_visible(v, name, exact_states=True)
        if v.ndim != 2 or len(v) == 0:
            raise InputError(
                f"{name} has shape {v.shape}; give a table of at least one row, shape (n_rows, {self.n_visible})"
            )
        return v

    def check_hidden(self, h: np.ndarray, name: str = "h", exact_states: bool = False) -> np.ndarray:
        """h, likewise for the hidden layer."""
        return self._check_layer(h, name, self.n_hidden, self.hidden, exact_states)

    def _check_layer(self, states: np.ndarray, name: str, n_units: int, unit: units.Unit, exact: bool) -> np.ndarray:
        states = checks.finite_array(name, states)
        if states.ndim == 0 or states.shape[-1] != n_units:
            raise InputError(
                f"{name} has shape {states.shape}; its last axis must have length {n_units}, one for each "
                "entry of the units' state"
            )
        unit.check(name, states, exact)
        return np.ascontiguousarray(states, self.dtype)

    def energy(self, v: np.ndarray, h: np.ndarray) -> np.ndarray:
        """E(v, h) = U(v) + U(h) - b.v - c.h - v.W.h of each pair of rows.

        Parameters
        ----------
        v : array, shape (..., n_visible)
        h : array, shape (..., n_hidden)

        Returns
        -------
        array, shape (...)

        Raises
        ------
        InputError
            If a shape does not fit or a value lies outside the units' range.
        """
        v, h = self.check_visible(v), self.check_hidden(h)
        own = self.visible.energy_term(v) + self.hidden.energy_term(h)
        return own - (v @ self.visible_bias) - h @ self.hidden_bias - ((v @ self.weights) * h).sum(axis=-1)

    def free_energy(self, v: np.ndarray, device: str = "cpu") -> np.ndarray:
        """F(v) = -log sum_h e^{-E(v, h)} = U(v) - b.v - sum_j Gamma_j(c_j + sum_i v_i W_ij).

        Gamma_j(x) = log sum_{h_j} e^{x h_j - U(h_j)} is the cumulant function of the hidden units, with an integral
        where they are continuous. The marginal of the visible layer is p(v) = e^{-F(v)} / Z.

        Parameters
        ----------
        v : array, shape (..., n_visible)
        device : {"cpu", "cuda"}

        Returns
        -------
        float64, shape (...)

        Raises
        ------
        InputError
            If a shape does not fit or a value lies outside the units' range.
        DeviceError
            If the device cannot be used.

        References
        ----------
        Hinton, UTML TR 2010-003, eq. 25. Hjorth-Jensen (2025), "Marginal and conditional probabilities".

        Examples
        --------
        >>> import numpy as np
        >>> from mcgen import rbm
        >>> model = rbm.RBM(np.zeros((2, 3)), np.zeros(2), np.zeros(3))
        >>> round(float(model.free_energy([0, 1])), 6)  # -3 log 2
        -2.079442
        """
        v = self.check_visible(v)
        return free_energy_of_rows(self, v.reshape(-1, self.n_visible), device).reshape(v.shape[:-1])

    def hidden_mean(self, v: np.ndarray, device: str = "cpu") -> np.ndarray:
        """<h_j> given v, Gamma_j'(x) at x = c_j + sum_i v_i W_ij: sigmoid(x) for Bernoulli units, tanh(x) for spins.

        Parameters
        ----------
        v : array, shape (..., n_visible)
        device : {"cpu", "cuda"}

        Returns
        -------
        array of the model's dtype, shape (..., n_hidden)

        Raises
        ------
        InputError
            If a shape does not fit or a value lies outside the units' range.
        DeviceError
            If the device cannot be used.
        """
        return _layer_means(self.check_visible(v), self.weights, self.hidden_bias, self.hidden, device)

    def visible_mean(self, h: np.ndarray, device: str = "cpu") -> np.ndarray:
        """<v_i> given h, Gamma_i'(x) at x = b_i + sum_j W_ij h_j: sigmoid(x) for Bernoulli units, tanh(x) for spins.

        Parameters
        ----------
        h : array, shape (..., n_hidden)
        device : {"cpu", "cuda"}

        Returns
        -------
        array of the model's dtype, shape (..., n_visible)

        Raises
        ------
        InputError
            If a shape does not fit or a value lies outside the units' range.
        DeviceError
            If the device cannot be used.
        """
        weights = np.ascontiguousarray(self.weights.T)
        return _layer_means(self.check_hidden(h), weights, self.visible_bias, self.visible, device)


def free_energy_of_rows(model: RBM, rows: np.ndarray, device: str) -> np.ndarray:
    """F(v) of rows that are known to be states of the visible units."""
    target = backend.target(device)
    rows = np.ascontiguousarray(rows, np.float64)
    energies = target.to_device(np.empty(len(rows)))
    fields = target.to_device(np.empty((len(rows), model.n_hidden)))
    if len(rows):
        # In float64 for float32 models too: F is compared with log Z.
        arrays = (target.to_device(np.ascontiguousarray(array, np.float64)) for array in (rows, *model.parameters))
        hidden = model.hidden.arguments_on(target)
        target.launch(target.kernels("rbm").free_energies, len(rows), 1, energies, fields, *arrays, *hidden)
    return target.to_host(energies) + model.visible.energy_term(rows)


def _layer_means(
    states: np.ndarray, weights: np.ndarray, bias: np.ndarray, kind: units.Unit, device: str
) -> np.ndarray:
    rows = states.reshape(-1, states.shape[-1])
    target = backend.target(device)
    means = target.to_device(np.empty((len(rows), len(bias)), weights.dtype))
    if len(rows):
        arrays = map(target.to_device, (rows, weights, bias))
        kernel = target.kernels("rbm").layer_means
        target.launch(kernel, len(rows), len(bias), means, *arrays, *kind.arguments_on(target))
    return target.to_host(means).reshape(*states.shape[:-1], len(bias))
