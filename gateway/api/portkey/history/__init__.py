"""What Portkey has logged, from a line of one of its exports to a request that happened before.

A line is checked in `lines.py`, its messages and votes are read in `messages.py` and `votes.py`, and all of it is
put together in `past.py`. Called by the import.
"""
