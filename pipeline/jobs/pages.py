"""Pages of the run that readers see: drawn whole or not at all, and never those of another run.

Before a run becomes the current one its predecessor's pages are set aside; the new ones are all
written aside and then take their names. Whatever stops that, no page of another day stands under a
name at which people look for today's.
"""

import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from features.errors import StoreError
from pipeline.edge.faults import said
from pipeline.jobs.run_record import CARD, CARD_MD

PAGE, WORKLIST = "portfolio.html", "worklist.csv"
ALL_ACCOUNTS, ALL_ACCOUNTS_CSV = "accounts.html", "accounts.csv"
CHANGES_PAGE, PULSE_PAGE, PATTERNS_PAGE = "changes.html", "pulse.html", "patterns.html"
"""Pages that commands of their own draw."""
TABLES, ACCOUNTS_FOLDER = "tables", "accounts"
"""Folders of a run: the table behind each chart, and briefs of single accounts."""
OF_A_RUN = (
    PAGE,
    ALL_ACCOUNTS,
    ALL_ACCOUNTS_CSV,
    WORKLIST,
    CARD,
    CARD_MD,
    TABLES,
    ACCOUNTS_FOLDER,
)
FURTHER = "accounts-*.html"
_BEFORE = ".before-"


def with_head(page: str, head: str) -> str:
    """A page with the head of the ledger in its foot, as a copy of it outside the store.

    >>> with_head('<footer class="foot">Run 1.</footer>', "3f9c0a")
    '<footer class="foot">Run 1. Ledger 3f9c0a.</footer>'
    """
    return page.replace("</footer>", f" Ledger {head}.</footer>")


def further_page(number: int) -> str:
    """Name of the second and later pages of all accounts."""
    return FURTHER.replace("*", str(number))


def set_aside(folder: Path) -> None:
    """Take the pages of the run before out of sight; nothing is lost until others are drawn."""
    for path in _standing(folder):
        before = path.with_name(f"{_BEFORE}{path.name}")
        _remove(before)
        path.replace(before)


def put_back(folder: Path) -> None:
    """Show the pages that were set aside again."""
    for path in folder.glob(f"{_BEFORE}*"):
        path.replace(path.with_name(path.name.removeprefix(_BEFORE)))


def draw(folder: Path, run_id: str, pages: Mapping[str, Callable[[Path], None]]) -> None:
    """Write every page aside, then let all take their names; pages that stood there and are not
    among them go.

    Raises
    ------
    StoreError
        When the disk is full or the folder cannot be written: no page of the run stands there then.
    """
    aside = folder / ".aside"
    shutil.rmtree(aside, ignore_errors=True)  # of a command that was killed
    try:
        for name, write in pages.items():
            (aside / name).parent.mkdir(parents=True, exist_ok=True)
            write(aside / name)
    except OSError as error:
        shutil.rmtree(aside, ignore_errors=True)
        raise StoreError(
            f"run {run_id} is published, and its pages are not drawn: {said(error)}. Those of the"
            f" run before are out of sight, as {_BEFORE}* in {folder}. Make room, or make the"
            " folder writable, and run `tenure score` again: the same tables give the same run and"
            " its pages."
        ) from error
    for path in (*_standing(folder), *folder.glob(f"{_BEFORE}*")):
        if not (aside / path.name).is_file():
            _remove(path)
    for path in sorted(aside.iterdir()):
        path.replace(folder / path.name)
    aside.rmdir()


def _standing(folder: Path) -> Iterator[Path]:
    yield from (folder / name for name in OF_A_RUN if (folder / name).exists())
    yield from folder.glob(FURTHER)


def noted_pages(folder: Path) -> list[Path]:
    """What is drawn once of a run, and stands as it was drawn until the next; briefs of single
    accounts are drawn anew whenever somebody asks.
    """
    once = (folder / name for name in OF_A_RUN if name != ACCOUNTS_FOLDER)
    return [*once, *sorted(folder.glob(FURTHER))]


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
