"""Chi-square tests of states against exact probabilities, and kernels with a deliberately wrong formula."""

import functools
import types

import numba
import numpy as np
from scipy.stats import chi2

from mcgen import _cpu, enumeration


def p_value(states, probabilities, index=None):
    """Chi-square of the counts of states, those expected fewer than 10 times taken together.

    `index` gives the number of each state; by default units are bits.
    """
    return p_of_counts(count(states, len(probabilities), index), probabilities)


def combined(draw, probabilities, seeds, index=None):
    """The p-value of all states that draw(seed) gives for several seeds: of one sum of counts, which tells most."""
    return p_of_counts(sum(count(draw(seed), len(probabilities), index) for seed in seeds), probabilities)


def count(states, n_states, index=None):
    """How often each state is there."""
    if index is None:
        return enumeration.empirical_distribution(states) * len(states)
    return np.bincount(index(states), minlength=n_states)


def p_of_counts(counts, probabilities):
    """Chi-square of numbers of states, those expected fewer than 10 times taken together."""
    expected = probabilities * counts.sum()
    rare = expected < 10
    expected = np.append(expected[~rare], expected[rare].sum())
    counts = np.append(counts[~rare], counts[rare].sum())
    there = expected > 0
    assert there[-1] or counts[-1] == 0
    expected, counts = expected[there], counts[there]
    return chi2.sf(np.sum((counts - expected) ** 2 / expected), len(expected) - 1)


@functools.cache  # tests of several systems share what takes seconds to compile
def with_wrong_formula(kernel, room, module_name, formula_name, wrong):
    """The kernel, compiled for one thread, with one formula replaced by wrong(formula).

    `room` is the name under which the kernel's file keeps the compiled formulas of the module.
    """
    right = _cpu.formulas(module_name)
    biased = types.ModuleType(module_name)
    vars(biased).update({name: value for name, value in vars(right).items() if not name.startswith("__")})
    setattr(biased, formula_name, _cpu.helper(wrong(getattr(right, formula_name))))
    function = kernel.py_func
    names = _with_changed(function.__globals__, {room: biased})
    return numba.njit(**_cpu.OPTIONS)(types.FunctionType(function.__code__, names, function.__name__))


def _with_changed(names, changed):
    """The globals of a kernel with some names changed, and with them the parts of the kernel that use these.

    The parts are functions of its own file, in the order of the file, and those of modules that its file imports and
    that know the changed names too (rows of units).
    """
    names = dict(names) | changed
    for name, value in list(names.items()):
        ours = isinstance(value, types.ModuleType) and value.__name__.startswith("mcgen.")
        is_part = ours and name not in changed
        if is_part and set(changed) & set(vars(value)):
            copy = types.ModuleType(value.__name__)
            vars(copy).update(_with_changed(vars(value), changed))
            names[name] = copy
            changed = changed | {name: copy}
    done = set(changed)
    own = names.get("__name__")
    for name, value in list(names.items()):
        if (
            hasattr(value, "py_func")
            and value.py_func.__module__ == own
            and done & set(value.py_func.__code__.co_names)
        ):
            names[name] = _cpu.helper(types.FunctionType(value.py_func.__code__, names, name))
            done.add(name)
    return names
