"""What the studies of variational autoencoders share."""
