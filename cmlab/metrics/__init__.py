"""Scores: how far a model is from the truth, or from data it has not seen."""
