"""Typed configuration: YAML in, frozen structs out, or every error with its file, line and path."""
