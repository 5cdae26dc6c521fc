"""Alerts, reports, webhooks and rules: what happens by itself when something is logged or said."""
