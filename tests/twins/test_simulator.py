"""The CUDA twins in Numba's simulator: one process for all checks."""

import pytest
from twins.running import simulated
from twins.twin_checks import CHECKS


@pytest.fixture(scope="module")
def printed():
    return simulated("twin_checks")


@pytest.mark.parametrize("name", CHECKS)
def test_cuda_twin_agrees_with_cpu_twin(name, printed):
    lines = [line for line in printed if line.startswith(name + " ")]
    assert lines == [f"{name} agrees"], printed
