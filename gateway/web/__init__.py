"""HTTP below the APIs: endpoints, authentication, request bodies and error responses. Knows no dialect."""
