"""Looking inside a ConvNet: filters, maps of activations, attributions, receptive fields, top images."""
