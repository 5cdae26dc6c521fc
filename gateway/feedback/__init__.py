"""Feedback: what an entry is on, which rule stores it, who may change it."""
