"""Errors of a call to a provider: in which phase, in words fit for the caller."""

from __future__ import annotations

import socket
import ssl
from typing import Literal

from gateway.errors import UpstreamError, UpstreamTimeout
from gateway.upstream.message import Origin, Timeouts

Phase = Literal["connect", "tls", "request", "head", "body"]
"""Where on its way an exchange was: reaching the upstream, sending to it, or reading its head or body."""


class ExchangeFailed(UpstreamError):
    """The upstream could not be reached, or did not keep to HTTP. `phase` tells how far it had come."""

    def __init__(self, message: str, phase: Phase) -> None:
        super().__init__(message)
        self.phase = phase


class ExchangeTimedOut(UpstreamTimeout):
    """The upstream took longer than it is given. `phase` tells what it was taking so long for."""

    def __init__(self, message: str, phase: Phase) -> None:
        super().__init__(message)
        self.phase = phase


class StaleConnection(Exception):
    """A kept connection turned out to be dead before it answered; the request can go out on another."""


def peer_name(origin: Origin) -> str:
    """Return host:port, an IPv6 address in brackets."""
    host = f"[{origin.host}]" if ":" in origin.host else origin.host
    return f"{host}:{origin.port}"


def connect_failure(error: Exception, origin: Origin) -> ExchangeFailed:
    """Say why no TCP connection came about."""
    peer = peer_name(origin)
    if isinstance(error, socket.gaierror):
        return ExchangeFailed(f"name not found: {origin.host} ({error.strerror}).", "connect")
    if isinstance(error, ConnectionRefusedError):
        return ExchangeFailed(f"connection refused by {peer}.", "connect")
    reason = getattr(error, "strerror", None) or error
    return ExchangeFailed(f"no connection to {peer}: {reason}.", "connect")


def tls_failure(error: Exception, origin: Origin) -> ExchangeFailed:
    """Say why TLS was not agreed on."""
    peer = peer_name(origin)
    if isinstance(error, ssl.SSLCertVerificationError):
        reason = error.verify_message.rstrip(".")
        return ExchangeFailed(f"certificate verify failed: {reason} ({peer}).", "tls")
    if isinstance(error, ssl.SSLError):
        return ExchangeFailed(f"TLS handshake with {peer} failed: {error.reason or error}.", "tls")
    reason = getattr(error, "strerror", None) or str(error) or "connection closed"
    return ExchangeFailed(f"TLS handshake with {peer} failed: {reason}.", "tls")


def timeout_failure(phase: Phase, origin: Origin, timeouts: Timeouts) -> ExchangeTimedOut:
    """Say what the upstream took too long for, once it was connected."""
    peer = peer_name(origin)
    if phase == "request":
        return ExchangeTimedOut(f"{peer} took nothing of the request for {timeouts.idle:g} s.", phase)
    if phase == "head":
        return ExchangeTimedOut(f"{peer} did not answer within {timeouts.first_byte:g} s.", phase)
    return ExchangeTimedOut(f"{peer} sent nothing of the body for {timeouts.idle:g} s.", phase)
