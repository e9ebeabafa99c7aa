"""The CUDA twins in Numba's simulator, and what the simulator notices: one process for all checks of a module."""

import functools

import pytest
from twins.running import simulated
from twins.simulator_checks import CHECKS as OF_SIMULATOR
from twins.twin_checks import CHECKS

printed = functools.cache(simulated)


@pytest.mark.parametrize("name", CHECKS)
def test_cuda_twin_agrees_with_cpu_twin(name):
    lines = printed("twin_checks")
    assert [line for line in lines if line.startswith(name + " ")] == [f"{name} agrees"], lines


@pytest.mark.parametrize("name", OF_SIMULATOR)
def test_simulator_notices(name):
    lines = printed("simulator_checks")
    assert f"{name} agrees" in lines, lines
