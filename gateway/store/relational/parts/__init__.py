"""The store by what it keeps: each part is a protocol or two of `gateway.store.base`, kept in the database."""
