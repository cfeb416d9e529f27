"""Reasons of a simulated company against the troubles that the simulator planted.

    python -m benchmarks.drivers --project DIR [--target NAME] [--json]

DIR is a finished `tenure demo`: its newest candidate explains the red accounts of the untouched
test dates, and the reasons are compared with `truth/drivers.parquet`, which no model sees.
*Recovered*: of the red rows with a planted trouble that can be seen, the share with one of these
troubles among the first three reasons. A trouble counts under the reasons that are its direct
traces (`TRACES`), not under what it does to use and mood further on. *By chance*: the same, with
the troubles of every other red account. *Carried*: the share of the points below 0 of a red row
that its printed reasons carry, of all drivers and of those that somebody can do something about
(not the calendar, nor who they are), on average. A near renewal is left aside: it says when, not
what.
*Stable*: the first three reasons of the model against those of the same model from another seed.
*Twins split*: red rows shown two measures as two drivers although they move together, by the same
rule asked again of the test rows, which had no part in finding twins.
"""

import argparse
import json
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from features.errors import NotFound
from models.bundle import Bundle, score
from models.dataset import TrainingSet
from models.drivers import REST, account_reasons, driver_table, find_twins
from models.drivers.reasons import UNALTERABLE
from models.model import Model
from pipeline.config.schema import Target
from pipeline.jobs.prepare import load_training
from pipeline.jobs.registry import need_version
from pipeline.tracking import CHALLENGER
from pipeline.workspace import Workspace, open_workspace

TRACES: dict[str, frozenset[str]] = {
    "champion_lost": frozenset({"sponsor_lost"}),
    "bug_trouble": frozenset({"bug_trouble", "slow_support"}),
    "payment_trouble": frozenset({"payment"}),
    "low_value_fit": frozenset({"poor_fit", "slow_start"}),
    "price_rise": frozenset({"price"}),
}
"""Planted trouble -> reasons that are its direct traces."""
FIRST = 3
_CALENDAR = "renewal_near"


def measure(workspace: Workspace, target: Target) -> dict[str, Any]:
    """Recovery, stability and twins on the red rows of the test dates."""
    rows, _, _ = load_training(workspace, target)
    version = need_version(
        workspace, target, CHALLENGER, "Make one with `tenure demo --project DIR`."
    )
    bundle = version.bundle
    test = rows.rows(rows.keys["is_test"].to_numpy(dtype=bool))
    test = test.rows(
        (score(bundle, test.features).table["band"] == bundle.scale.bands[0]).to_numpy()
    )
    drivers = _drivers(bundle, bundle.model, test)
    reasons = account_reasons(drivers)
    found: dict[str, Any] = {
        "version": version.number,
        "red_rows": len(test),
        "red_accounts": int(test.keys["account_id"].nunique()),
        "dates": int(test.keys["as_of"].nunique()),
        "explained": round(float(reasons["account_id"].nunique() / max(1, len(test))), 3),
        **_carried(drivers, reasons),
        **_recovered(test, reasons, _truth(workspace, test)),
        **_twins(bundle, rows, drivers),
    }
    if version.reseeded is not None:
        found |= _stability(
            reasons, account_reasons(_drivers(bundle, version.reseeded, test)), len(test)
        )
    return found


def _drivers(bundle: Bundle, model: Model, rows: TrainingSet) -> pd.DataFrame:
    """Published drivers of rows, `account_id` being their number."""
    scored = score(replace(bundle, model=model), rows.features)
    references = {
        name: float("nan") if value is None else float(value)
        for name, value in model.references.items()
    }
    return driver_table(
        [f"{i:06d}" for i in range(len(rows))],
        rows.features.reset_index(drop=True),
        None,
        scored.points,
        model.signals,
        references,
        scored.table["health"].to_numpy(),
        scored.base_displayed,
        twins=bundle.twins,
    )


def _truth(workspace: Workspace, rows: TrainingSet) -> pd.DataFrame:
    """One flag per trouble for every row; missing where the simulator wrote none."""
    path = workspace.folder / "truth" / "drivers.parquet"
    if not path.is_file():
        raise NotFound(
            f"{path} does not exist: only a simulated company knows what was planted. Make one with"
            " `tenure demo`."
        )
    told = pd.read_parquet(path)
    keys = rows.keys[["account_id", "as_of"]].astype({"as_of": told["as_of"].dtype})
    return (
        told.set_index(["account_id", "as_of"])
        .reindex(pd.MultiIndex.from_frame(keys))
        .reset_index(drop=True)
    )


