"""Interpretation of a ConvNet: attribution, its sanity checks, top images and pages of units."""
