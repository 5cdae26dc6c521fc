"""The native API over a real server and a real store."""
