"""The configuration of the paper (arXiv 2107.01063): recipe, sampler, trainer."""
