"""Portkey's API: feedback, logs, exports and analytics as its SDKs use them.

Source: the paths /feedback, /logs and /analytics of https://github.com/Portkey-AI/openapi.
"""
