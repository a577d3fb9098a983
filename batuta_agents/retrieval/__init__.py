"""Texts as vectors and words: embed what is new, search by meaning and by word at once."""
