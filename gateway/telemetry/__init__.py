"""What is told to OpenTelemetry: a span for each proxied request, an event for each version of feedback.

Follows the semantic conventions for generative AI. Tells figures and names, never prompts, answers or comments. The
SDK is imported only where an endpoint is configured; it comes with the extra `otel`.
"""

from __future__ import annotations

from gateway.telemetry.reporter import Reporter, open_reporter

__all__ = ["Reporter", "open_reporter"]
