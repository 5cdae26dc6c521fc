"""What a model is called, where requests and answers call it otherwise than it is."""

from __future__ import annotations

import re

from gateway.domain.exchange import Exchange
from gateway.wire.format import Answered, Asked

_FILE_PATH = re.compile(r"^(?:/|~/|\.{1,2}/|[A-Za-z]:[\\/])|[\\/].*\.(?:gguf|bin|safetensors|onnx)$")


def requested_model(exchange: Exchange, model: str | None) -> str | None:
    """Return the model that the provider was asked for, where the caller named both as `@provider/model`."""
    if model is None or not exchange.path.startswith("/v1/"):
        return model
    return model.removeprefix(f"@{exchange.provider}/")


def answering_model(asked: Asked, answered: Answered) -> str | None:
    """Return the model that answered. Servers of local models call it by the path of its file; what they were
    asked for is its name then."""
    name = answered.model
    if (
        name is not None
        and asked.model is not None
        and ("/" in name or "\\" in name)
        and _FILE_PATH.search(name)
    ):
        return asked.model
    return name
