"""Captions of rendered objects: nouns, color terms, sides, grammar."""
