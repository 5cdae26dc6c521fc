"""The hot path: a caller's request goes to a provider and the answer comes back, byte for byte, noted on the way.

Nothing here parses a body or can name the database: what is noted is handed to recording.
"""
