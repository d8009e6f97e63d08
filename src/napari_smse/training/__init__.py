"""How a model is trained: sampler, augmentation, objective, trainer and what it writes."""
