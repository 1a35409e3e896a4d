"""Boards before their first apply: cards to write, strangers to adopt."""
