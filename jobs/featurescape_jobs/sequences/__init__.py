"""Sequences of tokens: vocabulary, decoding, beam search, scores."""
