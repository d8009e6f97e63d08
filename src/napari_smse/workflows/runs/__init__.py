"""Runs of a slide that are not computed now: of the cache, or of a file of features."""
