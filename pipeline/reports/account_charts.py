"""The numbers behind the pictures of an account's page, as one tidy table."""

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from pipeline.jobs.account_facts import AccountFacts
from pipeline.jobs.explain import Explained
from pipeline.jobs.history import AccountTrajectory
from pipeline.reports.account import waterfall

POINTS, WEEKS, SCORES = "points", "week by week", "scores"
COLUMNS = ("chart", "series", "date", "value", "low", "high")
_WEEK, _DAY = pd.Timedelta(days=7), pd.Timedelta(days=1)


def account_chart_tables(explained: Explained, facts: AccountFacts | None) -> pd.DataFrame:
    """The tables behind the pictures as one, a row for each mark.

    Returns
    -------
    DataFrame
        `chart` (`points`, `week by week`, `scores`), `series` (what the bar, row of bars or line
        is called), `date` (missing for points; a week's last
        day), `value`, and `low` and `high`,
        which are from where to where a bar of points goes, and the interval of an expected score.
    """
    rows = [
        *_points(explained),
        *([] if facts is None else _weeks(facts)),
        *([] if explained.trajectory is None else _scores(explained.trajectory)),
        *_published(explained.history),
    ]
    charts = pd.DataFrame(rows, columns=list(COLUMNS))
    return charts.assign(date=pd.to_datetime(charts["date"]))


def _points(explained: Explained) -> Iterator[tuple[Any, ...]]:
    if pd.isna(explained.score["health"]):
        return
    base = int(explained.score["base_displayed"])
    for bar in waterfall(explained.driver_rows, base, alterable_first=True):
        said = f"{bar.said} ({bar.compared})" if bar.compared else bar.said
        value = bar.end if bar.row is None else bar.end - bar.start
        yield POINTS, said, None, value, min(bar.start, bar.end), max(bar.start, bar.end)


def _weeks(facts: AccountFacts) -> Iterator[tuple[Any, ...]]:
    for each in facts.weekly:
        if not any(each.values):
            continue  # no picture is drawn of it
        for place, value in enumerate(each.values):
            ago = len(each.values) - 1 - place
            last_day = pd.Timestamp(facts.as_of) - ago * _WEEK - _DAY
            yield WEEKS, each.name, last_day, value, None, None


def _scores(trajectory: AccountTrajectory) -> Iterator[tuple[Any, ...]]:
    row: Mapping[str, Any] = trajectory.row
    past = trajectory.past.dropna(subset=["health_exact"])
    for at, health in zip(past["as_of"], past["health_exact"], strict=True):
        yield SCORES, "as this model would have scored", at, float(health), None, None
    for days in sorted(trajectory.summary.projections):
        if pd.isna(row[f"health_{days}d"]):
            continue
        low, middle, high = (float(row[f"health{end}_{days}d"]) for end in ("_low", "", "_high"))
        at = pd.Timestamp(row["as_of"]) + pd.Timedelta(days=days)
        yield SCORES, "expected, if the account stays", at, middle, low, high


def _published(history: pd.DataFrame | None) -> Iterator[tuple[Any, ...]]:
    if history is None:
        return
    for row in history.dropna(subset=["health"]).to_dict("records"):
        yield SCORES, "published", row["as_of"], int(row["health"]), None, None
