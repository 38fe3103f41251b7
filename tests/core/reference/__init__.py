"""The core's rules once more, one input at a time in plain Python, written from SEMANTICS.md alone.

Nothing here imports gateway.core: what both share is the configuration and the words of the semantics.
"""
