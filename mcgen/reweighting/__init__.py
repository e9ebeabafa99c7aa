"""Averages at temperatures that were not simulated, from runs at others: single- and multi-histogram reweighting.

`combining` puts runs together and `combination` is what they then say. Below are `pool`, all draws, counted;
`equations`, for the partition functions of the runs; and `solution`, averages and how each block of draws moves them.
"""

from mcgen.reweighting.combination import Combination
from mcgen.reweighting.combining import combine

__all__ = ["Combination", "combine"]
