"""The YAML file: what it may say (`models.py`) and how it is read (`load.py`).

Other parts are handed values from it by `gateway.app`; none is handed the whole tree.
"""

from gateway.config.loader import ConfigError, load_config
from gateway.config.models import Config

__all__ = ["Config", "ConfigError", "load_config"]
