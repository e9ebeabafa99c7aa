"""The two lower bounds on log p(x) that a VAE climbs, and their gradients, between the encoder and the decoder.

The encoder gives mean m and log standard deviation log w of the latent variables, a draw is z = m + w e, the decoder
turns z into the fields of the data, and

    ELBO = E_e[log p(x | z)] - KL(N(m, w^2) || N(0, I))

(Hjorth-Jensen 2025, "Central equation of VAEs" and "Computing the gradients"; Kingma & Welling 2014, eq. 10), or, with
k draws for each row, the importance-weighted bound (Burda, Grosse & Salakhutdinov 2016, eq. 8)

    L_k = E[log 1/k sum_d w_d],  log w_d = log p(x | z_d) + log p(z_d) - log q(z_d | x).

Here are the kernels of what lies between the two networks. Draws follow each other in panels as copies of the rows.
Sums over features and rows have a fixed order, whatever the number of threads.
"""

import math

import numpy as np
from numba import prange

from mcgen import _cpu
from mcgen._vectors import wide_vectors
from mcgen.vae.panels import lanes_used

rng = _cpu.formulas("mcgen.rng.formulas")
scalar = _cpu.formulas("mcgen.formulas")
formula = _cpu.formulas("mcgen.vae.formulas")

# Features whose log-likelihood one thread sums up in one piece: enough pieces for many threads, and few enough factors
# of at most 2 that their product stays below the largest float32.
FEATURES_AT_ONCE = 96


