"""The recording: its format (MCAP), the ring that `run` keeps, and the reader that replay is fed from."""
