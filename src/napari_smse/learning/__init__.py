"""Labelled tiles, case-grouped splits, sampling, training, and metrics."""
