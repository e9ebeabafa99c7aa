"""Exact sums over all states of one layer of an RBM: their tables and kernels. `rbm.exact` is the way in."""
