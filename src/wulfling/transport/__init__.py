"""Reaching a node: over SSH, or a table of answers in its place; and many nodes at once."""
