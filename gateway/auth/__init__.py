"""Who may call: API keys, feedback tokens, quotas, allowed hosts and the audit log. Knows no HTTP."""
