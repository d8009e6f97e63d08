"""Tissue and artefacts by a network that somebody else trained, or as another program drew them."""
