"""Experiments: what can be said of the variants of a route, and when."""
