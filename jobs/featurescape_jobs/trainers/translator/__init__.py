"""Training of a translator."""
