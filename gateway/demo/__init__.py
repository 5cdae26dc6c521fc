"""A built-in upstream that answers in the wire formats of OpenAI and Anthropic without a model.

For `serve --demo` and for tests. Each format is a file of pure functions from a request body to an answer or
to the pieces of a stream; `server.py` puts them on a socket. It knows nothing of the gateway in front of it.
"""

from gateway.demo.server import DemoUpstream, build_demo, start_demo

__all__ = ["DemoUpstream", "build_demo", "start_demo"]
