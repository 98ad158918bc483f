"""The translator: it reads a sentence from both ends and writes it in another language."""
