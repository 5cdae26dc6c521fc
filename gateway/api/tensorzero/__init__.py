"""TensorZero's API: feedback under `/tensorzero`, and the import of its tables."""
