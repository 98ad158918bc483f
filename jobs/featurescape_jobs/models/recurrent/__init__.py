"""Recurrent networks: cells with their equations, layers, shapes."""
