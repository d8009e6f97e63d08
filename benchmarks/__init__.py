"""How fast, how lean and how dependable it is; none of it is a test. Run from the root."""
