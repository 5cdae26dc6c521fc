"""What is PostgreSQL's own: nodes that share a database, lost connections, and how bodies are kept."""
