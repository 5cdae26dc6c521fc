"""What the providers' own SDKs need of a gateway: each is used as its users use it, against a real process.

The SDKs for Node are in `tests/examples/test_node.py`.
"""
