"""A network that answers at once: one image, one layer, one unit, while somebody watches.

The service starts the `bridge`, a process of its own that speaks to Ray; the bridge starts an `actor`
per network; the actor runs the `network`. They exchange `requests` in `frames`.
"""
