"""The pure core: no clock, no I/O, no threads, no chance."""
