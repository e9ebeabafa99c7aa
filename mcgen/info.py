"""What this installation of mcgen runs on."""

import platform
import sys
from importlib import metadata

import numba
import numpy as np  # noqa: F401 - loads its BLAS, so that it is listed
import scipy.linalg  # noqa: F401 - likewise
import threadpoolctl

from mcgen import backend, provenance
from mcgen._vectors import LANES
from mcgen.errors import DeviceError


def describe() -> str:
    """Versions, devices and linear algebra libraries, one on a line.

    Examples
    --------
    >>> from mcgen import info
    >>> info.describe().splitlines()[0].split()[0]
    'mcgen'
    """
    lines = [f"mcgen {metadata.version('mcgen')}, Python {sys.version.split()[0]}, {platform.platform()}"]
    lines += [f"{name} {metadata.version(name)}" for name in provenance.LIBRARIES]
    for name in backend.DEVICES:
        try:
            lines.append(f"device {backend.target(name).describe()}")
        except DeviceError as error:
            lines.append(f"device {name}: {str(error).removeprefix(f'device={name!r}: ')}")
    lines.append(f"threads {numba.get_num_threads()} of {numba.config.NUMBA_NUM_THREADS} (NUMBA_NUM_THREADS)")
    lines.append(f"vectors of {LANES} float64 numbers in the exact sums")
    for library in threadpoolctl.threadpool_info():
        if library["user_api"] == "blas":
            kernels = library.get("architecture", "unknown")
            words = f"BLAS {library['internal_api']} {library['version']}, {kernels} kernels"
            lines.append(f"{words}, {library['num_threads']} threads")
    lines.append(f"random numbers {provenance.GENERATOR}")
    return "\n".join(lines)
