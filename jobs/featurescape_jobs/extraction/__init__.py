"""Feature extraction: which layers, on which worker, and how the rows are made."""
