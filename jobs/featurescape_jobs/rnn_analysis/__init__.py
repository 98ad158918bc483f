"""Analysis of recurrent networks: spectra, Jacobians through time, gradients, clipping."""
