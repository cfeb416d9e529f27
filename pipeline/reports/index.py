"""The page that leads to all others of a project."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from models.health.scale import BANDS_IN_WORDS
from pipeline.reports.render import NO_SCRIPT, render, style


@dataclass(frozen=True)
class IndexInputs:
    """A target with published scores, and its pages: address, seen from the index, and words for
    what is there.
    """

    name: str
    question: str
    as_of: datetime
    counts: Mapping[str, Any]
    links: tuple[tuple[str, str], ...]

    @property
    def bands(self) -> list[tuple[str, int]]:
        """Accounts by band, in the order of the bands."""
        return [(band, int(self.counts[band])) for band in BANDS_IN_WORDS if self.counts.get(band)]


def index_page(targets: Sequence[IndexInputs], *, project: str, now: datetime) -> str:
    """One self-contained HTML page that links to the pages of every target."""
    return render(
        "index.html.j2",
        style=style(),
        policy=NO_SCRIPT,
        targets=targets,
        project=project,
        now=now,
    )
