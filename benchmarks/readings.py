"""Ways to read a relationship and a chance from the same signals, compared before any is kept.

    python -m benchmarks.readings [--accounts 1000] [--seeds 1 2] [--json]

Every seed is one simulated company. All readings have the same learner, half trees and half a line
with settings fixed beforehand, learn from the same dates, and are compared on validation dates (the
last before the test, which is not looked at):

- `own_date`: one model of all signals, read at the account's own date;
- `asked_at_decision` (a): the same, asked about the days to renewal at which accounts of that term
  leave most often;
- `next_decision` (b): a model of the next contract end, however far, with the days to it as a
  signal. What its labels cost is `taught`: an end a year ahead is known a year later;
- `hazards` (c): leaving in each of three months, the calendar being the account's at the month;
- `blend` (d): the mean of (a) and (e), in log-odds;
- `beside_calendar` (e): behaviour beside the contract calendar, as training does it.

- `log_loss`: of leaving within the horizon, after a sigmoid fitted on other accounts.
- `auc`, `auc_yearly`: of health against the next contract end, over all rows and within annual
  terms.
- `spread_sd`: how far its mean moves with days to renewal among annual terms, in standard
  deviations.
- `rank_28d`: rank correlation with the reading of 28 days earlier.
- `taught`, `left`: rows it learned from, and leavers among their accounts.
"""

import argparse
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.health import asked_at_decision, ends_of_cover, rank_28d, spread_sd
from features.terms import term_name
from models import metrics
from models.calibration import fit_platt
from models.dataset import TrainingSet
from models.methods import (
    MODEST,
    ContractCalendar,
    GradientBoosting,
    Logistic,
    logit,
    sigmoid,
)
from models.timing import apart, timing_of
from pipeline.config.schema import Target
from pipeline.engine.duckdb import connected
from pipeline.jobs.prepare import load_training, prepare_training
from pipeline.jobs.stage import stage_sources
from pipeline.simulate import simulate, write_world
from pipeline.workspace import Workspace, describe_target, open_workspace

Floats = NDArray[np.float64]
VALIDATION_DATES = 6
PERIOD_DAYS = 30
HALVES = 2
LEAST_CHANCE = 1e-4
DAY = pd.Timedelta(days=1)
TREES = replace(MODEST, monotone=False, trees=80)
LINE_L2 = 0.03


@dataclass(frozen=True, eq=False)
class Reading:
    """What one way says of the validation rows, as log-odds: of leaving within the horizon, and of
    the relationship; and what it learned from.
    """

    chance: Floats
    health: Floats
    taught: int
    left: int


@dataclass(frozen=True, eq=False)
class Company:
    """Rows to learn from and to compare on, and per row of both when the account left (NaT: not)
    and whether its next contract end was lost (NaN: not known by the first validation date, or by
    the first test date).
    """

    train: TrainingSet
    valid: TrainingSet
    every: TrainingSet
    left_at: pd.Series
    lost: Floats
    lost_by_then: Floats
    is_valid: NDArray[np.bool_]
    target: dict[str, Any]
    horizon: int

    @property
    def calendar(self) -> ContractCalendar:
        """The contract calendar, fitted on the rows that teach."""
        timing = timing_of(self.train, self.target)
        assert timing is not None, "the simulated company has contracts"
        fitted = apart(self.train, timing).calendar
        assert fitted is not None
        return fitted


def company_of(accounts: int, seed: int, folder: Path) -> Company:
    """Simulate, stage and build the rows."""
    write_world(simulate(accounts, seed), folder)
    workspace = open_workspace(folder, None, datetime(2026, 1, 1))
    target = workspace.target(None)
    with workspace.store.writing(), connected() as connection:
        stage_sources(workspace, connection)
        prepare_training(workspace, connection, target)
    rows, _, _ = load_training(workspace, target)
    return _split(workspace, target, rows)


