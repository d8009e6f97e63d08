"""Labelled images and slides: read, checked for repeats and leakage, divided by case."""
