"""The store in a PostgreSQL database. Imported only when a URL needs it, since the driver is optional."""
