"""The CUDA twins in Numba's simulator, which has to be chosen before Numba is imported: one process for all checks."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from twins.twin_checks import CHECKS


@pytest.fixture(scope="module")
def printed():
    environment = os.environ | {"NUMBA_ENABLE_CUDASIM": "1"}
    script = Path(__file__).with_name("twin_checks.py")
    done = subprocess.run(
        [sys.executable, "-W", "error::RuntimeWarning", str(script)],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    return [*done.stdout.splitlines(), done.stderr]


@pytest.mark.parametrize("name", CHECKS)
def test_cuda_twin_agrees_with_cpu_twin(name, printed):
    lines = [line for line in printed if line.startswith(name + " ")]
    assert lines == [f"{name} agrees"], printed
