"""What was done, to be done again: a recorded run, and a dock's settings as command and as code."""
