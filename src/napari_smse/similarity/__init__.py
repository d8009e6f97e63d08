"""What lies near what in the embedding space: evidence, search, prototypes, the unknown."""
