"""The gateway against which the examples run, and the browser for those that are pages."""

from tests.browser import browser
from tests.demo_gateway import demo

__all__ = ["browser", "demo"]
