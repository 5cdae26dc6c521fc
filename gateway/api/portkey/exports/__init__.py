"""Portkey's exports of logs: handlers, the shapes of jobs, and the rows of their files."""
