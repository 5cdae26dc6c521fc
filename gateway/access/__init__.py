"""Who may come in: keys from the configuration and from the store. Knows tokens, not HTTP."""
