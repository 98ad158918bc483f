"""Networks ready for use: loaded, cut at a layer, executed, fed with images."""
