"""What the studies have in common."""
