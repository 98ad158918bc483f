"""A decoder that attends to a memory: words, one after the other, from an image's positions or a sentence."""
