"""Readers of labelled data, one a kind."""
