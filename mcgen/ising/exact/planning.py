"""What each exact method would cost for an Ising lattice, and which is taken.

| method | lattices | time grows as | gives |
| --- | --- | --- | --- |
| enumeration | any, up to 40 sites | 2^sites | everything |
| transfer | any whose frontier has at most 26 sites | sites * 2^frontier | everything; <|M|> up to a smaller size |
| kaufman | 2D tori without field, any size | sites along one axis | ln Z, energy, heat capacity |
"""

import math
from typing import NamedTuple

from mcgen import checks
from mcgen.errors import InputError, SizeError
from mcgen.ising.exact import summation, torus, transfer
from mcgen.ising.lattice import Ising
from mcgen.long_sums import LONG_SECONDS

METHODS = ("enumeration", "transfer", "kaufman")

# Seconds on two cores, measured: for a state, for a number of the tables that an enumeration starts with, and for a
# frontier state and site (and column). They only rank the methods.
SECONDS_PER_STATE = 0.35e-9
SECONDS_PER_TABLE_ENTRY = 2e-8
SECONDS_PER_STEP = {"log_partition": 1.2e-9, "moments": 7e-9, "distribution": 1.1e-9}
SECONDS_PER_SITE = 3e-5
# The transfer matrix has more kernels to load, or to compile the first time.
SECONDS_TO_START = {"enumeration": 1e-4, "transfer": 5e-3}
# Where Kaufman's formula gives the rest in milliseconds, the magnetisation is not worth more than this.
PATIENCE = 30.0


class Plan(NamedTuple):
    """What a method would cost for a lattice.

    method : its name
    seconds : about, on two cores; infinite if it cannot do it
    complete : whether it gives the whole of `Thermodynamics`
    obstacle : why it cannot do it, or ""
    """

    method: str
    seconds: float
    complete: bool
    obstacle: str


def _obstacle(lattice: Ising, method: str, quantity: str) -> str:
    """Why a method cannot do it, or ""."""
    if method == "kaufman":
        return torus.obstacle(lattice)
    try:
        if method == "enumeration":
            summation.check(lattice)
        else:
            bits = transfer.MOST_BITS if quantity == "log_partition" else transfer.MOST_MOMENT_BITS
            transfer.check(lattice, bits)
    except SizeError as error:
        return str(error)
    return ""


def gives_distribution(lattice: Ising, bits: int) -> bool:
    """Whether the transfer matrix, with a frontier of `bits` sites, can keep a column for each number of spins up."""
    return bits <= transfer.MOST_BITS and (lattice.n_sites + 1) << bits <= transfer.MOST_ELEMENTS


def plans(lattice: Ising, quantity: str = "thermodynamics") -> list[Plan]:
    """What each method would cost for a lattice, those that can do it first, the quickest of these first.

    Parameters
    ----------
    lattice : Ising
    quantity : {"thermodynamics", "log_partition"}

    Returns
    -------
    list of Plan

    Raises
    ------
    InputError
        If the quantity is unknown.

    Examples
    --------
    >>> from mcgen import ising
    >>> [(plan.method, plan.complete) for plan in ising.exact.plans(ising.Ising((8, 8)))]
    [('kaufman', False), ('transfer', True), ('enumeration', True)]
    >>> ising.exact.plans(ising.Ising((8, 8)))[-1].obstacle[:45]
    'the lattice (8, 8) has 64 sites, 2^64 states;'
    """
    checks.choice("quantity", quantity, ("thermodynamics", "log_partition"))
    n = lattice.n_sites
    found = []
    obstacle = _obstacle(lattice, "enumeration", quantity)
    seconds = math.inf
    if not obstacle:
        table = SECONDS_PER_TABLE_ENTRY * (1 << min(n, summation.LOW_SITES + summation.MIDDLE_SITES))
        seconds = SECONDS_TO_START["enumeration"] + table + math.ldexp(SECONDS_PER_STATE, n)
    found.append(Plan("enumeration", seconds, True, obstacle))

    obstacle = _obstacle(lattice, "transfer", quantity)
    bits = transfer.frontier(lattice)
    distribution = gives_distribution(lattice, bits)
    steps = {"log_partition": SECONDS_PER_STEP["log_partition"]}
    if quantity == "thermodynamics":
        steps = {"moments": SECONDS_PER_STEP["moments"]}
        if distribution:
            steps["distribution"] = SECONDS_PER_STEP["distribution"] * (n + 1)
    seconds = math.inf
    if not obstacle:
        seconds = SECONDS_TO_START["transfer"] + n * (
            len(steps) * SECONDS_PER_SITE + math.ldexp(sum(steps.values()), bits)
        )
    found.append(Plan("transfer", seconds, distribution, obstacle))

    obstacle = _obstacle(lattice, "kaufman", quantity)
    found.append(Plan("kaufman", 5e-4 if not obstacle else math.inf, False, obstacle))
    return sorted(found, key=lambda plan: plan.seconds)


def choose_method(lattice: Ising, quantity: str = "thermodynamics") -> str:
    """The method that method="auto" takes for a lattice.

    For log Z it is the quickest. For thermodynamics it is the quickest that gives all of it, unless that takes more
    than half a minute and Kaufman's formula gives ln Z, energy and heat capacity at once.

    Parameters
    ----------
    lattice : Ising
    quantity : {"thermodynamics", "log_partition"}

    Returns
    -------
    {"enumeration", "transfer", "kaufman"}

    Raises
    ------
    InputError
        If the quantity is unknown.
    SizeError
        If no method reaches the lattice; the message says why for each.

    Examples
    --------
    >>> from mcgen import ising
    >>> [ising.exact.choose_method(ising.Ising((length, length))) for length in (4, 8, 64)]
    ['enumeration', 'transfer', 'kaufman']
    """
    every = plans(lattice, quantity)
    possible = [plan for plan in every if not plan.obstacle]
    if not possible:
        reasons = "; ".join(f"{plan.method}: {plan.obstacle}" for plan in every)
        raise SizeError(f"no exact method reaches the lattice {lattice.shape} ({reasons})")
    if quantity == "log_partition":
        return possible[0].method
    complete = [plan for plan in possible if plan.complete]
    quick = possible[0].method == "kaufman" and not (complete and complete[0].seconds < PATIENCE)
    return possible[0].method if quick or not complete else complete[0].method


def method_for(lattice: Ising, method: str, quantity: str) -> str:
    """The method asked for, checked to be able to do it, or the one chosen."""
    if checks.choice("method", method, ("auto", *METHODS)) == "auto":
        return choose_method(lattice, quantity)
    obstacle = _obstacle(lattice, method, quantity)
    if obstacle:
        if method == "kaufman":
            raise InputError(f"method='kaufman' does not hold for {lattice!r}: {obstacle}; use method='auto'")
        raise SizeError(f"method={method!r}: {obstacle}")
    return method


def shows_progress(lattice: Ising, quantity: str, progress: bool | None) -> bool:
    """Whether a sweep of the transfer matrix shows its progress: by default if it takes more than a minute."""
    if progress is not None:
        return progress
    return {plan.method: plan.seconds for plan in plans(lattice, quantity)}["transfer"] > LONG_SECONDS
