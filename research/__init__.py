"""How the bundled model is made, and how what is said of the methods was measured."""
