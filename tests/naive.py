"""Slow, obvious oracles: every formula typed again as loops over plain Python numbers, with exactly rounded sums."""

import itertools
import math


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


# Statistics


def integrated_time(chains, window=5.0):
    """tau of a list of chains, with Sokal's window, by the definition."""
    n = len(chains[0])
    center = math.fsum(x for chain in chains for x in chain) / (n * len(chains))

    def covariance(lag):
        return math.fsum((chain[t] - center) * (chain[t + lag] - center) for chain in chains for t in range(n - lag))

    tau, variance = 1.0, covariance(0)
    for lag in range(1, n):
        tau += 2.0 * covariance(lag) / variance
        if lag >= window * tau:
            break
    return tau
