"""How far a tile lies from everything that a model was trained on."""
