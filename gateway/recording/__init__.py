"""Recording of proxied requests: capture, storage before the answer ends, interpretation afterwards."""
