"""What is SQLite's own: group commit, durability, failures of the file, and what an analyst reads."""
