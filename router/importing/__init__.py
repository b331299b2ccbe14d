"""Profiles made from other programs' configurations. Nothing is guessed: what has no place here becomes a note."""
