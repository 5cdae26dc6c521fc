"""Hot path: requests are forwarded to providers and recorded, byte for byte, without SQL."""
