"""The landing that all faces share: what a face is, who may pass, how bodies are read and errors drawn.

Owns aiohttp's server types together with the faces above it. Holds no rules and speaks no dialect.
"""
