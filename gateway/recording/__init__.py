"""From a proxied request to its row: captured on the way, kept before its end, understood afterwards.

Knows the store only as a `RequestLog`, and neither HTTP nor feedback.
"""
