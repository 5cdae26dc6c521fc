"""HTTP/1.1 client for providers: passes heads and bodies on byte for byte, and keeps connections."""
