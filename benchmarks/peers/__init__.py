"""The same slide and network in other programs, each in an environment of its own."""
