"""The gateway against which the examples run."""

from tests.demonstration import demo

__all__ = ["demo"]
