"""Whether health speaks of the relationship: against the next contract end, whenever that is.

    python -m benchmarks.health [--accounts 1000] [--seeds 1 2 3] [--world today early] [--json]

`--world early` is a company whose customers remember: what drives them to leave adds up over four
months, so that a decline can be seen before it decides; in the world of the demo they decide by how
things stand in the last quarter.

Every seed is one simulated company, run through the whole flow as `tenure demo` does. Three
readings are compared: the model in use, which learns behaviour beside the contract calendar and is
read at the decision (`in_use`), one model of all signals read at the account's own date
(`own_date`), and the same asked about the days to renewal at which accounts of that term leave most
often (`asked_at_decision`). Judged are
the rows of dates that taught nothing (after the last training date, the test among them), of
accounts that had not given notice, against whether the account was lost at its *next contract
end*. The chance within the horizon is judged by `tenure evaluate`; here the question is whether a
score read today says how the contract will be decided, in weeks or in months.

- `validation_log_loss`: of the search, on validation dates alone, by which candidates are chosen;
  `test_log_loss`, `test_auc`: of the chance within the horizon.
- `auc`, `auc_low`, `auc_high`: health against the next contract end, 95% over resampled accounts;
  `auc_calendar`: the contract calendar alone.
- `auc_attainable`: of trees that were taught the simulator's truth of the decision (the probability
  of not renewing, did the contract come up on the date) on the dates before; nobody can do better
  with these signals.
- `auc_decided_truth`: of that truth itself, which knows what no table records.
- `by_term`, `by_lead`: within each length of term, and by days to the contract end; beside them
  `by_term_attainable`, `by_lead_attainable`.
- `spread_sd`: largest less smallest mean health over days to the end, within annual terms, in
  standard deviations of health. 0: the date moves nothing.
- `rank_28d`: rank correlation of health with that of 28 days earlier; `band_changes_a_year`: share
  of accounts whose band was not the same on all dates of the last year (some of which taught the
  model); `band_changes_truth`: the same of the truth, cut into bands of the same sizes; `shares`:
  accounts per band.
- `contradictions`: of the published drivers that take a point or more and have a worse direction,
  how many are named as reasons, how many values are on the better side of what accounts that stayed
  have, and how many of those named are so without having become worse.
- `warned`: of accounts that left, the share that stood among the `capacity` lowest healths, or
  highest chances, or first of a worklist of accounts of one value, or highest in the truth of the
  decision, of a date at least so many days before their end.
"""

import argparse
import json
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.simulated import attainable, truth_of
from features.terms import term_name
from models import metrics
from models.bundle import Bundle, score
from models.dataset import TrainingSet
from models.methods import ContractCalendar
from models.training import train
from pipeline.config.schema import Target
from pipeline.flow import run_flow
from pipeline.jobs.prepare import load_training
from pipeline.jobs.train import choose_scale, learning_task, plan_of
from pipeline.simulate import WorldOptions, simulate, write_world
from pipeline.workspace import Workspace, describe_target, open_workspace

Floats = NDArray[np.float64]
ALERT_SHARE = 0.06
"""Share of accounts in the first band of a proposed scale: about that of the demo today."""
LEADS = (0, 30, 60, 90, 180, 366)
AHEAD = (30, 60, 90, 120, 180)
"""Days before the end at which a leaver should have been on the list."""
YEAR_DAYS = 365
FEWEST_LOST = 5
"""Lost accounts without which an AUC is luck."""
REPLICATES = 400
DAY = pd.Timedelta(days=1)
HEADLINES = (
    "auc",
    "auc_low",
    "auc_attainable",
    "by_term",
    "by_lead",
    "spread_sd",
    "band_changes_a_year",
    "rank_28d",
    "contradictions",
    "warned",
)
"""Figures of the model in use that stand beside the company."""


WORLDS = {
    "today": WorldOptions(),
    "early": WorldOptions(memory_days=120.0, yearly_churn=0.19),
}
"""The demo's, and one in which trouble shows early, at the same rate of leaving."""


def measure(accounts: int, seed: int, world: str = "today") -> dict[str, Any]:
    """Simulate one company, run the flow, and judge the health it gives."""
    with tempfile.TemporaryDirectory() as aside:
        folder = Path(aside) / "demo"
        write_world(simulate(accounts, seed, options=WORLDS[world]), folder)
        workspace = open_workspace(folder, None, datetime(2026, 1, 1))
        target = workspace.target(None)
        run = run_flow(workspace, target, lambda step, words: None)
        truth = pd.read_parquet(folder / "truth" / "decision.parquet")
        candidates = compare(workspace, target, run.published.bundle, truth)
    return {
        "accounts": accounts,
        "seed": seed,
        "world": world,
        **{name: candidates["in_use"][name] for name in HEADLINES},
        "candidates": candidates,
    }


