"""Tests of webhooks and rules."""
