"""The viewer: whether its event loop is held up."""
