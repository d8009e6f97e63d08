"""What was found on slides, for people to read: a report of each, and a page over many."""
