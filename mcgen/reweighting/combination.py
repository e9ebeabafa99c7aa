"""What combined runs say of any temperature that they cover: averages and partition functions."""

import dataclasses
import warnings
from collections.abc import Sequence

import numpy as np

from mcgen import checks
from mcgen.errors import InputError, StatisticsWarning
from mcgen.ising.lattice import Ising
from mcgen.reweighting import solution
from mcgen.reweighting.solution import SMALLEST_SAMPLE, Solution
from mcgen.stats import Estimate

# Outside the temperatures of the runs, no more of the weight may lie at the last energy that was seen: energies beyond
# it that were not seen would matter.
LARGEST_EDGE = 0.2


@dataclasses.dataclass(frozen=True, repr=False)
class Combination:
    """Runs of one lattice at several temperatures, as one weighted sample of any temperature: see `combine`.

    At the temperature T, draw n of a run has the weight w_n = e^{-E_n / T} / (g m(E_n)), with the density
    m(E) = sum_k M_k e^{-E / T_k} / Z_k of all runs together, and averages are <A> = sum_n w_n A_n / sum_n w_n.
    M_k = N_k / g_k counts the independent ones among the N_k draws of a run.

    Errors follow from how each draw moves a result to first order, by itself and by way of the Z_k. Sums of these
    influences over blocks of draws go to `stats.mean`, which sees what blocks remember of each other: a jackknife that
    need not solve the equations again without each block.

    Attributes
    ----------
    lattice : Ising
    temperatures : float64, shape (n_runs,)
        In the order of the runs.
    inefficiencies : float64, shape (n_runs,)
        g, draws for each independent one: the autocorrelation time of each run's energy.
    log_partitions : Estimate of arrays, shape (n_runs,)
        ln Z of the runs: absolute if that of the first was given, otherwise relative to it. The errors are those of the
        difference to the first.
    """

    lattice: Ising
    temperatures: np.ndarray
    inefficiencies: np.ndarray
    log_partitions: Estimate
    _solution: Solution

    def __repr__(self) -> str:
        return f"Combination({self.lattice}, temperatures={self.temperatures.tolist()})"

    def summary(self, temperature: float) -> dict[str, Estimate]:
        """The observables of `observables.summary` at any temperature that the runs cover.

        Parameters
        ----------
        temperature : float
            T in units of energy, above 0.

        Returns
        -------
        dict of Estimate
            With the same names and units, totals over the lattice. Effective sample sizes are those of the weights,
            `effective_sample_size`; autocorrelation times are NaN.

        Raises
        ------
        InputError
            If the temperature is not positive, or lies so far outside those of the runs that they are worth fewer than
            20 independent draws there, or that more than 20 percent of the weight is at the last energy they have seen.

        Warns
        -----
        StatisticsWarning
            If the runs are worth fewer than 20 independent draws, or an error bar rests on fewer.

        References
        ----------
        Ferrenberg & Swendsen, Phys. Rev. Lett. 61, 2635 (1988).

        Examples
        --------
        >>> from mcgen import ising, reweighting
        >>> lattice = ising.Ising((8, 8))
        >>> runs = [ising.sample(lattice, T, n_chains=64, n_draws=100, seed=seed) for T, seed in ((2.2, 1), (2.6, 2))]
        >>> energy = reweighting.combine(runs).summary(temperature=2.4)["energy"]
        >>> abs(energy.value - ising.exact.thermodynamics(lattice, 2.4).energy) < 4 * energy.error
        True
        """
        temperature = self._covered(temperature)
        pool = self._solution.pool
        energy = pool.levels[pool.level]
        mean_energy = solution.averages(self._solution, temperature, energy * pool.count)[0][0]
        values, influences = solution.averages(
            self._solution,
            temperature,
            energy * pool.count,
            (energy - mean_energy) ** 2 * pool.count,
            *(pool.powers[name] for name in ("M", "|M|", "M^2", "M^4")),
        )
        u, c, m, a, m2, m4 = values
        t = temperature
        ratio = m4 / m2**2 if m2 > 0 else float("nan")
        # Each observable, and its derivatives with respect to these six averages.
        derived = {
            "energy": (u, [1, 0, 0, 0, 0, 0]),
            "heat_capacity": (c / t**2, [0, 1 / t**2, 0, 0, 0, 0]),
            "magnetization": (m, [0, 0, 1, 0, 0, 0]),
            "abs_magnetization": (a, [0, 0, 0, 1, 0, 0]),
            "susceptibility": ((m2 - m**2) / t, [0, 0, -2 * m / t, 0, 1 / t, 0]),
            "abs_susceptibility": ((m2 - a**2) / t, [0, 0, 0, -2 * a / t, 1 / t, 0]),
            "magnetization_squared": (m2, [0, 0, 0, 0, 1, 0]),
            "magnetization_fourth": (m4, [0, 0, 0, 0, 0, 1]),
            "binder_ratio": (ratio, [0, 0, 0, 0, -2 * ratio / m2, 1 / m2**2] if m2 > 0 else [0] * 6),
        }
        errors = solution.errors(pool, np.array([slopes for _, slopes in derived.values()]) @ influences)
        size = self.effective_sample_size(t)
        result = {
            name: Estimate(float(value), float(error), float("nan"), size)
            for (name, (value, _)), error in zip(derived.items(), errors, strict=True)
        }
        # Deviations from the mean of the same draws miss the squared error of that mean.
        for name, mean, factor in (
            ("heat_capacity", "energy", t**-2),
            ("susceptibility", "magnetization", 1 / t),
            ("abs_susceptibility", "abs_magnetization", 1 / t),
        ):
            result[name] = result[name]._replace(value=result[name].value + factor * result[mean].error ** 2)
        if not m2 > 0:
            result["binder_ratio"] = result["binder_ratio"]._replace(error=float("nan"))
        return result

    def average(self, series: Sequence[np.ndarray], temperature: float) -> Estimate:
        """The average of any observable at any temperature that the runs cover.

        Parameters
        ----------
        series : sequence of arrays, shape (n_chains, n_draws)
            The observable of each draw: one array for each run, in their order.
        temperature : float
            T in units of energy, above 0.

        Returns
        -------
        Estimate
            As in `summary`.

        Raises
        ------
        InputError
            If the series do not fit the runs, a value is NaN or infinite, or the temperature is refused by `summary`.

        Warns
        -----
        StatisticsWarning
            As in `summary`.

        Examples
        --------
        >>> from mcgen import ising, reweighting
        >>> run = ising.sample(ising.Ising((4, 4)), temperature=3.0, n_chains=64, n_draws=100, seed=1)
        >>> combination = reweighting.combine([run])
        >>> bool(abs(combination.average([run.energy], 3.0).value - run.energy.mean()) < 1e-9)
        True
        """
        temperature = self._covered(temperature)
        pool = self._solution.pool
        if len(series) != len(pool.shapes):
            raise InputError(f"series has {len(series)} arrays for {len(pool.shapes)} runs; give one for each run")
        draws = [
            checks.finite_array(f"series[{k}]", values, shape).ravel()
            for k, (values, shape) in enumerate(zip(series, pool.shapes, strict=True))
        ]
        values, influences = solution.averages(self._solution, temperature, pool.over_cells(np.concatenate(draws)))
        return self._estimate(values[0], influences, temperature)

    def log_partition(self, temperature: float) -> Estimate:
        """ln Z = ln sum_n w_n at any temperature that the runs cover, absolute or relative as `log_partitions`.

        Parameters
        ----------
        temperature : float
            T in units of energy, above 0.

        Returns
        -------
        Estimate
            With the error of the difference to ln Z of the first run.

        Raises
        ------
        InputError
            If the temperature is refused as in `summary`.

        Warns
        -----
        StatisticsWarning
            As in `summary`.

        Examples
        --------
        >>> from mcgen import ising, reweighting
        >>> lattice = ising.Ising((4, 4))
        >>> run = ising.sample(lattice, temperature=3.0, n_chains=64, n_draws=100, seed=1)
        >>> known = ising.exact.log_partition(lattice, 3.0)
        >>> log_z = reweighting.combine([run], log_partition=known).log_partition(2.9)
        >>> abs(log_z.value - ising.exact.log_partition(lattice, 2.9)) < 4 * log_z.error
        True
        """
        temperature = self._covered(temperature)
        value, influences = solution.log_partition(self._solution, temperature)
        return self._estimate(value, influences, temperature)

    def effective_sample_size(self, temperature: float) -> float:
        """How many independent draws at this temperature the runs are worth: (sum_n w_n)^2 / sum_n g w_n^2.

        Parameters
        ----------
        temperature : float
            T in units of energy, above 0.

        Returns
        -------
        float
            For one run at its own temperature, the number of its draws over g.

        Raises
        ------
        InputError
            If the temperature is not positive.

        References
        ----------
        Kish, Survey sampling (1965), section 11.7.

        Examples
        --------
        >>> from mcgen import ising, reweighting
        >>> run = ising.sample(ising.Ising((4, 4)), temperature=3.0, n_chains=64, n_draws=100, seed=1)
        >>> combination = reweighting.combine([run])
        >>> combination.effective_sample_size(3.0) > combination.effective_sample_size(2.5) > 100
        True
        """
        weights = solution.weights(self._solution, checks.positive("temperature", temperature))[0]
        return float(1.0 / (self._solution.draws @ weights**2))

    def _estimate(self, value: float, influences: np.ndarray, temperature: float) -> Estimate:
        error = solution.errors(self._solution.pool, influences)[0]
        return Estimate(float(value), float(error), float("nan"), self.effective_sample_size(temperature))

    def _covered(self, temperature: float) -> float:
        """The temperature, checked to be one that the runs have something to say about."""
        size = self.effective_sample_size(temperature)
        lowest, highest = self.temperatures.min(), self.temperatures.max()
        outside = not lowest <= temperature <= highest
        where = f"temperature={temperature:g} lies outside those of the runs, {lowest:g} to {highest:g}, where"
        way_out = "add a run nearer to it"
        if size < SMALLEST_SAMPLE and outside:
            raise InputError(
                f"{where} they are worth {size:.3g} independent draws, fewer than {SMALLEST_SAMPLE:g}; {way_out}"
            )
        if size < SMALLEST_SAMPLE:
            warnings.warn(
                f"at temperature={temperature:g} the runs are worth {size:.3g} independent draws, fewer than "
                f"{SMALLEST_SAMPLE:g}, and errors are uncertain; make the runs longer, or {way_out}",
                StatisticsWarning,
                stacklevel=3,
            )
        if outside:
            edge = 0 if temperature < lowest else -1
            weight = (solution.weights(self._solution, temperature)[0] * self._solution.draws)[edge]
            energy = self._solution.pool.levels[edge]
            bound = np.abs(self.lattice.coupling).sum() + np.abs(self.lattice.field).sum()
            if weight > LARGEST_EDGE and abs(energy) < bound * (1 - 1e-9):
                raise InputError(
                    f"{where} {100 * weight:.2g} percent of the weight is at the last energy they have seen, "
                    f"{energy:g}, more than {100 * LARGEST_EDGE:g}: others beyond it may be missing; {way_out}"
                )
        return float(temperature)
