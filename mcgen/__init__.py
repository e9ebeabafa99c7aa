"""mcgen: Monte Carlo for physics with Numba kernels, checked against exact partition functions.

The rooms are imported when they are first used: `from mcgen import ising, rbm, results, stats, observables`.
"""

import importlib

__all__ = [
    "errors", "ising", "observables", "optim", "parallel", "rbm", "reference", "report", "results", "reweighting",
    "rng", "stats", "vae",
]  # fmt: skip


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version

        return version("mcgen")
    if name in __all__:
        return importlib.import_module(f"mcgen.{name}")
    raise AttributeError(f"module 'mcgen' has no attribute {name!r}")
