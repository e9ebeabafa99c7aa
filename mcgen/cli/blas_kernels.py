"""Which matrix kernels OpenBLAS takes, decided before NumPy loads it.

OpenBLAS picks its kernels for the processor when it is loaded. On AMD processors with AVX-512 (Zen 4, Zen 5) the copies
that come with NumPy and SciPy may pick those for AVX2, at about half the speed. The environment variable
OPENBLAS_CORETYPE chooses others.
"""

import os
import sys
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
VARIABLE, CORE_TYPE = "OPENBLAS_CORETYPE", "SkylakeX"
# What the kernels of that name use. A virtual machine may hide some of it.
NEEDED = {"avx512f", "avx512cd", "avx512bw", "avx512dq", "avx512vl"}

_was_set_here = False


def choose() -> None:
    """Ask for AVX-512 kernels on AMD processors that have it, unless the user has chosen or NumPy is loaded already."""
    global _was_set_here
    if VARIABLE not in os.environ and "numpy" not in sys.modules and _is_amd_with_avx512():
        os.environ[VARIABLE] = CORE_TYPE
        _was_set_here = True


def describe() -> str:
    """One line on who chose.

    Examples
    --------
    >>> from mcgen.cli import blas_kernels
    >>> blas_kernels.describe().split()[0]
    'OPENBLAS_CORETYPE'
    """
    value = os.environ.get(VARIABLE)
    if value is None:
        return f"{VARIABLE} is not set: OpenBLAS picks its kernels"
    by = "mcgen, for an AMD processor with AVX-512" if _was_set_here else "the environment"
    return f"{VARIABLE} {value}, set by {by}"


def _is_amd_with_avx512() -> bool:
    try:
        text = CPUINFO.read_text()
    except OSError:  # no Linux
        return False
    first = text.split("\n\n")[0]
    fields = dict(line.split(":", 1) for line in first.splitlines() if ":" in line)
    fields = {name.strip(): value.strip() for name, value in fields.items()}
    return fields.get("vendor_id") == "AuthenticAMD" and set(fields.get("flags", "").split()) >= NEEDED
