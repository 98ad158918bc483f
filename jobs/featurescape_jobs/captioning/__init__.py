"""Captions: their grammar and scores, words, a decoder with attention, its training and its beam search."""
