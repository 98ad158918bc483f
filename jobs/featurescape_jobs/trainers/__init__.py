"""How networks learn: what every kind of training shares."""