def compare(
    workspace: Workspace, target: Target, present: Bundle, truth: pd.DataFrame
) -> dict[str, dict[str, Any]]:
    """Figures of every candidate."""
    rows, _, _ = load_training(workspace, target)
    # A candidate that the gates refuse is judged all the same, not the scorecard in its place.
    present = replace(present, basis="calibrated")
    own = own_date(workspace, target, present, rows)
    calendar = next(
        each.method for each in present.model.members if isinstance(each.method, ContractCalendar)
    )
    asked = asked_at_decision(rows, calendar)
    return {
        "in_use": judge(workspace, target, present, rows, truth)
        | {"contradictions": contradictions(workspace, target, present)},
        "own_date": judge(workspace, target, own, rows, truth),
        "asked_at_decision": judge(workspace, target, own, rows, truth, asked),
    }


def own_date(workspace: Workspace, target: Target, present: Bundle, rows: TrainingSet) -> Bundle:
    """One model of all signals, on the same rows and with the same plan, and a scale proposed for
    it.
    """
    plan = replace(plan_of(workspace, target), beside_calendar=False)
    result = train(rows, plan, target=describe_target(target))
    task = learning_task(workspace, target)
    scale, _, _ = choose_scale(task, result, rows, None)
    return replace(present, model=result.model, scale=scale, basis="calibrated")


def asked_at_decision(rows: TrainingSet, calendar: ContractCalendar) -> TrainingSet:
    """The rows with every account's days to renewal and days in term moved to its decision."""
    days = calendar.decision_days(rows.features)
    moved = rows.features.assign(
        days_to_renewal=days,
        days_in_term=np.maximum(rows.features["term_days"] - days, 0.0),
    )
    return replace(rows, features=moved)


