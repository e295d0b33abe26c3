"""Notebook builder: executed notebooks from the text in labs/src, and copies for a class."""
