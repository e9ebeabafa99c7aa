"""Tests run in two processes (see addopts): what each computes on, and which files it takes."""

import os

if "PYTEST_XDIST_WORKER" in os.environ:  # or the processes would wait for each other
    os.environ.setdefault("NUMBA_NUM_THREADS", "1")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
