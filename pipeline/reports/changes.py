"""Who moved bands between two runs and why: counts for the page, words for the terminal."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

import pandas as pd

from models.changes import CAUSES, CAUSES_IN_WORDS
from models.health.scale import BANDS_IN_WORDS
from models.health.standing import LEAVING, UNKNOWN
from models.health.words import chance_moved_words, horizon_words
from pipeline.jobs.changes import GONE, NEW, ScoreChanges
from pipeline.jobs.history import PublishedScore
from pipeline.reports.render import render, style

MOVED_BY_IN_WORDS = {
    **CAUSES_IN_WORDS,
    NEW: "new account",
    GONE: "no longer scored",
    UNKNOWN: "no score in one of the runs",
    LEAVING: "gave notice or lapsed",
}
_SHOWN_MOVES, _SHOWN_REASONS = 60, 3
_OUTSIDE = "-"


def moves(accounts: pd.DataFrame) -> pd.DataFrame:
    """Accounts whose band is another now, new and gone ones included; the largest value first."""
    bands = accounts[["band_before", "band_after"]].fillna(_OUTSIDE)
    moved = accounts[bands["band_before"] != bands["band_after"]]
    return moved.sort_values(
        ["value_per_year", "account_id"],
        ascending=[False, True],
        na_position="last",
        ignore_index=True,
    )


def band_moves(accounts: pd.DataFrame) -> pd.DataFrame:
    """Counts of moves: band_before, band_after (`-`: not in that run), moved_by, accounts,
    value_per_year.
    """
    moved = moves(accounts).fillna({"band_before": _OUTSIDE, "band_after": _OUTSIDE})
    keys = ["band_before", "band_after", "moved_by"]
    values = moved.groupby(keys, sort=True)["value_per_year"]
    table = pd.DataFrame(
        {"accounts": values.size(), "value_per_year": values.sum(min_count=1)}
    ).reset_index()
    return table.sort_values(
        ["accounts", *keys], ascending=[False, True, True, True], ignore_index=True
    )


def cause_totals(accounts: pd.DataFrame) -> pd.DataFrame:
    """Per cause: `up` and `down` (accounts it moved by half a point and more), `mean` points over
    all accounts scored in both runs, `bands` (accounts that changed band, mostly by it).
    """
    scored = accounts.dropna(subset=["change"])
    by_it = moves(accounts)["moved_by"].value_counts()
    return pd.DataFrame(
        {
            "cause": list(CAUSES),
            "up": [int((scored[c] >= 0.5).sum()) for c in CAUSES],
            "down": [int((scored[c] <= -0.5).sum()) for c in CAUSES],
            "mean": [float(scored[c].mean()) if len(scored) else float("nan") for c in CAUSES],
            "bands": [int(by_it.get(c, 0)) for c in CAUSES],
        }
    )


def changes_page(changes: ScoreChanges, *, project: str, now: datetime) -> str:
    """One self-contained HTML page: no outside hosts, no script."""
    moved = moves(changes.accounts)
    reasons = _reasons(changes.lines, moved["account_id"].head(_SHOWN_MOVES))
    return render(
        "changes.html.j2",
        style=style(),
        project=project,
        now=now,
        before=changes.before,
        after=changes.after,
        run_markers=changes.markers,
        notes=changes.notes,
        moved=len(moved),
        worse=_count(moved, -1),
        better=_count(moved, 1),
        causes=[
            {**row, "words": CAUSES_IN_WORDS[row["cause"]]}
            for row in cause_totals(changes.accounts).to_dict("records")
        ],
        bands=[
            {**row, "words": MOVED_BY_IN_WORDS[row["moved_by"]]}
            for row in band_moves(changes.accounts).to_dict("records")
        ],
        rows=[
            {
                **row,
                "words": MOVED_BY_IN_WORDS[row["moved_by"]],
                "reasons": reasons.get(row["account_id"], []),
                "rest": _rest(row, reasons.get(row["account_id"], [])),
            }
            for row in moved.head(_SHOWN_MOVES).to_dict("records")
        ],
        scored=int(changes.accounts["change"].notna().sum()),
        accounts=len(changes.accounts),
    )


def changes_text(changes: ScoreChanges) -> list[str]:
    """The portfolio view in lines."""
    moved = moves(changes.accounts)
    lines = [
        f"{len(moved):,} of {len(changes.accounts):,} accounts changed band between"
        f" {changes.before.day} and {changes.after.day} (runs {changes.before.run_id} and"
        f" {changes.after.run_id})"
    ]
    lines += [f"  what else changed between the runs: {each}" for each in changes.markers] or [
        "  the model, the scale and the settings are the same"
    ]
    lines.append(
        f"  {'cause':<24} {'mean points':>11} {'raised':>7} {'lowered':>7} {'new band':>8}"
    )
    for row in cause_totals(changes.accounts).to_dict("records"):
        lines.append(
            f"  {CAUSES_IN_WORDS[row['cause']]:<24} {row['mean']:>+11.2f} {row['up']:>7,}"
            f" {row['down']:>7,} {row['bands']:>8,}"
        )
    for row in band_moves(changes.accounts).to_dict("records"):
        lines.append(
            f"  {row['accounts']:>5,}  {_band(row['band_before'])} -> {_band(row['band_after'])}: "
            f"{MOVED_BY_IN_WORDS[row['moved_by']]}"
        )
    return [*lines, *(f"  note: {note}" for note in changes.notes)]


def account_text(
    changes: ScoreChanges, account: pd.Series, history: Sequence[PublishedScore]
) -> list[str]:
    """One account in lines: the two scores, what moved it, and its history with markers."""
    before, after = (
        _score(account[f"health_{side}"], account[f"band_{side}"]) for side in ("before", "after")
    )
    lines = [
        f"{account['name']}  ({account['account_id']})",
        f"{changes.before.day}: {before}   {changes.after.day}: {after}"
        + ("" if pd.isna(account["change"]) else f"   ({int(account['change']):+d})"),
    ]
    lines += _chance_lines(changes, account)
    for row in changes.lines[changes.lines["account_id"] == account["account_id"]].to_dict(
        "records"
    ):
        if row["points_displayed"] is not pd.NA and row["points_displayed"] == 0:
            continue
        points = "" if pd.isna(row["points_displayed"]) else f"{int(row['points_displayed']):+d}"
        lines.append(f"  {points:>4}  {MOVED_BY_IN_WORDS[row['cause']]:<24} {row['words']}")
    lines += [f"  {each}" for each in changes.markers]
    lines.append("history:")
    for each in history:
        marker = f"   <- new {each.marker}" if each.marker else ""
        lines.append(f"  {each.as_of:%Y-%m-%d}  {_score(each.health, each.standing)}{marker}")
    return lines


def _chance_lines(changes: ScoreChanges, account: pd.Series) -> list[str]:
    """Where the calendar has a part in the chance under one model: what moved it."""
    both = account[["probability_before", "probability_after", "timing_before", "timing_after"]]
    runs = (changes.before, changes.after)
    models = {(run.model_version, run.calibrator_version) for run in runs}
    if both.isna().any() or len(models) > 1:
        return []
    before, after, timing_before, timing_after = both.astype("float64")
    moved = chance_moved_words(before, after, timing_after - timing_before)
    return [f"chance {horizon_words(changes.after.horizon_days)}: {moved}"]


def changes_json(
    changes: ScoreChanges, account: pd.Series | None, history: Sequence[PublishedScore]
) -> dict[str, Any]:
    """The portfolio view as plain values; with an account only its lines and its history."""
    plain: dict[str, Any] = {
        side: {
            key: getattr(run, key)
            for key in (
                "run_id",
                "as_of",
                "model_version",
                "calibrator_version",
                "scale_version",
                "config_hash",
            )
        }
        for side, run in (("from", changes.before), ("to", changes.after))
    }
    plain |= {"markers": list(changes.markers), "notes": list(changes.notes)}
    if account is not None:
        mine = changes.lines[changes.lines["account_id"] == account["account_id"]]
        return {
            **plain,
            "account": _records(account.to_frame().T)[0],
            "lines": _records(mine),
            "history": [asdict(each) for each in history],
        }
    causes = {row.pop("cause"): row for row in _records(cause_totals(changes.accounts))}
    return {
        **plain,
        "causes": causes,
        "moves": _records(band_moves(changes.accounts)),
        "accounts": _records(moves(changes.accounts)),
    }


def _records(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as plain values; missing of every kind is None."""
    return [
        {str(k): None if pd.isna(v) else v for k, v in row.items()}
        for row in rows.astype(object).to_dict("records")
    ]


