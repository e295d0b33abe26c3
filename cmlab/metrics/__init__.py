"""Metrics: distances to exact solutions and to held-out data, and the evaluators of runs."""
