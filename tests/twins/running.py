"""How checks of CUDA kernels are run: in Numba's simulator, or on a GPU where there is one."""

import os
import subprocess
import sys
from pathlib import Path

from mcgen import backend
from mcgen.errors import DeviceError


def gpu_is_there():
    try:
        backend.target("cuda")
    except DeviceError:
        return False
    return True


def simulated(module):
    """The lines that a module of checks prints in the simulator, which has to be chosen before Numba is imported."""
    environment = os.environ | {"NUMBA_ENABLE_CUDASIM": "1", "PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, "-P", "-W", "error::RuntimeWarning", "-m", "twins.simulator", f"twins.{module}"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    return [*done.stdout.splitlines(), done.stderr]
