"""Slow, obvious oracles: every formula typed again as loops over plain Python numbers, with exactly rounded sums."""

import itertools
import math
from decimal import Decimal, getcontext, localcontext


def states(n_units, low):
    """All states, unit 0 fastest: the position in the list is the state's index."""
    return [tuple(reversed(state)) for state in itertools.product((low, 1), repeat=n_units)]


def log_sum_exp(values):
    largest = max(values)
    return largest + math.log(math.fsum(math.exp(value - largest) for value in values))


# Random numbers


def philox4x32(counter, key, rounds=10):
    c, k = list(counter), list(key)
    for _ in range(rounds):
        p0, p1 = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(p1 >> 32) ^ c[1] ^ k[0], p1 & 0xFFFFFFFF, (p0 >> 32) ^ c[3] ^ k[1], p0 & 0xFFFFFFFF]
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return c


# The Ising model


def ising_energy(spins, shape, coupling, field, periodic):
    """H of one state, given as a flat tuple in row-major order; coupling(axis, site) and field(site) are functions."""
    sites = list(itertools.product(*(range(length) for length in shape)))
    index = {site: number for number, site in enumerate(sites)}
    terms = []
    for site in sites:
        terms.append(-field(site) * spins[index[site]])
        for axis, length in enumerate(shape):
            if site[axis] + 1 == length and not periodic[axis]:
                continue
            neighbor = (*site[:axis], (site[axis] + 1) % length, *site[axis + 1 :])
            terms.append(-coupling(axis, site) * spins[index[site]] * spins[index[neighbor]])
    return math.fsum(terms)


def ising_thermodynamics(energies, magnetizations, temperature):
    log_z = log_sum_exp([-energy / temperature for energy in energies])
    weights = [math.exp(-energy / temperature - log_z) for energy in energies]

    def mean(values):
        return math.fsum(w * x for w, x in zip(weights, values, strict=True))

    energy, m, abs_m = mean(energies), mean(magnetizations), mean([abs(x) for x in magnetizations])
    return {
        "log_partition": log_z,
        "free_energy": -temperature * log_z,
        "energy": energy,
        "heat_capacity": mean([(e - energy) ** 2 for e in energies]) / temperature**2,
        "entropy": -math.fsum(w * math.log(w) for w in weights if w > 0),
        "magnetization": m,
        "abs_magnetization": abs_m,
        "susceptibility": mean([(x - m) ** 2 for x in magnetizations]) / temperature,
        "abs_susceptibility": mean([(abs(x) - abs_m) ** 2 for x in magnetizations]) / temperature,
    }


# The restricted Boltzmann machine: W, b, c as nested lists or arrays


def rbm_energy(v, h, W, b, c):
    return -math.fsum(
        [b[i] * v[i] for i in range(len(v))]
        + [c[j] * h[j] for j in range(len(h))]
        + [v[i] * W[i][j] * h[j] for i in range(len(v)) for j in range(len(h))]
    )


def rbm_joint(W, b, c, visible_low, hidden_low):
    """log Z and the list of (v, h, p(v, h)) over all joint states."""
    pairs = [(v, h) for v in states(len(b), visible_low) for h in states(len(c), hidden_low)]
    log_weights = [-rbm_energy(v, h, W, b, c) for v, h in pairs]
    log_z = log_sum_exp(log_weights)
    return log_z, [(v, h, math.exp(w - log_z)) for (v, h), w in zip(pairs, log_weights, strict=True)]


def rbm_log_marginals(W, b, c, visible_low, hidden_low):
    """log p(v) of every visible state."""
    log_z, _ = rbm_joint(W, b, c, visible_low, hidden_low)
    hidden = states(len(c), hidden_low)
    return [log_sum_exp([-rbm_energy(v, h, W, b, c) for h in hidden]) - log_z for v in states(len(b), visible_low)]


def rbm_moments(W, b, c, visible_low, hidden_low):
    """<v_i h_j>, <v_i>, <h_j> over the model."""
    _, joint = rbm_joint(W, b, c, visible_low, hidden_low)
    n, m = len(b), len(c)
    weights = [[math.fsum(p * v[i] * h[j] for v, h, p in joint) for j in range(m)] for i in range(n)]
    return (
        weights,
        [math.fsum(p * v[i] for v, h, p in joint) for i in range(n)],
        [math.fsum(p * h[j] for v, h, p in joint) for j in range(m)],
    )


# The Ising torus, by Kaufman's formula with decimals


def decimal_pi():
    """By Machin's formula, to the precision of the context."""

    def arctan_of_inverse(n):
        power, total, k = Decimal(1) / n, Decimal(0), 0
        while abs(power) > Decimal(10) ** -(getcontext().prec + 5):
            total += (-1) ** k * power / (2 * k + 1)
            power, k = power / n**2, k + 1
        return total

    return 4 * (4 * arctan_of_inverse(5) - arctan_of_inverse(239))


def decimal_cos(x):
    term, total, k = Decimal(1), Decimal(0), 0
    while abs(term) > Decimal(10) ** -(getcontext().prec + 5):
        total += term
        k += 2
        term *= -x * x / (k * (k - 1))
    return total


def decimal_cosh(x):
    return (x.exp() + (-x).exp()) / 2


def decimal_sinh(x):
    return (x.exp() - (-x).exp()) / 2


def kaufman_partition(n_space, n_time, k_space, k_time, cosines):
    """Z of Kaufman (1949) for k_time > 0; cosines[k] = cos(pi k / n_space)."""
    tanh = decimal_sinh(k_time) / decimal_cosh(k_time)
    k_dual = -tanh.ln() / 2
    products = []
    for parity in (1, 0):
        sums, differences = Decimal(1), Decimal(1)
        for k in range(parity, 2 * n_space, 2):
            if k == 0:
                g = 2 * (k_dual - k_space)
            elif k == n_space:
                g = 2 * (k_dual + k_space)
            else:
                cosh = decimal_cosh(2 * k_space) * decimal_cosh(2 * k_dual)
                cosh -= decimal_sinh(2 * k_space) * decimal_sinh(2 * k_dual) * cosines[k]
                g = (cosh + (cosh * cosh - 1).sqrt()).ln()
            sums *= 2 * decimal_cosh(n_time * g / 2)
            differences *= 2 * decimal_sinh(n_time * g / 2)
        products.append((sums, differences))
    (odd_sums, odd_differences), (even_sums, even_differences) = products
    factor = (2 * decimal_sinh(2 * k_time)) ** (Decimal(n_space * n_time) / 2)
    return factor * (odd_sums + odd_differences + even_sums - even_differences) / 2


def kaufman_thermodynamics(shape, couplings, temperature, digits=60):
    """ln Z, U and C at the binary values of the arguments, by central differences of ln Z in beta.

    The coupling of axis 1 must be positive, or its length even, where turning over every second row makes it so.
    """
    with localcontext() as context:
        context.prec = digits
        pi = decimal_pi()
        cosines = [decimal_cos(pi * k / shape[0]) for k in range(2 * shape[0])]
        j_space, j_time = (Decimal(coupling) for coupling in couplings)
        assert j_time > 0 or shape[1] % 2 == 0
        beta, temperature = 1 / Decimal(temperature), Decimal(temperature)
        step = beta * Decimal(10) ** -(digits // 5)

        def log_z(b):
            return kaufman_partition(*shape, b * j_space, b * abs(j_time), cosines).ln()

        below, middle, above = log_z(beta - step), log_z(beta), log_z(beta + step)
        energy = -(above - below) / (2 * step)
        variance = (above - 2 * middle + below) / step**2
        return float(middle), float(energy), float(variance / temperature**2)