def _reasons(lines: pd.DataFrame, ids: "pd.Series[str]") -> dict[str, list[dict[str, Any]]]:
    """The largest lines of each account; those that round to no point explain none."""
    mine = lines[lines["account_id"].isin(set(ids))]
    mine = mine[mine["points_displayed"].ne(0).fillna(True)]
    return {
        str(account): rows.head(_SHOWN_REASONS).to_dict("records")  # type: ignore[misc]
        for account, rows in mine.groupby("account_id", sort=False)
    }


def _rest(row: Mapping[Any, Any], reasons: Sequence[Mapping[str, Any]]) -> int:
    """Points of the change that the listed reasons leave over; 0 without a score on either date."""
    if pd.isna(row["change"]):
        return 0
    listed = [int(each["points_displayed"]) for each in reasons if each["points"] == each["points"]]
    return int(row["change"]) - sum(listed)


def _count(moved: pd.DataFrame, sign: int) -> int:
    return int((moved["change"].dropna() * sign > 0).sum())


def _band(name: object) -> str:
    return "not in the run" if name == _OUTSIDE else BANDS_IN_WORDS.get(str(name), str(name))


def _score(health: Any, band: Any) -> str:
    if pd.isna(band):
        return "not in the run"
    return f"{'' if pd.isna(health) else f'{int(health)} '}{_band(band)}"
