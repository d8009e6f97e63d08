"""The Find similar dock: tiles like those shown, on this slide and on others."""
