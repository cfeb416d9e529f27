"""Copies of what was published, for readers that do not read the store."""
