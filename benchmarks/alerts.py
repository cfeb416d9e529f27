"""Do alerts stay quiet where nothing happens?

    python -m benchmarks.alerts [--accounts 2000] [--seed 1] [--json]

- **Null worlds**: a year of weekly scores around a level of each account's own (mean 60, deviation
  17), which nobody's behaviour moves: independent jitter of 3 points a week (`jitter`), and steps
  of 3 points that are forgotten by a fifth a week (`wander`). Counted: alerts per account and year
  of the default rules and of each alone, beside naive crossing (40 or below, above it the week
  before) and edges with nothing else asked. No budget holds them back.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import numpy as np
import pandas as pd

from pipeline.alerts.episodes import OPEN, WAITING, Alert, RunFacts, turn
from pipeline.alerts.rules import DEFAULT_RULES, Edges, read_rule, rules_of
from pipeline.alerts.watch import USUAL_DAYS, Floats, Watched
from pipeline.config.schema import AlertRule

EDGES = Edges(40, 70)
WEEKS, BURN_IN = 52, 26
LEVEL, SPREAD, JITTER, KEPT = 60.0, 17.0, 3.0, 0.8
KINDS = frozenset(rule.kind for rule in DEFAULT_RULES)
SCORE_RULES = tuple(rule for rule in DEFAULT_RULES if rule.kind not in ("notice", "payment"))
FIRST = date(2024, 1, 7)
NO_BUDGET = 10**6


# --- walking over weeks
# ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Walk:
    """Alerts of a table of weekly scores, the burn-in left out."""

    rows: tuple[Alert, ...]
    weeks: tuple[date, ...]

    @property
    def begun(self) -> list[Alert]:
        """The first row of each alert that somebody is told of, or waits to be."""
        firsts: dict[str, Alert] = {}
        for alert in self.rows:
            firsts.setdefault(alert.alert_id, alert)
        return [alert for alert in firsts.values() if alert.state in (OPEN, WAITING)]

    @property
    def told(self) -> list[Alert]:
        """A row for each telling."""
        return [a for a in self.rows if a.state == OPEN and a.told_on == a.as_of]


def walk(
    health: Floats,
    path: Floats,
    accounts: pd.DataFrame,
    rules: Sequence[AlertRule],
    *,
    budget: int = NO_BUDGET,
    first: date = FIRST,
) -> Walk:
    """Evaluate the rules week by week, as the job does."""
    filled = rules_of(rules, EDGES)
    history: list[Alert] = []
    days = [first + timedelta(weeks=week) for week in range(health.shape[1])]
    for week in range(BURN_IN, health.shape[1]):
        start = max(0, week - USUAL_DAYS // 7)
        seen = Watched(
            accounts,
            tuple(days[start : week + 1]),
            health[:, start : week + 1],
            path[:, start : week + 1],
        )
        night = RunFacts("churn", f"run{week}", days[week], _moment(days[week]), KINDS)
        readings = [read_rule(rule, seen, EDGES) for rule in filled]
        # What is closed, and no longer cools, is not asked any more.
        recent = [a for a in history if a.is_active or (days[week] - a.as_of).days < 60]
        history += turn(recent, filled, readings, seen, night, per_owner_and_week=budget).rows
    return Walk(tuple(history), tuple(days[BURN_IN:]))


def _moment(day: date) -> datetime:
    return datetime(day.year, day.month, day.day)


def people(count: int) -> pd.DataFrame:
    """Accounts of one owner, all worth the same."""
    return pd.DataFrame(
        {
            "account_id": [f"A{n:05}" for n in range(count)],
            "name": "Firm",
            "owner": "Ann",
            "segment": "all",
            "currency": "USD",
            "value_per_year": 1000.0,
            "value_at_risk": 100.0,
            "band": "stable",
            "band_reason": None,
        }
    )


# --- nothing happens
# ---------------------------------------------------------------------------------------


def null_world(kind: str, accounts: int, seed: int) -> Floats:
    """Weekly scores of accounts that do nothing, shape (accounts, BURN_IN + WEEKS)."""
    generator = np.random.default_rng([seed, kind == "wander"])
    level = np.clip(generator.normal(LEVEL, SPREAD, accounts), 3, 99)
    noise = generator.normal(0, JITTER, (accounts, BURN_IN + WEEKS))
    if kind == "wander":
        for week in range(1, noise.shape[1]):
            noise[:, week] += KEPT * noise[:, week - 1]
    return np.clip(level[:, None] + noise, 0, 100).round()


def naive_crossings(health: Floats, edge: int = EDGES.at_risk_until) -> Floats:
    """Where a score is at the edge or below and was above it the week before."""
    crossed = (health[:, 1:] <= edge) & (health[:, :-1] > edge)
    return crossed[:, BURN_IN - 1 :]


def episodes_by_edges(health: Floats, enter: int, leave: int) -> int:
    """Episodes that begin at one edge and end at another, with nothing else asked."""
    is_open = health[:, 0] <= enter
    begun = 0
    for week in range(1, health.shape[1]):
        is_open &= health[:, week] < leave
        begins = ~is_open & (health[:, week] <= enter)
        begun += int(begins.sum()) if week >= BURN_IN else 0
        is_open |= begins
    return begun


def quiet(accounts: int, seed: int) -> dict[str, dict[str, float]]:
    """Alerts per account and year in each null world."""
    told: dict[str, dict[str, float]] = {}
    years = WEEKS * 7 / 365.25
    for kind in ("jitter", "wander"):
        health = null_world(kind, accounts, seed)
        path = health - health[:, :1]
        who = people(accounts)
        rates = {"naive crossing": naive_crossings(health).sum() / accounts / years}
        for leave in (45, 50):
            count = episodes_by_edges(health, EDGES.at_risk_until, leave)
            rates[f"edges {EDGES.at_risk_until} and {leave} alone"] = count / accounts / years
        every = {"default rules": SCORE_RULES} | {rule.name: (rule,) for rule in SCORE_RULES}
        for name, rules in every.items():
            begun = walk(health, path, who, rules).begun
            rates[name] = len(begun) / accounts / years
        told[kind] = {name: round(float(rate), 3) for name, rate in rates.items()}
    return told


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--accounts", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = {"null": quiet(options.accounts, options.seed)}
    if options.json:
        print(json.dumps(found, indent=1))
        return
    for world, rates in found["null"].items():
        print(f"alerts per account and year where nothing happens ({world}):")
        for name, rate in rates.items():
            print(f"  {rate:6.3f}  {name}")


if __name__ == "__main__":
    main()
