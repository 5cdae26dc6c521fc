"""A built-in upstream in the formats of OpenAI and Anthropic, without a model, for `serve --demo` and tests.

Each format is a module of pure functions from a request body to a response or to the events of a stream.
"""

from gateway.demo.server import DemoUpstream, build_demo, start_demo

__all__ = ["DemoUpstream", "build_demo", "start_demo"]
