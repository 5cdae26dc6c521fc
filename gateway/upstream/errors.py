"""Errors of an exchange with a provider: in which phase, in words fit for the caller."""

import socket
import ssl
from typing import Literal

from gateway.errors import GatewayError, UpstreamError, UpstreamTimeout
from gateway.upstream.request import Origin, Timeouts

# Reaching the provider, sending to it, or reading its head or body.
Phase = Literal["connect", "tls", "request", "head", "body"]


class _InPhase(GatewayError):
    def __init__(self, message: str, phase: Phase) -> None:
        super().__init__(message)
        self.phase = phase


class ExchangeFailed(_InPhase, UpstreamError):
    """The provider could not be reached, or did not keep to HTTP."""


class ExchangeTimedOut(_InPhase, UpstreamTimeout):
    """The provider took longer than its timeouts allow."""


class StaleConnection(Exception):
    """A kept connection turned out to be dead; the request can go out on another."""


def peer_name(origin: Origin) -> str:
    """Return host:port, an IPv6 address in brackets."""
    host = f"[{origin.host}]" if ":" in origin.host else origin.host
    return f"{host}:{origin.port}"


def connect_failure(error: Exception, origin: Origin) -> ExchangeFailed:
    peer = peer_name(origin)
    message = f"no connection to {peer}: {getattr(error, 'strerror', None) or error}."
    if isinstance(error, socket.gaierror):
        message = f"name not found: {origin.host} ({error.strerror})."
    elif isinstance(error, ConnectionRefusedError):
        message = f"connection refused by {peer}."
    return ExchangeFailed(message, "connect")


def tls_failure(error: Exception, origin: Origin) -> ExchangeFailed:
    peer = peer_name(origin)
    if isinstance(error, ssl.SSLCertVerificationError):
        reason = error.verify_message.rstrip(".")
        return ExchangeFailed(f"certificate verify failed: {reason} ({peer}).", "tls")
    reason = getattr(error, "strerror", None) or str(error) or "connection closed"
    if isinstance(error, ssl.SSLError):
        reason = error.reason or str(error)
    return ExchangeFailed(f"TLS handshake with {peer} failed: {reason}.", "tls")


def timeout_failure(phase: Phase, origin: Origin, timeouts: Timeouts) -> ExchangeTimedOut:
    """Explain what a provider took too long for, once it was connected."""
    failure = f"sent nothing of the body for {timeouts.idle:g} s"
    if phase == "request":
        failure = f"took nothing of the request for {timeouts.idle:g} s"
    elif phase == "head":
        failure = f"did not answer within {timeouts.first_byte:g} s"
    return ExchangeTimedOut(f"{peer_name(origin)} {failure}.", phase)
