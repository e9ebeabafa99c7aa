"""What `scripts/benchmark.py` measures: one file for each part, and the peers."""
