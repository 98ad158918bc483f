"""Image captioning: the encoder, the training of a captioner, and what it says of each example."""
