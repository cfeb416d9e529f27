"""The planned worklist, in words and as plain values."""

from typing import Any

import pandas as pd
from rich.table import Table
from rich.text import Text

from models.plays import WITHIN, half_width, months_until_known
from models.targets import GOOD_EVENTS
from pipeline.actions.plays import LEFT_ALONE, ON_LIST, PLAN_COLUMNS, PlannedWorklist, PlayPlan
from pipeline.config.schema import Project, Target
from pipeline.reports.render import counted, day, money, percent

EVIDENCE_WORDS = {
    "lot": "measured by drawing lots",
    "holdout": "measured against a holdout",
    "observed": "seen where people chose, which proves nothing",
    "prior": "assumed",
}
ROWS_SHOWN = 15
"""Accounts of a list in the terminal; --json and worklist.csv have all."""
_JSON = ("account_id", "name", "owner", "rank", "health", "band", "probability", *PLAN_COLUMNS)


def plan_lines(
    planned: PlannedWorklist, project: Project, target: Target, owner: str | None
) -> list[Any]:
    """Renderables: what the lists save, what the lot costs and teaches, the list itself."""
    plan, ranked = planned.plan, planned.ranked
    listed = ranked[ranked["listed"] == ON_LIST]
    lines: list[Any] = [
        Text(words)
        for words in plan_words(
            plan,
            listed,
            project.currency,
            target.horizon_days,
            good_event=target.kind in GOOD_EVENTS,
        )
    ]
    shown = listed if owner is None else listed[listed["owner"] == owner]
    title = "All lists" if owner is None else f"List of {owner}"
    order = ["value_saved"] if owner is None else ["rank"]
    shown = shown.sort_values(order, ascending=owner is not None, kind="stable")
    lines.append(Text(f"{title}: {counted(len(shown), 'account')}", style="bold"))
    lines.append(
        _table(shown.head(ROWS_SHOWN), project.currency, good_event=target.kind in GOOD_EVENTS)
    )
    if len(shown) > ROWS_SHOWN:
        lines.append(Text(f"  {ROWS_SHOWN} of {len(shown)}; all are in worklist.csv and --json."))
    alone = ranked[ranked["listed"] == LEFT_ALONE]
    alone = alone if owner is None else alone[alone["owner"] == owner]
    if len(alone):
        names = ", ".join(alone["name"].head(5))
        lines.append(
            Text(
                f"Drawn at random to be left alone, please do not call: {names}"
                f"{f' and {len(alone) - 5} more' if len(alone) > 5 else ''}. They come back when"
                " they get clearly worse."
            )
        )
    return lines


def plan_words(
    plan: PlayPlan,
    listed: pd.DataFrame,
    currency: str,
    horizon_days: int | None,
    *,
    good_event: bool = False,
) -> list[str]:
    """Sentences about all lists together."""
    save, first = ("win", "likeliest") if good_event else ("save", "riskiest")
    lines = [
        f"{counted(len(listed), 'account')} on the lists of {counted(len(plan.owners), 'owner')}."
        f" Newly listed ones are expected to {save} {money(plan.saved, currency)} a year;"
        f" calling the {first} first in the same hours would {save}"
        f" {percent(plan.regret_of_risk)} less."
    ]
    for name, part in listed.groupby("play", sort=True):
        evidence, share = str(part["evidence"].iloc[0]), _save_share(plan, str(name))
        does = (
            f"makes {percent(share)} more of them grow"
            if good_event
            else f"keeps {percent(share)} of those who would leave"
        )
        lines.append(
            f"{_play_words(name).capitalize()}: {counted(len(part), 'account')}. We reckon that it"
            f" {does} ({EVIDENCE_WORDS.get(evidence, evidence)})."
        )
    drawn = sum(each.drawn for each in plan.owners)
    if not drawn:
        return [*lines, "No account was drawn at random this time."]
    lines.append(
        f"Near the end of the lists chance decides about {counted(drawn, 'account')}, so that you"
        f" learn what plays do. It costs {percent(plan.lot_share, 1)} of the value"
        f" {'won' if good_event else 'saved'} ([worklist] lot_share = 0 turns it off)."
    )
    return [*lines, *_promises(plan, listed, horizon_days, good_event=good_event)]


def _play_words(name: object) -> str:
    return str(name).replace("_", " ")


def _save_share(plan: PlayPlan, play: str) -> float:
    rows = plan.assigned[plan.assigned["play"] == play]
    return float(rows["save_share"].iloc[0]) if len(rows) else float("nan")


def _promises(
    plan: PlayPlan, listed: pd.DataFrame, horizon_days: int | None, *, good_event: bool
) -> list[str]:
    """When the lot will tell what a play does, if each month draws as many."""
    rows = plan.assigned
    drawn = rows[(rows["propensity"] > 0) & (rows["propensity"] < 1)]
    chances = listed.set_index("account_id")["probability"].astype(float)
    lines = []
    for name, part in drawn.groupby("play", sort=True):
        near = chances.reindex(part["account_id"]).dropna()
        if near.empty:
            continue
        chance, share = float(near.mean()), float(part["save_share"].iloc[0])
        with_it = min(chance * (1 + share if good_event else 1 - share), 1.0)
        per_arm = len(part) / 2
        months = months_until_known(chance, with_it, per_arm, horizon_days or 365, WITHIN)
        width = 100 * half_width(chance, with_it, 12 * per_arm)
        takes = (
            f"it takes {counted(months, 'month')}"
            if months is not None
            else "ten years are too short"
        )
        lines.append(
            f"With a list like this every month, {takes} to know the effect of a"
            f" {_play_words(name)} to within {100 * WITHIN:.0f} percentage points; after one year"
            f" you know it to within {width:.1f}."
        )
    return lines


def _table(rows: pd.DataFrame, currency: str, *, good_event: bool) -> Table:
    table = Table(box=None, pad_edge=False)
    gain = f"{'wins' if good_event else 'saves'} ({currency})"
    for name in ("#", "account", "owner", "do", "by", gain, "counted on", "lot"):
        table.add_column(name, justify="right" if name in ("#", gain) else "left")
    for place, row in enumerate(rows.to_dict("records"), 1):
        table.add_row(
            str(place),
            str(row["name"]),
            str(row["owner"]),
            _play_words(row["play"]),
            day(row["due"]),
            money(row["value_saved"]),
            EVIDENCE_WORDS.get(row["evidence"], ""),
            "drawn" if row["drawn"] else "",
        )
    return table


def plan_json(planned: PlannedWorklist, owner: str | None) -> dict[str, Any]:
    """Everything as plain values."""
    ranked, plan = planned.ranked, planned.plan
    rows = ranked if owner is None else ranked[ranked["owner"] == owner]
    plain = rows[list(_JSON)].astype(object)
    return {
        "saved": plan.saved,
        "regret_of_risk": plan.regret_of_risk,
        "lot_share": plan.lot_share,
        "owners": [vars(each) for each in plan.owners if owner in (None, each.owner)],
        "accounts": plain.where(plain.notna(), None).to_dict("records"),
    }
