"""The native API: requests, metrics, feedback, users, keys and the audit log under `/api/v1`."""
