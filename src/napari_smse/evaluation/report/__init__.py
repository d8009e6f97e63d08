"""The report of an evaluation: one page with its tables and plots."""
