"""What can be set in a workflow: the record its form, options and arguments come from.

`option` has what a field says of itself; each other module has the record of one workflow.
"""
