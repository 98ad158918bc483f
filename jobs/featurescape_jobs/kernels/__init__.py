"""Compiled and oneDNN kernels for CPUs: convolutions, their gradients, prepacked products."""
