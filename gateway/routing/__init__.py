"""Routing: which provider a request goes to, by its path and headers."""
