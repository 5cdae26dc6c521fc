"""Plain frozen data and pure functions, without I/O, frameworks or databases."""
