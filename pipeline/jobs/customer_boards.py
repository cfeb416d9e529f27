"""What the dashboard says of customers as a whole: onboarding, use, support, advocates, and the
pages that `tenure patterns` and `tenure pulse` drew.

Each is what a command found, or words that say which command is missing.
"""

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from features.errors import ChurnError
from models.health.standing import standing
from models.support_load import SupportLoad, support_load
from pipeline.config.schema import Target
from pipeline.jobs.advocates import find_advocates
from pipeline.jobs.funnel import FunnelReport, onboarding_funnel
from pipeline.jobs.pages import PATTERNS_PAGE, PULSE_PAGE
from pipeline.jobs.prepare import feature_set
from pipeline.published import read_scores
from pipeline.workspace import Workspace

LOAD_DAYS = (91, 28, 182, 364, 7)
"""Windows of tickets, the one that is told first where features have it."""
EVERY_ACCOUNTS_SEGMENT = "all accounts"


@dataclass(frozen=True)
class Drawn:
    """A page that a command drew, and when."""

    html: str
    on: datetime


@dataclass(frozen=True)
class SegmentLoad:
    """Tickets of a segment in a window of days, those that are open, and what is to be expected."""

    segment: str
    days: int
    load: SupportLoad
    open: float
    at_risk: float
    """Tickets of accounts at risk."""


@dataclass(frozen=True)
class CustomerBoards:
    """What was found; words say why there is nothing."""

    onboarding: FunnelReport | str
    advocates: pd.DataFrame | str
    load: tuple[SegmentLoad, ...] | str
    links: pd.DataFrame | None
    """Rows of `signal_links` with `meaning` and `driver` (the measure, whatever its window); None:
    `tenure metrics` was not run.
    """
    patterns: Drawn | None
    pulse: Drawn | None


def customer_boards(workspace: Workspace, target: Target, run_id: str) -> CustomerBoards:
    """Everything for one run."""
    pages = workspace.folder / "reports" / target.name
    return CustomerBoards(
        onboarding=_onboarding(workspace, target),
        advocates=_advocates(workspace, target),
        load=_load(workspace, target, run_id),
        links=_links(workspace, target),
        patterns=_drawn(pages / PATTERNS_PAGE),
        pulse=_drawn(pages / PULSE_PAGE),
    )


def _onboarding(workspace: Workspace, target: Target) -> FunnelReport | str:
    try:
        return onboarding_funnel(workspace, target)
    except ChurnError as why:
        return str(why)


def _advocates(workspace: Workspace, target: Target) -> pd.DataFrame | str:
    try:
        return find_advocates(workspace, target)
    except ChurnError as why:
        return str(why)


def _load(workspace: Workspace, target: Target, run_id: str) -> tuple[SegmentLoad, ...] | str:
    table = f"features_scored_{target.name}"
    store, mine = workspace.store, [("run_id", "=", run_id)]
    columns = store.columns(table) if store.exists(table) else []
    days = next((days for days in LOAD_DAYS if f"tickets_{days}d" in columns), None)
    if days is None:
        return (
            "No signal counts support tickets. Add [sources.support_tickets], run `tenure"
            " features`, then `tenure score`."
        )
    wanted = [name for name in (f"tickets_{days}d", "tickets_open") if name in columns]
    rows = store.read(table, columns=["account_id", *wanted], filters=mine)
    scores = read_scores(store, mine, ["account_id"])
    scores["band"] = standing(scores)
    people = store.read("portfolio", columns=["account_id", "segment"], filters=mine)
    rows = rows.merge(scores, on="account_id").merge(people, on="account_id", how="left")
    rows["segment"] = rows["segment"].fillna("no segment")
    groups = [(EVERY_ACCOUNTS_SEGMENT, rows)]
    named = [(str(name), part) for name, part in rows.groupby("segment", sort=True)]
    groups += named if len(named) > 1 else []
    return tuple(_segment_load(name, part, days) for name, part in groups)


def _segment_load(segment: str, rows: pd.DataFrame, days: int) -> SegmentLoad:
    tickets = rows[f"tickets_{days}d"].astype(float)
    is_open = rows["tickets_open"].astype(float) if "tickets_open" in rows else None
    return SegmentLoad(
        segment,
        days,
        support_load(tickets.to_numpy()),
        float("nan") if is_open is None or is_open.isna().all() else float(is_open.sum()),
        float(tickets[rows["band"] == "at_risk"].sum()),
    )


def _links(workspace: Workspace, target: Target) -> pd.DataFrame | None:
    if not workspace.store.exists("signal_links"):
        return None
    rows = workspace.store.read("signal_links", filters=[("target", "=", target.name)])
    if rows.empty:
        return None
    signals = {}
    with suppress(ChurnError):
        signals = {signal.column: signal for signal in feature_set(workspace, target).signals}
    # A signal that was built no more since the links were made is told by its column.
    known = [signals.get(str(name)) for name in rows["signal"]]
    meanings = [
        str(name).replace("_", " ")
        if signal is None
        else signal.meaning + (f", last {signal.window_days} days" if signal.window_days else "")
        for name, signal in zip(rows["signal"], known, strict=True)
    ]
    drivers = [
        str(name) if signal is None else signal.driver
        for name, signal in zip(rows["signal"], known, strict=True)
    ]
    return rows.assign(meaning=meanings, driver=drivers)


def _drawn(page: Path) -> Drawn | None:
    try:
        at = datetime.fromtimestamp(page.stat().st_mtime, UTC).replace(tzinfo=None)
        return Drawn(page.read_text(encoding="utf-8"), at)
    # The page is drawn when somebody asks for it; until then the board leaves it out.
    except FileNotFoundError:
        return None
