"""Questions asked of a real store."""
