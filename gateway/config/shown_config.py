"""The configuration as it was loaded, as YAML without any secret."""

import re
from collections.abc import Mapping

import yaml

from gateway.config.models import Config
from gateway.models.principal import REDACTED

# All values of these may be secrets, whatever the names of headers say.
_SECRET_MAPPINGS = frozenset({"headers"})
_PASSWORD_IN_URL = re.compile(r"(?<=://)([^/@:]*):[^/@]*(?=@)")
_PASSWORD_IN_QUERY = re.compile(r"(?<=[?&]password=)[^&]*")


def show_config(config: Config) -> str:
    """Return the configuration as YAML, defaults included; keys, passwords and headers' values are hidden."""
    document = _hide_secrets(config.model_dump(mode="json", by_alias=True))
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=100)


def _hide_secrets(value: object, name: str = "") -> object:
    if isinstance(value, Mapping):
        if name in _SECRET_MAPPINGS:
            return dict.fromkeys(value, REDACTED)
        return {key: _hide_secrets(part, str(key)) for key, part in value.items()}
    if isinstance(value, list):
        return [_hide_secrets(part, name) for part in value]
    if isinstance(value, str):
        # How pydantic writes a secret.
        if value and not value.strip("*"):
            return REDACTED
        return _PASSWORD_IN_QUERY.sub(REDACTED, _PASSWORD_IN_URL.sub(rf"\1:{REDACTED}", value))
    return value
