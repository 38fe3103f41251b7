"""A recording through the same core again: what comes out, and what would have been different."""
