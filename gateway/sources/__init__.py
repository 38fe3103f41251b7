"""Where inputs come from: brokers, the second hand of the clock, and people at the local socket."""
