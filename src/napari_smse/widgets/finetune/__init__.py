"""The Fine-tune dock: a model tuned on what is drawn."""
