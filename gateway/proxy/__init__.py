"""The hot path: a caller's request goes to a provider and the answer comes back, byte for byte, noted on the way.

Nothing here can name the database: what is noted is handed to recording. Nothing parses a body, unless the
configuration asks for a change of it.
"""