def _recovered(rows: TrainingSet, reasons: pd.DataFrame, truth: pd.DataFrame) -> dict[str, Any]:
    shown = _first(reasons, len(rows))
    seen = truth[list(TRACES)].fillna(False).astype(bool)
    has_one = np.flatnonzero(seen.any(axis=1))
    planted = [{name for name in TRACES if seen[name].iloc[i]} for i in range(len(rows))]
    account = rows.keys["account_id"].to_numpy()
    chance = [
        _hit(shown[i], planted[j]) for i in has_one for j in has_one if account[i] != account[j]
    ]
    each = {
        name: {
            "rows": int(seen[name].sum()),
            "recovered": _share([_hit(shown[i], {name}) for i in np.flatnonzero(seen[name])]),
        }
        for name in TRACES
    }
    return {
        "with_trouble": len(has_one),
        "recovered": _share([_hit(shown[i], planted[i]) for i in has_one]),
        "by_chance": _share(chance),
        "troubles": each,
    }


def _carried(drivers: pd.DataFrame, reasons: pd.DataFrame) -> dict[str, float]:
    """Share of a row's points below 0 that its reasons carry, on average over the rows."""
    against = drivers[drivers["points"] < 0]
    named = reasons.groupby("account_id")["points"].sum()
    return {
        name: round(float((named / rows.groupby("account_id")["points"].sum()).fillna(0).mean()), 3)
        for name, rows in (
            ("carried", against),
            ("carried_alterable", against[~against["nature"].isin(UNALTERABLE)]),
        )
    }


def _hit(shown: list[str], planted: set[str]) -> bool:
    return any(reason in TRACES[name] for name in planted for reason in shown)


def _first(reasons: pd.DataFrame, n: int) -> list[list[str]]:
    """The first three reasons of every row, the calendar left aside."""
    by_row = (
        reasons[reasons["reason"] != _CALENDAR]
        .groupby("account_id")["reason"]
        .apply(list)
        .to_dict()
    )
    return [by_row.get(f"{i:06d}", [])[:FIRST] for i in range(n)]


def _stability(reasons: pd.DataFrame, reseeded: pd.DataFrame, n: int) -> dict[str, Any]:
    """How much the first three reasons of two seeds have in common, where either has any."""
    pairs = [
        (set(a), set(b))
        for a, b in zip(_first(reasons, n), _first(reseeded, n), strict=True)
        if a or b
    ]
    firsts = [(a[0], b) for a, b in zip(_first(reasons, n), _first(reseeded, n), strict=True) if a]
    return {
        "stable_overlap": (
            round(float(np.mean([len(a & b) / max(len(a), len(b)) for a, b in pairs])), 3)
            if pairs
            else None
        ),
        "first_reason_kept": _share([first in other for first, other in firsts]),
    }


def _twins(bundle: Bundle, rows: TrainingSet, drivers: pd.DataFrame) -> dict[str, Any]:
    """Red rows whose listed drivers hold two that move together, by the same rule asked again of
    the test rows.
    """
    found = find_twins(
        rows.features[rows.keys["is_test"].to_numpy(dtype=bool)], bundle.model.signals
    )
    listed = drivers[drivers["driver"] != REST].copy()
    listed["group"] = [
        found.get(d, {}).get(name, name)
        for d, name in zip(listed["dimension"], listed["driver"], strict=True)
    ]
    split = listed.groupby(["account_id", "dimension", "group"]).size()
    pairs = split[split > 1].reset_index()
    return {
        "twins": sum(len(names) for names in bundle.twins.values()),
        "twins_split": round(
            float(pairs["account_id"].nunique() / max(1, drivers["account_id"].nunique())), 3
        ),
        "split": sorted(set(pairs["group"])),
    }


def _share(hits: list[bool]) -> float | None:
    return round(float(np.mean(hits)), 3) if hits else None


def main() -> None:
    """Measure, then print lines or JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--project", type=Path, required=True, help="folder of a finished `tenure demo`"
    )
    parser.add_argument("--target")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    workspace = open_workspace(given.project, None, datetime(2026, 1, 1))
    found = measure(workspace, workspace.target(given.target))
    if given.json:
        print(json.dumps(found))
        return
    print(
        f"{found['red_rows']} red rows of {found['red_accounts']} accounts on {found['dates']} test"
        f" dates; {found['explained']:.0%} with a reason; {found['with_trouble']} with a trouble"
        " that can be seen"
    )
    print(
        f"recovered among the first {FIRST}: {_percent(found['recovered'])}, by chance"
        f" {_percent(found['by_chance'])}"
    )
    print(
        f"carried by reasons: {_percent(found['carried'])} of the points below 0,"
        f" {_percent(found['carried_alterable'])} of those that somebody can do something about"
    )
    for name, one in found["troubles"].items():
        print(f"  {name:<16} {one['rows']:>4} rows  {_percent(one['recovered']):>5}")
    print(
        f"stable under reseeding: {_percent(found.get('stable_overlap'))} of the first {FIRST} the"
        f" same, the first reason among them in {_percent(found.get('first_reason_kept'))}"
    )
    print(
        f"{found['twins']} measures are shown under a twin's name; split in"
        f" {_percent(found['twins_split'])} of red rows ({', '.join(found['split']) or 'none'})"
    )


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.0%}"


if __name__ == "__main__":
    main()
