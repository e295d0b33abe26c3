"""Figures: functions from arrays to a matplotlib figure whose title states the finding."""
