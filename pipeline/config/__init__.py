"""The project file: `schema` says what may stand in it, `read_project` reads it."""

from pipeline.config.read import config_hash, read_project

__all__ = ["config_hash", "read_project"]
