"""Questions about what was logged: requests, traces, sessions, users, metrics and the audit log."""
