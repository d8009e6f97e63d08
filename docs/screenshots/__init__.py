"""The pictures of the documentation: one script a page, on what `viewer` has for all of them."""