def judge(
    workspace: Workspace,
    target: Target,
    bundle: Bundle,
    rows: TrainingSet,
    truth: pd.DataFrame,
    asked: TrainingSet | None = None,
) -> dict[str, Any]:
    """Figures of a bundle on the rows that taught it nothing; `asked`: what health is asked with,
    where that is not what is so.
    """
    taught = pd.Timestamp(bundle.model.training.learned_until)
    since = rows.keys["as_of"].max() - (YEAR_DAYS - 1) * DAY
    late = (rows.keys["as_of"] > since).to_numpy()
    health = score(bundle, (asked or rows).features[late]).table
    true = truth_of(rows, truth)
    year = scored(workspace, target, bundle, rows.rows(late), health).assign(truth=true[late])
    table = year[year["as_of"] > taught].reset_index(drop=True)
    capacity = workspace.project.objective.capacity or max(1, len(table) // 10)
    known = table[table["lost"].notna()].reset_index(drop=True)
    known["attainable"] = _attainable(rows, true, known)
    test = rows.test
    chance = bundle.model.probability(test.features)
    return {
        "validation_log_loss": bundle.model.training.recorded.get("log_loss_tuning"),
        "test_log_loss": round(metrics.log_loss(test.labels, chance), 4),
        "test_auc": round(metrics.auc(test.labels, chance), 3),
        "rows": len(known),
        "lost": int(known["lost"].sum()),
        **_pooled(known),
        "auc_calendar": _auc(known, "calendar"),
        "auc_attainable": _auc(known, "attainable"),
        "auc_decided_truth": _auc(known[known["truth"].notna()], "truth"),
        **_within(known),
        "spread_sd": spread_sd(table),
        "rank_28d": rank_28d(table),
        "band_changes_a_year": band_changes_a_year(year),
        "band_changes_truth": band_changes_a_year(in_bands_of_truth(year)),
        "shares": {str(k): round(float(v), 3) for k, v in _shares(table).items()},
        "warned": {
            name: warned(table, -table[column] if sign < 0 else table[column], capacity)
            for name, column, sign in (
                ("health", "health", -1),
                ("chance", "probability", 1),
                ("worklist", "weight", 1),
                ("truth", "truth", 1),
            )
        },
    }


def scored(
    workspace: Workspace, target: Target, bundle: Bundle, late: TrainingSet, health: pd.DataFrame
) -> pd.DataFrame:
    """One row per account and date: health, chance, term, days to its end, what came of it.

    `lost` is null where the next contract end is not known to its end; `left_at` where the account
    has not left.
    """
    features = late.features
    table = late.keys[["account_id", "as_of"]].reset_index(drop=True)
    table["health"] = health["health_exact"].to_numpy()
    table["band"] = health["band"].to_numpy()
    table["probability"] = bundle.published.probability(features)
    table["lead"] = features["days_to_renewal"].to_numpy()
    horizon = float(target.horizon_days or 0)
    then = bundle.relationship.probability(features)
    is_later = (table["lead"] > horizon) & (bundle.published.decision is not None)
    table["weight"] = np.where(is_later, then * horizon / table["lead"], table["probability"])
    days = features["term_days"].to_numpy()
    table["term"] = ["open" if np.isnan(d) else term_name(int(d)) for d in days]
    table["calendar"] = _calendar(bundle, features)
    ends = ends_of_cover(workspace.store.read("staged_subscriptions"), target.grace_days)
    until = pd.Timestamp(str(workspace.project.sources["subscriptions"].data_until))
    end = table["as_of"] + pd.to_timedelta(table["lead"], unit="D")
    left = table.merge(ends, on="account_id", how="left")["left_at"].to_numpy()
    table["left_at"] = np.where(left > until.to_datetime64(), np.datetime64("NaT"), left)
    is_lost = (table["left_at"] <= end + DAY) & (table["left_at"] >= table["as_of"])
    is_known = (end + (target.grace_days + 1) * DAY <= until) & table["lead"].notna()
    table["lost"] = np.where(is_known, is_lost.astype(float), np.nan)
    return table


def _calendar(bundle: Bundle, features: pd.DataFrame) -> Floats:
    """What the contract calendar alone says where terms decide; 0 for a model without one."""
    for member in bundle.relationship.members:
        if member.method.name == ContractCalendar.name:
            return member.method.margin(features)
    return np.zeros(len(features))


def ends_of_cover(subscriptions: pd.DataFrame, grace_days: int) -> pd.DataFrame:
    """Last end of paid cover per account, as known at last: account_id, left_at."""
    paid = subscriptions[subscriptions["known_until"].isna()]
    paid = paid[~paid["is_trial"].fillna(False).astype(bool)]
    last = paid.groupby("account_id")["ends_at"].max().rename("left_at").reset_index()
    return last


def _enough(part: pd.DataFrame) -> bool:
    lost = part.loc[part["lost"] == 1, "account_id"].nunique()
    return bool(lost >= FEWEST_LOST and (part["lost"] == 0).any())


def _auc(part: pd.DataFrame, column: str = "health") -> float:
    sign = -1.0 if column == "health" else 1.0
    return round(metrics.auc(part["lost"].to_numpy(), sign * part[column].to_numpy()), 3)


def _pooled(known: pd.DataFrame) -> dict[str, float]:
    generator = np.random.default_rng(0)
    code, names = pd.factorize(known["account_id"])
    labels, risk = known["lost"].to_numpy(), -known["health"].to_numpy()
    drawn = []
    for _ in range(REPLICATES):
        times = np.bincount(generator.integers(0, len(names), len(names)), minlength=len(names))
        drawn.append(metrics.auc(labels, risk, times[code].astype(np.float64)))
    low, high = np.nanquantile(drawn, [0.025, 0.975])
    return {
        "auc": _auc(known),
        "auc_low": round(float(low), 3),
        "auc_high": round(float(high), 3),
    }


def _attainable(rows: TrainingSet, true: Floats, known: pd.DataFrame) -> Floats:
    """Per known row what trees say that were taught the truth on earlier dates."""
    taught = (rows.keys["as_of"] < known["as_of"].min()).to_numpy() & ~np.isnan(true)
    pairs = pd.MultiIndex.from_frame(rows.keys[["account_id", "as_of"]])
    place = pairs.get_indexer(pd.MultiIndex.from_frame(known[["account_id", "as_of"]]))
    # Rows of a training set are sorted, those that are known here may stand in another order.
    order = np.argsort(place)
    best = np.empty(len(place))
    best[order] = attainable(rows.rows(taught), true[taught], rows.rows(place[order]))
    return best


def _within(known: pd.DataFrame) -> dict[str, dict[str, float]]:
    """AUC of health, and the attainable one, within terms and by days to the end."""
    parts = {
        "by_term": {str(term): part for term, part in known.groupby("term")},
        "by_lead": {
            f"{low}-{high}": known[(known["lead"] >= low) & (known["lead"] < high)]
            for low, high in zip(LEADS, LEADS[1:], strict=False)
        },
    }
    return {
        name + suffix: {k: _auc(part, column) for k, part in each.items() if _enough(part)}
        for name, each in parts.items()
        for suffix, column in (("", "health"), ("_attainable", "attainable"))
    }


def spread_sd(table: pd.DataFrame) -> float | None:
    """Largest less smallest mean health over days to the end of annual terms, in standard
    deviations of health.
    """
    annual = table[(table["term"] == "yearly") & table["lead"].notna()]
    if len(annual) < 2 or table["health"].std() == 0:
        return None
    bins = pd.cut(annual["lead"], [*range(0, 360, 30), 400], right=False)
    means = annual.groupby(bins, observed=True)["health"].mean()
    return round(float((means.max() - means.min()) / table["health"].std()), 3)


def rank_28d(table: pd.DataFrame) -> float:
    """Mean rank correlation of health with that of the date before."""
    health = table.pivot(index="account_id", columns="as_of", values="health")
    pairs = zip(health.columns, health.columns[1:], strict=False)
    both = [
        float(np.corrcoef(health[list(each)].dropna().rank().to_numpy().T)[0, 1]) for each in pairs
    ]
    return round(float(np.mean(both)), 3)


def band_changes_a_year(year: pd.DataFrame) -> float:
    """Share of the accounts that were there on every date of a year whose band was not always the
    same.
    """
    band = year.pivot(index="account_id", columns="as_of", values="band").dropna()
    return round(float((band.nunique(axis=1) > 1).mean()), 3)


def in_bands_of_truth(year: pd.DataFrame) -> pd.DataFrame:
    """Rows whose truth is known, cut by it into bands as large as those of health."""
    known = year.dropna(subset=["truth"])
    shares = known.groupby("band")["health"].agg(["mean", "size"]).sort_values("mean")
    upper = shares["size"].cumsum().to_numpy()
    place = known["truth"].rank(ascending=False, method="first").to_numpy()
    return known.assign(band=np.searchsorted(upper, place))


def _shares(table: pd.DataFrame) -> Mapping[Any, float]:
    return dict(table["band"].value_counts(normalize=True))


def contradictions(workspace: Workspace, target: Target, bundle: Bundle) -> dict[str, int]:
    """Published drivers that take points although their value is better than the reference; as a
    reason such a value must have become worse.
    """
    drivers = workspace.store.read("drivers", filters=[("target", "=", target.name)])
    # By the signal whose value is shown: of two that move together the other names the driver.
    worse = {s.column: s.worse for s in bundle.published.signals if s.worse}
    mine = drivers[(drivers["points"] <= -1.0) & drivers["signal"].isin(list(worse))]
    mine = mine.dropna(subset=["value", "reference"])
    sign = np.where(mine["signal"].map(worse) == "up", 1.0, -1.0)
    against = sign * (mine["value"] - mine["reference"]) < 0
    has_worsened = sign * (mine["value"] - mine["value_before"]) > 0
    is_reason = mine["reason"].notna()
    return {
        "drivers": len(mine),
        "reasons": int(is_reason.sum()),
        "against": int(against.sum()),
        "reasons_against": int((against & is_reason & ~has_worsened).sum()),
    }


def warned(table: pd.DataFrame, risk: "pd.Series[float]", capacity: int) -> dict[str, float | None]:
    """Share of leavers that stood on the list of some date at least so many days before their
    end.
    """
    place = risk.groupby(table["as_of"]).rank(ascending=False, method="first")
    rows = table.assign(listed=place <= capacity).dropna(subset=["left_at"])
    ahead = (rows["left_at"] - rows["as_of"]).dt.days
    found: dict[str, float | None] = {}
    for days in AHEAD:
        early = rows[ahead >= days].groupby("account_id")["listed"].any()
        found[str(days)] = round(float(early.mean()), 3) if len(early) >= FEWEST_LOST else None
    return found


def _mean(values: list[Any]) -> Any:
    """Mean over companies, key by key; of those that have a figure."""
    if isinstance(values[0], dict):
        keys = dict.fromkeys(key for each in values for key in each)
        return {key: _mean([each[key] for each in values if key in each]) for key in keys}
    known = [value for value in values if value is not None]
    return round(float(np.mean(known)), 3) if known else None


def main() -> None:
    """Measure, then print a table or JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--accounts", type=int, default=1_000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--world", nargs="+", choices=list(WORLDS), default=["today"])
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    companies = [
        measure(asked.accounts, seed, world) for world in asked.world for seed in asked.seeds
    ]
    if asked.json:
        headlines = {name: _mean([c[name] for c in companies]) for name in HEADLINES}
        print(json.dumps(headlines | {"companies": companies}))
        return
    for company in companies:
        for name, figures in company["candidates"].items():
            place = f"seed {company['seed']}, world {company['world']}"
            print(f"{place}, {name.replace('_', ' ')}")
            for figure, value in figures.items():
                print(f"  {figure.replace('_', ' '):<20} {value}")


if __name__ == "__main__":
    main()
