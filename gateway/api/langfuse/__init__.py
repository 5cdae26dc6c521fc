"""Langfuse's API: scores under `/langfuse`, and the import of its exports."""