@_cpu.kernel
def draw_latents(z, noise, head, n_latent, n_rows, copies, step, purpose, key0, key1):
    """z = m + w e, and the e it was made with.

    The number of draw d, row r and latent i has the address (unit i, step, chain d * n_rows + r).

    Parameters
    ----------
    z, noise : float (copies * n_panels, padded, width), modified
    head : float (n_panels, padded, width)
        m in the first n_latent features, log w in the next.
    """
    n_panels, _, wide = z.shape
    of_rows = n_panels // copies
    for piece in prange(n_panels * wide):
        q, lane = np.int64(piece) // wide, np.int64(piece) % wide
        p = q % of_rows
        row = p * wide + lane
        if row < n_rows:
            for block in range((n_latent + 3) // 4):
                words = rng.philox4x32(block, step, q // of_rows * n_rows + row, purpose, key0, key1)
                for index in range(min(4, n_latent - 4 * block)):
                    i = 4 * block + index
                    e = scalar.normal_quantile(rng.uniform(rng.pick_word(words, index)))
                    noise[q, i, lane] = e
                    z[q, i, lane] = formula.reparameterized(head[p, i, lane], head[p, n_latent + i, lane], e)


@_cpu.kernel
def latent_kl(kl, head, n_latent, n_rows):
    """kl[i] = the sum over rows of KL(N(m_i, w_i^2) || N(0, 1)). One thread takes one latent at a time."""
    wide = head.shape[2]
    for i in prange(n_latent):
        total = 0.0
        for p in range(head.shape[0]):
            for lane in range(lanes_used(p, head.shape[0], 1, n_rows, wide)):
                total += formula.standard_kl_term(head[p, i, lane], head[p, n_latent + i, lane])
        kl[i] = total


@_cpu.kernel
def row_kl(kl, head, n_latent):
    """kl[row] = the sum over latents of the same."""
    wide = head.shape[2]
    for row in prange(kl.shape[0]):
        p, lane = np.int64(row) // wide, np.int64(row) % wide
        total = 0.0
        for i in range(n_latent):
            total += formula.standard_kl_term(head[p, i, lane], head[p, n_latent + i, lane])
        kl[row] = total


@_cpu.kernel
def two_level_likelihood(parts, fields, data, n_features, low, distance, scale):
    """log p(x | z) of data with two states, and the fields replaced by scale * d log p / d field.

    One thread takes one piece of the features of one panel at a time, along the lanes: one logarithm for many features.

    Parameters
    ----------
    parts : float64 (copies * n_panels, pieces of features, width), modified
        The sums over FEATURES_AT_ONCE features each.
    fields : float (copies * n_panels, padded, width), modified
    data : float (n_panels, padded, width)
    low, distance, scale : float
        Of the same dtype: the lower state, how far the upper one is above it.
    """
    n_pieces = parts.shape[1]
    of_rows = data.shape[0]
    wide = fields.shape[2]
    single = fields.itemsize == 4
    for piece in prange(fields.shape[0] * n_pieces):
        wide_vectors()
        q, part = np.int64(piece) // n_pieces, np.int64(piece) % n_pieces
        p = q % of_rows
        linear = np.zeros(wide, fields.dtype)
        factors = np.ones(wide, fields.dtype)
        for i in range(part * FEATURES_AT_ONCE, min((part + 1) * FEATURES_AT_ONCE, n_features)):
            if single:
                for lane in range(wide):
                    x, s = fields[q, i, lane], data[p, i, lane]
                    factor = formula.two_level_factor_single(distance, x)
                    linear[lane] += formula.two_level_linear(low, distance, s, x)
                    factors[lane] *= factor
                    fields[q, i, lane] = scale * formula.two_level_force(low, distance, s, x, factor)
            else:
                for lane in range(wide):
                    x, s = fields[q, i, lane], data[p, i, lane]
                    factor = formula.two_level_factor(distance, x)
                    linear[lane] += formula.two_level_linear(low, distance, s, x)
                    factors[lane] *= factor
                    fields[q, i, lane] = scale * formula.two_level_force(low, distance, s, x, factor)
        for lane in range(wide):
            parts[q, part, lane] = linear[lane] - math.log(factors[lane])


@_cpu.kernel
def gaussian_likelihood(parts, means, data, log_std, n_features, scale):
    """The same of continuous data with mean and standard deviation; the means are replaced by scale * d log p / d mean.

    log_std : float64 (1,) or (n_features,)
    """
    n_pieces = parts.shape[1]
    of_rows = data.shape[0]
    wide = means.shape[2]
    for piece in prange(means.shape[0] * n_pieces):
        q, part = np.int64(piece) // n_pieces, np.int64(piece) % n_pieces
        p = q % of_rows
        parts[q, part] = 0.0
        for i in range(part * FEATURES_AT_ONCE, min((part + 1) * FEATURES_AT_ONCE, n_features)):
            w = log_std[i % log_std.shape[0]]
            inverse_variance = math.exp(-2.0 * w)
            constant = formula.gaussian_log_density(0.0, 0.0, w)
            for lane in range(wide):
                x, m = np.float64(data[p, i, lane]), np.float64(means[q, i, lane])
                force = formula.gaussian_force(x, m, inverse_variance)
                parts[q, part, lane] += constant - 0.5 * (x - m) * force
                means[q, i, lane] = scale * force


@_cpu.kernel
def gaussian_scale_gradient(gradient, forces, weights, log_std, n_features, n_rows, copies):
    """gradient[i] = sum over rows of weight ((x - m)^2 / w^2 - 1), from the weighted forces = weight (x - m) / w^2.

    One thread takes one feature at a time.

    Parameters
    ----------
    gradient : float64 (n_features,), modified
    forces : float (copies * n_panels, padded, width)
    weights : float64 (copies * n_panels, width)
        Of the rows; features of rows without weight have no force.
    """
    n_panels, _, wide = forces.shape
    for i in prange(n_features):
        variance = math.exp(2.0 * log_std[i % log_std.shape[0]])
        total = 0.0
        for q in range(n_panels):
            for lane in range(lanes_used(q, n_panels, copies, n_rows, wide)):
                weight = weights[q, lane]
                if weight > 0.0:
                    force = np.float64(forces[q, i, lane])
                    total += force * force * variance / weight - weight
        gradient[i] = total


@_cpu.kernel
def log_importance(log_w, parts, z, noise, head, n_latent, n_rows, copies):
    """log_w[q, lane] = log p(x | z) + log p(z) - log q(z | x), the constants of the two densities cancelling.

    log q(z | x) = -e^2 / 2 - log w for each latent, log p(z) = -z^2 / 2.
    """
    n_panels, _, wide = z.shape
    of_rows = n_panels // copies
    for q in prange(n_panels):
        p = np.int64(q) % of_rows
        for lane in range(lanes_used(np.int64(q), n_panels, copies, n_rows, wide)):
            total = 0.0
            for part in range(parts.shape[1]):
                total += parts[q, part, lane]
            for i in range(n_latent):
                e, latent = np.float64(noise[q, i, lane]), np.float64(z[q, i, lane])
                total += 0.5 * (e * e - latent * latent) + np.float64(head[p, n_latent + i, lane])
            log_w[q, lane] = total


@_cpu.kernel
def importance_weights(weights, bounds, log_w, n_rows, copies):
    """Normalised weights of the draws of each row, over n_rows, and bounds[row] = log-mean-exp of log_w.

    Written over rows in order; one thread takes one row at a time.

    Parameters
    ----------
    weights : float64 (copies * n_panels, width), modified
        w_d / (n_rows sum_d w_d): the weights of the forces (Burda et al. 2016, eq. 14).
    bounds : float64 (n_rows,), modified
    log_w : float64 (copies * n_panels, width)
    """
    n_panels, wide = log_w.shape
    of_rows = n_panels // copies
    for row in prange(n_rows):
        p, lane = np.int64(row) // wide, np.int64(row) % wide
        largest = log_w[p, lane]
        for draw in range(1, copies):
            largest = max(largest, log_w[draw * of_rows + p, lane])
        total = 0.0
        for draw in range(copies):
            total += math.exp(log_w[draw * of_rows + p, lane] - largest)
        bounds[row] = largest + math.log(total / copies)
        for draw in range(copies):
            weights[draw * of_rows + p, lane] = math.exp(log_w[draw * of_rows + p, lane] - largest) / (total * n_rows)


@_cpu.kernel
def weigh(forces, weights, n_features):
    """forces[q, i, lane] *= weights[q, lane]."""
    for row in prange(forces.shape[0] * n_features):
        q, i = np.int64(row) // n_features, np.int64(row) % n_features
        for lane in range(forces.shape[2]):
            forces[q, i, lane] *= weights[q, lane]


@_cpu.kernel
def backward_latents(d_head, dz, z, noise, head, kl_weights, weights, n_latent, n_rows, copies, importance):
    """The gradient by m and log w from that by z: dm = sum_d dz_d, d log w = sum_d dz_d w e_d, and what else there is.

    For the ELBO, minus kl_weights[i] times the slopes of the KL divergence, m and w^2 - 1. For the importance-weighted
    bound, log p(z_d) and -log q(z_d | x) of each draw with its weight: -z_d to dz_d, and 1 / n_rows to d log w.

    Parameters
    ----------
    d_head : float (n_panels, padded, width), modified
    kl_weights : float64 (n_latent,)
        beta / n_rows, or 0 where the latent has its free bits.
    weights : float64 (copies * n_panels, width)
    """
    of_rows, _, wide = d_head.shape
    for piece in prange(of_rows * n_latent):
        p, i = np.int64(piece) // n_latent, np.int64(piece) % n_latent
        for lane in range(lanes_used(p, of_rows, 1, n_rows, wide)):
            m, w = np.float64(head[p, i, lane]), math.exp(np.float64(head[p, n_latent + i, lane]))
            d_m, d_log_w = 0.0, 0.0
            for draw in range(copies):
                q = draw * of_rows + p
                force = np.float64(dz[q, i, lane])
                if importance:
                    force -= weights[q, lane] * np.float64(z[q, i, lane])
                d_m += force
                d_log_w += force * w * np.float64(noise[q, i, lane])
            if importance:
                d_log_w += 1.0 / n_rows
            else:
                d_m -= kl_weights[i] * m
                d_log_w -= kl_weights[i] * (w * w - 1.0)
            d_head[p, i, lane] = d_m
            d_head[p, n_latent + i, lane] = d_log_w
