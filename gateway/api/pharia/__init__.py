"""PhariaAssistant's API: feedback of an application's own schema, under `/feedback` and `/api/feedback`."""
