"""The project file: `schema` says what may stand in it, `read_project` reads it."""

from pipeline.config.read import (
    config_from_text,
    config_hash,
    config_text,
    hash_of_text,
    read_project,
)

__all__ = ["config_from_text", "config_hash", "config_text", "hash_of_text", "read_project"]
