"""The dock *SMSE: Slides*: the slides of a study, one in view, and a queue of them to score."""
