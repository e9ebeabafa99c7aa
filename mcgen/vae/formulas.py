"""Scalar formulas of variational autoencoders: activations and their slopes, log-likelihoods of data given latents.

Letters follow the equations: x is an input of an activation or a field (logit), y an output, s a state, m a mean and w
a standard deviation. Where single precision has a function of its own, its name ends in _single.
"""

import math

import numpy as np

from mcgen.formulas import exp_negative, exp_negative_single

LINEAR, RELU, LEAKY_RELU, TANH, SIGMOID, SOFTPLUS = range(6)
ONE_SINGLE = np.float32(1.0)
TWO_SINGLE = np.float32(2.0)


# Activations. The force on the input, f'(x) dy, is written with the output y = f(x): the input need not be kept. No
# number is typed in where x may be float32: an integer beside it would make it float64.


def relu(x):
    """max(0, x); a NaN stays one, so that divergence is seen."""
    return x if x > 0 else x - x


def relu_force(dy, y):
    """dy where y > 0, otherwise 0."""
    return dy if y > 0 else dy - dy


def leaky_relu(a, x):
    """x above 0, a x below, 0 < a < 1 (Maas, Hannun & Ng, ICML 2013)."""
    return x if x > 0 else a * x


def leaky_relu_force(a, dy, y):
    """dy where y > 0, otherwise a dy."""
    return dy if y > 0 else a * dy


def tanh(x):
    """tanh x = sign(x) (1 - e^-2|x|) / (1 + e^-2|x|), without overflow; an absolute error of a rounding near 0."""
    e = exp_negative(-2.0 * abs(x))
    t = (1.0 - e) / (1.0 + e)
    return t if x >= 0 else -t


def tanh_single(x):
    """`tanh` in single precision."""
    e = exp_negative_single(-TWO_SINGLE * abs(x))
    t = (ONE_SINGLE - e) / (ONE_SINGLE + e)
    return t if x >= 0 else -t


def tanh_force(dy, y):
    """(1 - y^2) dy."""
    return dy - dy * y * y


def sigmoid_single(x):
    """The logistic function 1 / (1 + e^-x) in single precision, without overflow at any x."""
    e = exp_negative_single(-abs(x))
    return (ONE_SINGLE if x >= 0 else e) / (ONE_SINGLE + e)


def sigmoid_force(dy, y):
    """y (1 - y) dy."""
    return dy * (y - y * y)


def softplus(x):
    """log(1 + e^x) = max(x, 0) + log(1 + e^-|x|)."""
    return max(x, 0.0) + math.log1p(exp_negative(-abs(x)))


def softplus_force(dy, y):
    """(1 - e^-y) dy: the slope is the logistic function of the x that gives y >= 0."""
    return dy * (1.0 - exp_negative(-y))


# Data with two states, `low` and 1, and field x: p(s | x) = e^{s x} / sum_s' e^{s' x}. With the distance d = 1 - low
# of the states and the logit y = d x, log p = (s - low) x - max(y, 0) - log(1 + e^-|y|), for Bernoulli data (low = 0),
# also shades of grey between 0 and 1, the negative cross-entropy (Kingma & Welling 2014, appendix C.1). The logarithm
# is left to the caller: that of a product of many factors 1 + e^-|y| <= 2 costs as much as that of one.


def two_level_linear(low, d, s, x):
    """(s - low) x - max(d x, 0): the part of log p(s | x) without the logarithm."""
    y = d * x
    return (s - low) * x - (y if y > 0 else y - y)


def two_level_factor(d, x):
    """1 + e^-|d x|, in (1, 2]."""
    return 1.0 + exp_negative(-abs(d * x))


def two_level_factor_single(d, x):
    """`two_level_factor` in single precision."""
    return ONE_SINGLE + exp_negative_single(-abs(d * x))


def two_level_force(low, d, s, x, factor):
    """d log p(s | x) / dx = s - <s>, given factor = 1 + e^-|d x|: <s> = low + d sigmoid(d x)."""
    return s - low - d * ((ONE_SINGLE if x >= 0 else factor - ONE_SINGLE) / factor)


# Continuous data: mean m, standard deviation w (Kingma & Welling 2014, appendix C.2).


def gaussian_log_density(x, m, log_w):
    """log N(x; m, w^2) = -((x - m) / w)^2 / 2 - log w - log(2 pi) / 2."""
    u = (x - m) * math.exp(-log_w)
    return -0.5 * u * u - log_w - 0.9189385332046727


def gaussian_force(x, m, inverse_variance):
    """d log N(x; m, w^2) / dm = (x - m) / w^2."""
    return (x - m) * inverse_variance


# The latent variables (Kingma & Welling 2014, section 3 and appendix B).


def standard_kl_term(m, log_w):
    """KL(N(m, w^2) || N(0, 1)) of one latent: (m^2 + w^2 - 1 - 2 log w) / 2, with all digits near 0."""
    return 0.5 * (m * m + math.expm1(2.0 * log_w) - 2.0 * log_w)


def reparameterized(m, log_w, e):
    """z = m + w e with standard normal e: a draw from N(m, w^2) whose gradient reaches m and log w."""
    return m + math.exp(log_w) * e
