"""The gateway against which the examples run."""

from tests.demo_gateway import demo

__all__ = ["demo"]
