"""What the studies of handwritten digits share: which images are learned, and what they are compared with."""
