"""Reports of slides that were scored, and a page over many of them."""
