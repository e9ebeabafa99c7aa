"""Compile the plain scalar functions of the `formulas` modules, once for each target.

A formula is an undecorated Python function, so that it can be read, tested and run as plain Python. A formula may call
another one, in its own module or imported from another `formulas` module. For a target, every formula is copied with
its global names bound to the copies, and each copy is handed to the decorator of that target.
"""

import hashlib
import importlib
import types
from collections.abc import Callable
from pathlib import Path

PACKAGE = Path(__file__).parent
# Besides the formulas: what kernels are built with.
OTHER_SOURCES = (
    *("rng/purpose.py", "ising/exact/transfer/runs.py", "rbm/units/fields.py", "rbm/units/rows.py", "vae/panels.py"),
    *("_cpu.py", "_lanes.py", "_products.py", "_vectors.py"),
)


def _is_formula(value: object) -> bool:
    return isinstance(value, types.FunctionType) and value.__module__.rpartition(".")[2] == "formulas"


class Formulas:
    """The formulas of mcgen compiled by one decorator; modules are compiled when first asked for."""

    def __init__(self, decorate: Callable):
        self._decorate = decorate
        self._modules: dict[str, types.ModuleType] = {}

    def __call__(self, module_name: str) -> types.ModuleType:
        """The compiled formulas of the module `module_name`, as a module: Numba resolves names in modules."""
        if module_name in self._modules:
            return self._modules[module_name]
        module = importlib.import_module(module_name)
        names = dict(vars(module))  # the globals that the copies see
        for name, value in vars(module).items():
            if not _is_formula(value):
                continue
            if value.__module__ == module_name:
                copy = types.FunctionType(value.__code__, names, name, value.__defaults__, value.__closure__)
                copy.__module__, copy.__doc__ = value.__module__, value.__doc__
                vars(copy).update(vars(value))
                names[name] = self._decorate(copy)
            else:
                names[name] = getattr(self(value.__module__), value.__name__)
        compiled = types.ModuleType(module_name)
        vars(compiled).update({name: names[name] for name, value in vars(module).items() if _is_formula(value)})
        self._modules[module_name] = compiled
        return compiled


def sources_digest() -> str:
    """A short digest of the sources that are compiled into kernels from other files than their own.

    Numba's cache notices edits only in the file of the kernel itself; kernels carry this digest in their name, so that
    an edited formula (or compiler option, or purpose of a random stream) is never hidden behind an older kernel.
    """
    digest = hashlib.sha256()
    for path in (*sorted(PACKAGE.rglob("formulas.py")), *(PACKAGE / name for name in OTHER_SOURCES)):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:8]
