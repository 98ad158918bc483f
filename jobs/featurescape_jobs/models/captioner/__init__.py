"""Captioner: attention over a CNN's feature grid and a recurrent decoder."""
