"""Chi-square tests of states against exact probabilities, and kernels with a deliberately wrong formula."""

import types

import numba
import numpy as np
from scipy.stats import chi2, combine_pvalues

from mcgen import _cpu, enumeration


def p_value(states, probabilities):
    """Chi-square of the counts of states, those expected fewer than 10 times taken together."""
    expected = probabilities * len(states)
    counts = enumeration.empirical_distribution(states) * len(states)
    rare = expected < 10
    expected = np.append(expected[~rare], expected[rare].sum())
    counts = np.append(counts[~rare], counts[rare].sum())
    there = expected > 0
    assert there[-1] or counts[-1] == 0
    expected, counts = expected[there], counts[there]
    return chi2.sf(np.sum((counts - expected) ** 2 / expected), len(expected) - 1)


def combined(draw, probabilities, seeds):
    """The p-value of the states that draw(seed) gives for several seeds."""
    return combine_pvalues([max(p_value(draw(seed), probabilities), 1e-300) for seed in seeds]).pvalue


def with_wrong_formula(kernel, room, module_name, formula_name, wrong):
    """The kernel, compiled for one thread, with one formula replaced by wrong(formula).

    `room` is the name under which the kernel's file keeps the compiled formulas of the module.
    """
    right = _cpu.formulas(module_name)
    biased = types.ModuleType(module_name)
    vars(biased).update({name: value for name, value in vars(right).items() if not name.startswith("__")})
    setattr(biased, formula_name, _cpu.helper(wrong(getattr(right, formula_name))))
    function = kernel.py_func
    names = dict(function.__globals__) | {room: biased}
    changed = {room}
    for name, value in function.__globals__.items():  # parts of the kernel that call the formula, in the file's order
        if name.startswith("_") and hasattr(value, "py_func") and changed & set(value.py_func.__code__.co_names):
            names[name] = _cpu.helper(types.FunctionType(value.py_func.__code__, names, name))
            changed.add(name)
    return numba.njit(**_cpu.OPTIONS)(types.FunctionType(function.__code__, names, function.__name__))
