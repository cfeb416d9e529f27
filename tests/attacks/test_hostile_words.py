"""Words that try to be code: through the whole flow, each reader's way out is looked at."""

from pathlib import Path


def test_x(hostile_company: Path) -> None:
    pass