def _split(workspace: Workspace, target: Target, rows: TrainingSet) -> Company:
    is_test = rows.keys["is_test"].to_numpy(dtype=bool)
    first_test = rows.keys.loc[is_test, "as_of"].min()
    rows = rows.rows(~is_test)
    dates = np.sort(rows.keys["as_of"].unique())
    first_valid = pd.Timestamp(dates[-VALIDATION_DATES])
    is_valid = (rows.keys["as_of"] >= first_valid).to_numpy()
    is_taught = (rows.keys["label_until"] < first_valid).to_numpy()
    left_at = rows.keys.merge(
        ends_of_cover(workspace.store.read("staged_subscriptions"), target.grace_days),
        on="account_id",
        how="left",
    )["left_at"]
    end = rows.keys["as_of"] + pd.to_timedelta(rows.features["days_to_renewal"], unit="D")
    is_lost = ((left_at <= end + DAY) & (left_at >= rows.keys["as_of"])).astype(float)
    known_on = end + (target.grace_days + 1) * DAY
    return Company(
        train=rows.rows(is_taught),
        valid=rows.rows(is_valid),
        every=rows,
        left_at=left_at,
        lost=np.where(known_on <= first_test, is_lost, np.nan),
        lost_by_then=np.where(known_on <= first_valid, is_lost, np.nan),
        is_valid=is_valid,
        target=describe_target(target),
        horizon=int(target.horizon_days or 0),
    )


# --- the readings
# ----------------------------------------------------------------------------------


Margin = Callable[[pd.DataFrame], Floats]


def learned(
    features: pd.DataFrame,
    labels: NDArray[np.int8],
    rows: TrainingSet,
    offset: Floats | None = None,
) -> Margin:
    """The learner of every reading: the mean of few trees and a line, beside an offset."""
    trees = GradientBoosting(TREES, threads=1)
    trees.fit(features, labels, rows.signals, offset=offset)
    line = Logistic(LINE_L2).fit(features, labels, rows.signals, offset=offset)
    return lambda asked: np.asarray(0.5 * (trees.margin(asked) + line.margin(asked)))


def all_signals(company: Company) -> dict[str, Reading]:
    """One model, read at the own date and asked about the decision."""
    train, valid = company.train, company.valid
    say = learned(train.features, train.labels, train)
    own = say(valid.features)
    asked = say(asked_at_decision(valid, company.calendar).features)
    of = _taught(train.keys["account_id"], train.labels)
    return {"own_date": Reading(own, own, *of), "asked_at_decision": Reading(own, asked, *of)}


def beside_calendar(company: Company) -> Reading:
    """Behaviour beside the contract calendar."""
    train, valid, calendar = company.train, company.valid, company.calendar
    offset = calendar.margin(train.features)
    say = learned(calendar.rest(train.features), train.labels, train, offset)
    behaviour = say(calendar.rest(valid.features))
    then = calendar.decision_effects()[calendar.term_places(valid.features)]
    return Reading(
        behaviour + calendar.margin(valid.features),
        behaviour + then,
        *_taught(train.keys["account_id"], train.labels),
    )


def next_decision(company: Company) -> Reading:
    """A model of the next contract end; a term that ends n times in the window counts n times."""
    every, calendar = company.every, company.calendar
    is_known = ~np.isnan(company.lost_by_then)
    rows = every.rows(is_known)
    labels = company.lost_by_then[is_known].astype(np.int8)
    renewal, term = calendar.named_columns()
    hidden = [name for name in calendar.hidden if name != renewal]
    say = learned(_without(rows.features, hidden), labels, rows)
    features = company.valid.features
    lead = features[renewal].to_numpy()
    length = np.maximum(features[term or renewal].to_numpy(), 1.0)
    times = np.where(lead < company.horizon, 1 + np.floor((company.horizon - lead) / length), 0)
    once = sigmoid(say(_without(features, hidden)))
    chance = np.clip(1 - (1 - once) ** np.nan_to_num(times), LEAST_CHANCE, 1 - LEAST_CHANCE)
    then = features.assign(**{renewal: calendar.decision_days(features)})
    return Reading(
        np.asarray(logit(chance)),
        say(_without(then, hidden)),
        *_taught(rows.keys["account_id"], labels),
    )


