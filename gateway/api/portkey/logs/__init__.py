"""Portkey's logs: requests that went elsewhere are told of, and one that is logged is read.

Paths are in `face.py`, with those of exports; handlers in `handlers.py`. What callers tell of is in `custom.py` and
`fields.py`, what they are shown in `schema.py` and `log_object.py`.
"""
