"""The Score dock: a slide, a model, and where it looks malignant."""
