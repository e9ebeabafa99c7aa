"""How files are damaged."""
