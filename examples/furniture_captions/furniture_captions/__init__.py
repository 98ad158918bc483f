"""Captions of rendered things by a grammar, and the dataset of such views: a plug-in of featurescape."""