def hazards(company: Company) -> Reading:
    """Leaving in each month, given none before; the calendar moves with the month."""
    every, train = company.every, company.train
    after = (company.left_at - every.keys["as_of"]).dt.days.to_numpy(dtype=np.float64)
    is_taught = (every.keys["label_until"] < company.valid.keys["as_of"].min()).to_numpy()
    after = np.where(after[is_taught] < 0, np.inf, after[is_taught])
    after = np.where(np.isnan(after) | (train.labels == 0), np.inf, after)
    # Cover that lapsed within days of the date counts in the first month.
    periods = range(company.horizon // PERIOD_DAYS)
    parts, labels = [], []
    for number in periods:
        first, last = number * PERIOD_DAYS, (number + 1) * PERIOD_DAYS
        is_there = after >= first
        parts.append(_moved(train.features, first)[is_there])
        is_last = number == len(periods) - 1
        left = (after < last) | (is_last & np.isfinite(after))
        labels.append(left[is_there].astype(np.int8))
    say = learned(pd.concat(parts, ignore_index=True), np.concatenate(labels), train)

    def chance(features: pd.DataFrame) -> Floats:
        stays = np.ones(len(features))
        for number in periods:
            stays = stays * (1 - sigmoid(say(_moved(features, number * PERIOD_DAYS))))
        return np.asarray(logit(np.clip(1 - stays, LEAST_CHANCE, 1 - LEAST_CHANCE)))

    asked = asked_at_decision(company.valid, company.calendar).features
    return Reading(
        chance(company.valid.features),
        chance(asked),
        *_taught(train.keys["account_id"], train.labels),
    )


def _moved(features: pd.DataFrame, days: int) -> pd.DataFrame:
    """Rows so many days later by the contract's clock; a term that ended begins anew."""
    length = features["term_days"].to_numpy()
    left = features["days_to_renewal"].to_numpy() - days
    with np.errstate(invalid="ignore"):
        left = np.where(left < 0, np.mod(left, np.maximum(length, 1.0)), left)
    return features.assign(days_to_renewal=left, days_in_term=np.maximum(length - left, 0.0))


def _without(features: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    return features.assign(**{name: np.nan for name in names if name in features.columns})


def _taught(accounts: pd.Series, labels: NDArray[Any]) -> tuple[int, int]:
    return len(labels), int(accounts[labels == 1].nunique())


# --- figures
# ---------------------------------------------------------------------------------------


def readings(company: Company) -> dict[str, Reading]:
    """Every way of reading the validation rows."""
    of_all, apart_ = all_signals(company), beside_calendar(company)
    asked = of_all["asked_at_decision"]
    blend = Reading(
        0.5 * (asked.chance + apart_.chance),
        0.5 * (asked.health + apart_.health),
        apart_.taught,
        apart_.left,
    )
    return {
        **of_all,
        "next_decision": next_decision(company),
        "hazards": hazards(company),
        "blend": blend,
        "beside_calendar": apart_,
    }


def judge(company: Company, reading: Reading) -> dict[str, Any]:
    """Figures of one reading on the validation dates."""
    valid = company.valid
    table = valid.keys[["account_id", "as_of"]].assign(
        health=-reading.health,
        lead=valid.features["days_to_renewal"].to_numpy(),
        term=[
            "open" if np.isnan(days) else term_name(int(days))
            for days in valid.features["term_days"]
        ],
        lost=company.lost[company.is_valid],
    )
    known = table.dropna(subset=["lost"])
    annual = known[known["term"] == "yearly"]
    return {
        "log_loss": round(_calibrated_loss(valid, reading.chance), 4),
        "auc": _auc(known),
        "auc_yearly": _auc(annual),
        "spread_sd": spread_sd(table),
        "rank_28d": rank_28d(table),
        "taught": reading.taught,
        "left": reading.left,
    }


def _auc(rows: pd.DataFrame) -> float:
    return round(metrics.auc(rows["lost"].to_numpy(), -rows["health"].to_numpy()), 3)


def _calibrated_loss(valid: TrainingSet, margin: Floats) -> float:
    """Log loss after a sigmoid that other accounts gave."""
    half = pd.factorize(valid.keys["account_id"])[0] % HALVES
    chance = np.empty(len(valid))
    for one in range(HALVES):
        fitted = fit_platt(margin[half != one], valid.labels[half != one])
        chance[half == one] = fitted.calibrate(margin[half == one])
    return float(metrics.log_loss(valid.labels, chance))


def main() -> None:
    """Measure, then print a table or JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--accounts", type=int, default=1_000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    found: list[dict[str, Any]] = []
    for seed in asked.seeds:
        with tempfile.TemporaryDirectory() as aside:
            company = company_of(asked.accounts, seed, Path(aside) / "company")
        found += [
            {"seed": seed, "reading": name, **judge(company, reading)}
            for name, reading in readings(company).items()
        ]
    print(json.dumps(found) if asked.json else pd.DataFrame(found).to_string(index=False))


if __name__ == "__main__":
    main()
