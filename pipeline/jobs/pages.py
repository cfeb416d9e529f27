"""Pages of the run that readers see: drawn whole or not at all, and never those of another run.

Before a run becomes the current one its predecessor's pages are set aside; the new ones are all
written aside and then take their names. Whatever stops that, no page of another day stands under a
name at which people look for today's.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from features.errors import StoreError
from pipeline.edge.faults import said
from pipeline.jobs.run_record import CARD, CARD_MD

PAGE, WORKLIST = "portfolio.html", "worklist.csv"
OF_A_RUN = (PAGE, WORKLIST, CARD, CARD_MD)
_BEFORE = ".before-"


def with_head(page: str, head: str) -> str:
    """A page with the head of the ledger in its foot, as a copy of it outside the store.

    >>> with_head('<footer class="foot">Run 1.</footer>', "3f9c0a")
    '<footer class="foot">Run 1. Ledger 3f9c0a.</footer>'
    """
    return page.replace("</footer>", f" Ledger {head}.</footer>")


def set_aside(folder: Path) -> None:
    """Take the pages of the run before out of sight; nothing is lost until others are drawn."""
    for name in OF_A_RUN:
        if (folder / name).exists():
            (folder / name).replace(folder / f"{_BEFORE}{name}")


def put_back(folder: Path) -> None:
    """Show the pages that were set aside again."""
    for name in OF_A_RUN:
        if (folder / f"{_BEFORE}{name}").exists():
            (folder / f"{_BEFORE}{name}").replace(folder / name)


def draw(folder: Path, run_id: str, pages: Mapping[str, Callable[[Path], None]]) -> None:
    """Write every page aside, then let all take their names.

    Raises
    ------
    StoreError
        When the disk is full or the folder cannot be written: no page of the run stands there then.
    """
    asides = {name: folder / f".{name}" for name in pages}
    try:
        for name, write in pages.items():
            write(asides[name])
    except OSError as error:
        for aside in asides.values():
            aside.unlink(missing_ok=True)
        raise StoreError(
            f"run {run_id} is published, and its pages are not drawn: {said(error)}. Those of the"
            f" run before are out of sight, as {_BEFORE}* in {folder}. Make room, or make the"
            " folder writable, and run `tenure score` again: the same tables give the same run and"
            " its pages."
        ) from error
    for name, aside in asides.items():
        aside.replace(folder / name)
    for name in OF_A_RUN:
        (folder / f"{_BEFORE}{name}").unlink(missing_ok=True)
