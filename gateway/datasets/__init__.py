"""Datasets: logged requests written to files by jobs that survive restarts."""
