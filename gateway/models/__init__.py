"""The nouns that every other part speaks of: plain frozen data and pure functions.

Nothing here does I/O or knows a framework, a database or a vendor. Imported by all, imports nothing of ours.
"""
