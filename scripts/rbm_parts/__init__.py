"""What the studies of restricted Boltzmann machines are made of."""
