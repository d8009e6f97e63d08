"""Queries, recolouring and search over many slides."""
