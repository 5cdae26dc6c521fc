"""The store: its contract, held by each database in turn, and the parts that it is made of."""
