"""Versions of the libraries that a published number rests on, recorded with every run."""

import platform
from importlib.metadata import PackageNotFoundError, version

LIBRARIES = ("tenure", "lightgbm", "duckdb", "numpy", "pandas", "deltalake")


def library_versions() -> dict[str, str]:
    """Library -> version; `source tree` where it runs without being installed."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "source tree"
    return found
