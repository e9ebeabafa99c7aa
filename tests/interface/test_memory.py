"""Freed memory stays with the process, so that kernels do not ask the system for it at every call."""

import os
import subprocess
import sys

import pytest

from mcgen import memory

# Four arrays of 3 MB, freed at once: more than the C library keeps by itself.
COUNT = """
import resource
import numpy as np
from mcgen import backend
backend.target("cpu")
def work():
    arrays = [np.full(400_000, 1.0) for _ in range(4)]
work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    work()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(**environment):
    kept = {name: value for name, value in os.environ.items() if name not in memory.OWN_CHOICES}
    out = subprocess.run([sys.executable, "-P", "-c", COUNT], env=kept | environment, capture_output=True, text=True)
    return int(out.stdout)


@pytest.mark.skipif(not memory._is_glibc(), reason="the C library is not glibc")
def test_working_memory_is_not_fetched_anew():
    assert page_faults() < 1000
    assert page_faults(MALLOC_TRIM_THRESHOLD_="131072") > 10_000  # the choice of who set it
