"""What the studies of lattices share."""
