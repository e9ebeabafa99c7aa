"""What `scripts/validate_samplers.py` runs: which samplers on which lattices, the pulls, and how they are shown."""
