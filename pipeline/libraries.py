"""Versions of the libraries that a published number rests on, recorded with every run."""

import platform
from importlib.metadata import PackageNotFoundError, version

LIBRARIES = ("tenure", "lightgbm", "duckdb", "numpy", "pandas", "deltalake")


def library_versions() -> dict[str, str]:
    """Library -> version; `source tree` where it runs without being installed."""
    versions = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "source tree"
    return versions
