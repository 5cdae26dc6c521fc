"""What the bytes of an LLM API mean: bytes in, plain data out, and no exception whatever the bytes are."""

from gateway.wire.endpoints import endpoint_of, read_conversation, reassemble
from gateway.wire.facts import read_facts

__all__ = ["endpoint_of", "read_conversation", "read_facts", "reassemble"]
