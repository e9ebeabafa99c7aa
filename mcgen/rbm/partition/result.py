"""What every estimate of a partition function returns, and when it is not to be believed."""

import dataclasses
import math
import warnings

from mcgen import loops
from mcgen.errors import StatisticsWarning
from mcgen.rbm import exact
from mcgen.rbm.model import RBM
from mcgen.stats import format_error

# Fewer effective samples do not show how far the heaviest ones reach, so that their scatter is no error.
FEWEST_EFFECTIVE = 20.0


@dataclasses.dataclass(frozen=True, eq=False)
class LogPartition:
    """An estimate of log Z, or its exact value, with what is needed to judge it.

    Attributes
    ----------
    value : float
        log Z in nats.
    error : float
        One standard deviation of the value; 0 for an exact sum, NaN for approximations without one.
    effective_sample_size : float
        How many independent samples of equal weight would give the same error; NaN where that has no meaning.
    method : str
        "exact", "ais", "reverse ais", "sandwich", "bar", "mbar", "thermodynamic integration", "trajectory",
        "naive mean field" or "tap".
    interval : (float, float)
        Where log Z lies with a probability of 95 percent; not always symmetric about the value.
    lower, upper : float
        Of a sandwich: what is below and above log Z on average (stochastic bounds); NaN otherwise.
    checked_against : tuple of LogPartition
        Other values of the same log Z: the exact one where it was cheap, and the two sides of a sandwich.
    is_approximation : bool
        Whether nothing is known about the error.
    settings : dict
        What the estimate was made with.

    Examples
    --------
    >>> from mcgen import rbm
    >>> from mcgen.rbm.partition.result import LogPartition, exact_value
    >>> model = rbm.RBM.random(n_visible=6, n_hidden=4, seed=1)
    >>> estimate = LogPartition(6.931, 0.002, 480.0, "ais", (6.927, 6.935), checked_against=(exact_value(model),))
    >>> print(estimate)
    log Z = 6.9310(20) by ais, 95 percent interval 6.9270 to 6.9350, effective sample size 480
      exact: 6.92787, 1.6 errors below
    """

    value: float
    error: float
    effective_sample_size: float
    method: str
    interval: tuple[float, float]
    lower: float = math.nan
    upper: float = math.nan
    checked_against: tuple["LogPartition", ...] = ()
    is_approximation: bool = False
    settings: dict = dataclasses.field(default_factory=dict)

    def __str__(self) -> str:
        if self.method == "exact":
            return f"log Z = {self.value:.10g}, exact"
        if self.is_approximation:
            lines = [f"log Z = {self.value:.6g} by {self.method}, an approximation of unknown error"]
        else:
            decimals = _decimals(self.error)
            low, high = (f"{end:.{decimals}f}" for end in self.interval)
            line = f"log Z = {format_error(self.value, self.error)} by {self.method}"
            line += f", 95 percent interval {low} to {high}"
            if math.isfinite(self.effective_sample_size):
                line += f", effective sample size {self.effective_sample_size:.0f}"
            lines = [line]
            if math.isfinite(self.lower):
                lines.append(f"  lower end {self.lower:.{decimals}f}, upper end {self.upper:.{decimals}f}")
        return "\n".join([*lines, *(f"  {self._comparison(other)}" for other in self.checked_against)])

    def deviation(self, other: "LogPartition") -> float:
        """(other.value - value) / error, with the errors of both; NaN where neither has one.

        Parameters
        ----------
        other : LogPartition
            Another value of the same log Z.

        Examples
        --------
        >>> from mcgen.rbm.partition.result import LogPartition
        >>> one, other = (LogPartition(x, 0.1, 50.0, "ais", (x - 0.2, x + 0.2)) for x in (1.0, 1.3))
        >>> round(one.deviation(other), 3)
        2.121
        """
        errors = [one.error for one in (self, other) if math.isfinite(one.error)]
        error = math.hypot(*errors)
        return (other.value - self.value) / error if error > 0 else math.nan

    def _comparison(self, other: "LogPartition") -> str:
        value = f"{other.value:.6g}" if not other.error > 0 else format_error(other.value, other.error)
        deviation = self.deviation(other)
        if math.isnan(deviation):
            return f"{other.method}: {value}, {other.value - self.value:+.3g}"
        return f"{other.method}: {value}, {abs(deviation):.1f} errors {'above' if deviation >= 0 else 'below'}"


def _decimals(error: float) -> int:
    """Decimals with which a number is written whose error has two digits."""
    return min(10, max(0, 1 - math.floor(math.log10(error)))) if error > 0 and math.isfinite(error) else 6


def exact_value(model: RBM, device: str = "cpu", progress: bool | None = None) -> LogPartition:
    """The exact log Z as a result.

    Parameters
    ----------
    model : RBM
        Within reach of `rbm.exact.log_partition`.
    device : {"cpu", "cuda"}
    progress : bool, optional
        As for `rbm.exact.log_partition`.

    Returns
    -------
    LogPartition

    Raises
    ------
    InputError, SizeError, DeviceError
        As `rbm.exact.log_partition` does.

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen import rbm
    >>> from mcgen.rbm.partition.result import exact_value
    >>> print(exact_value(rbm.RBM(np.zeros((3, 2)), np.zeros(3), np.zeros(2))))  # 5 log 2
    log Z = 3.465735903, exact
    """
    with loops.begun() as loop:
        if loop.state is None:
            value = exact.log_partition(model, device, progress, checkpoint=loop.of_sum)
            loop.note(lambda: {"value": value})
        else:
            value = loop.state["value"]
    return LogPartition(value, 0.0, math.nan, "exact", (value, value), settings={"device": device})


def checks_of(model: RBM, device: str = "cpu") -> tuple[LogPartition, ...]:
    """The exact value where it takes about a second at most, to compare an estimate with; otherwise nothing.

    Parameters
    ----------
    model : RBM
    device : {"cpu", "cuda"}

    Returns
    -------
    tuple of LogPartition

    Examples
    --------
    >>> from mcgen import rbm
    >>> from mcgen.rbm.partition.result import checks_of
    >>> len(checks_of(rbm.RBM.random(6, 4, seed=1))), len(checks_of(rbm.RBM.random(80, 80, seed=1)))
    (1, 0)
    """
    return (exact_value(model, device),) if exact.is_quick(model) else ()


def warn_of_few_effective(effective: float, n_samples: int, what: str, remedy: str, stacklevel: int = 2) -> bool:
    """Warn if the weights of samples are so unequal that their scatter says little about the error.

    Parameters
    ----------
    effective : float
        (sum w)^2 / sum w^2, or another number of effective samples.
    n_samples : int
    what, remedy : str
        For the message: the estimate, and what makes it better.
    stacklevel : int
        Whose line the warning names, as for `warnings.warn` in the function that calls this one.

    Returns
    -------
    bool
        Whether it warned.

    Warns
    -----
    StatisticsWarning
        If there are fewer than 20.

    Examples
    --------
    >>> from mcgen.rbm.partition.result import warn_of_few_effective
    >>> warn_of_few_effective(200.0, 512, "log Z by ais", "raise n_runs")
    False
    """
    if effective >= FEWEST_EFFECTIVE:
        return False
    warnings.warn(
        f"{what} rests on {effective:.1f} effective samples of {n_samples}, fewer than {FEWEST_EFFECTIVE:.0f}, so that "
        f"its error cannot be trusted; {remedy}",
        StatisticsWarning,
        stacklevel=stacklevel + 1,
    )
    return True
