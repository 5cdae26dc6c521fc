"""Faces: one folder per dialect. HTTP in, core out.

A face translates paths, bodies and errors, and holds no rules; what a vote means is decided in
`gateway.feedback`. Faces do not know each other: a dialect can be deleted as a folder. `gateway.urls` lists
them all.
"""
