"""Cluster algorithms for ferromagnets: Swendsen-Wang and Wolff, with any field through a ghost spin."""
