"""Layouts in two dimensions: reduce (`pca`), find neighbors, lay out (`tsne`), measure (`quality`), place.

`tsne` is the way in; `affinities`, `field` (repulsion) and `descent` are its parts,
`kernels.numba_threads` their threads.
"""
