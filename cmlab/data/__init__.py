"""Data sets, each with what is known about its law."""
