"""Processes, sockets and signals: how the gateway gets on the network, and how it leaves."""
