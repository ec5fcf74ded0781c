"""config.toml of the miner: what keys there are, how the file is read, how a new one is written.

Names, order and layout are Lotus's (``node/config``); the keys that Lotus does not have stand at the end of
``[Storage]`` and in the section ``[Chain]``.
"""

from __future__ import annotations

from .keys import KEYS, Key
from .read import Config, load
from .updated import updated_text
from .write import default_text

__all__ = ["KEYS", "Config", "Key", "default_text", "load", "updated_text"]
