"""Models measured on cases they have not seen: cross-validation, comparisons and reports."""
