"""Spins as bits: 512 of them to a vector register, for couplings of equal magnitude without a field."""
