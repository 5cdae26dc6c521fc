"""What whoever runs the gateway asks of it: is it alive, is it ready, what are its figures."""

from gateway.api.operations.face import operations_face
from gateway.api.operations.metrics import (
    KEY_LABEL,
    Gauges,
    LabelledGauges,
    LabelledReading,
    Metrics,
    Others,
    nobody,
)

__all__ = [
    "KEY_LABEL",
    "Gauges",
    "LabelledGauges",
    "LabelledReading",
    "Metrics",
    "Others",
    "nobody",
    "operations_face",
]
