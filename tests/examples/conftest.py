"""The gateway against which the examples run, and the browser for those that are pages."""

from tests.browsing import browser
from tests.demonstration import demo

__all__ = ["browser", "demo"]
