"""A number with its error bar, and how it is written."""

import math
from typing import NamedTuple

import numpy as np


class Estimate(NamedTuple):
    """A number with its error bar, or an array of them. Prints as physicists write it, for example 1.2346(12).

    value : float, or float64 array
    error : float, or float64 array
        One standard deviation of the value.
    autocorrelation_time : float
        Integrated, in units of the distance between draws; NaN where nothing varies.
    effective_sample_size : float
        Number of independent draws that would give the same error; NaN where nothing varies.
    """

    value: float | np.ndarray
    error: float | np.ndarray
    autocorrelation_time: float
    effective_sample_size: float

    def scaled(self, factor: float) -> "Estimate":
        """The estimate times a constant, for example 1 / n_sites.

        Examples
        --------
        >>> from mcgen import stats
        >>> print(stats.Estimate(-32.0, 0.5, 1.0, 100.0).scaled(1 / 16))
        -2.000(31)
        """
        return self._replace(value=self.value * factor, error=self.error * abs(factor))

    def __str__(self) -> str:
        if np.ndim(self.value) == 0:
            return format_error(self.value, self.error)
        texts = np.vectorize(format_error, otypes=[object])(self.value, self.error)
        return np.array2string(texts, formatter={"all": str})


def format_error(value: float, error: float) -> str:
    """The value with its error in the last two digits, in brackets, as physicists write it.

    Examples
    --------
    >>> from mcgen import stats
    >>> stats.format_error(1.23456, 0.00123), stats.format_error(-25.05, 3.1), stats.format_error(0.5, 0.0)
    ('1.2346(12)', '-25.1(3.1)', '0.5(0)')
    """
    if not math.isfinite(error) or not math.isfinite(value):
        return f"{value:g}({error:g})"
    if error == 0:
        return f"{value:g}(0)"
    decimals = 1 - math.floor(math.log10(error))
    if round(error * 10**decimals) >= 100:  # 0.0996 rounds to three digits
        decimals -= 1
    if decimals <= 0:
        return f"{value:.0f}({error:.0f})"
    if error >= 1:
        return f"{value:.{decimals}f}({error:.{decimals}f})"
    return f"{value:.{decimals}f}({round(error * 10**decimals)})"
