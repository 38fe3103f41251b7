"""A whole gateway as a process of its own, between real servers."""
