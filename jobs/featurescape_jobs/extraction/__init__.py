"""From examples to feature vectors: which layers, on which worker, and how the rows are made."""
