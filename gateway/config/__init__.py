"""The configuration file: its keys (`models.py`), and how it is read (`loader.py`)."""

from gateway.config.errors import ConfigError
from gateway.config.loader import load_config
from gateway.config.models import Config

__all__ = ["Config", "ConfigError", "load_config"]
