"""One payload format a module: bodies of one route in, columns out. Pure, and never raising for a bad payload."""
