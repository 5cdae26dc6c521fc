"""Which provider a request goes to: rules over what its head says. No HTTP client, no logging of requests.

Fallback, load balancing, conditions and experiments each become a file here, behind `Router.plan`.
"""
