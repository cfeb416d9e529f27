"""False refusals of the leakage audit: clean simulated companies of many seeds, none of which may
be refused.

    python -m benchmarks.leaks [--seeds N] [--first SEED] [--accounts N] [--json]
    python -m benchmarks.leaks --rewritten [--seeds N] [--accounts N] [--auc] [--json]

Each seed is a company of its own with its own rate of leaving. It is staged, checked (with the
deletion of the future), its signals are built for all training dates, and each signal is asked
alone by the audit that stands before training. Nothing is trained. A refusal is printed with its
reason; the exit code is 1 if there is any.

With `--rewritten` the company is that of `_rewritten.py`, whose export is rewritten near departures
in eleven ways that no clock shows, and five honest companies that look suspicious. A rewriting is
caught where `check` stops, named where it warns or the model card names the column as assumed. The
exit code is 1 if fewer than eight are caught or named, or an honest company is refused. `--auc`
fits a model on each and says what AUC it would have shown beside the honest one.
"""

import argparse
import json
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks._rewritten import HONEST, REWRITINGS, Rewriting, company, write
from features.errors import LeakageError
from models.evaluation import evaluate
from models.leakage import audit
from models.plan import TrainingPlan
from models.training import train
from pipeline.checking import check_sources
from pipeline.checking.assumptions import assumptions
from pipeline.checking.check import SAID_BY_TRAINING
from pipeline.engine.duckdb import connected
from pipeline.jobs.prepare import load_training, prepare_training
from pipeline.jobs.stage import stage_sources
from pipeline.simulate import WorldOptions, simulate, write_world
from pipeline.workspace import open_workspace

NOW = datetime(2025, 6, 1, 6)
FOUND_ONLY_HERE = (
    "filled-apart",
    "value-goes-with-leaving",
    "value-never-changes",
    "total-on-every-row",
    "set-at-closing",
)
YEARLY_CHURN = (0.2, 0.35, 0.5)
"""Companies that lose few, many, and most of their customers in turn."""


def refusals(seed: int, accounts: int) -> tuple[list[str], int]:
    """What the audit would refuse of one clean company, and how many accounts left in it."""
    options = WorldOptions(
        truth_dates=(), truth_replicates=1, yearly_churn=YEARLY_CHURN[seed % len(YEARLY_CHURN)]
    )
    with tempfile.TemporaryDirectory(prefix="tenure-leaks-") as place:
        write_world(simulate(accounts, seed, options=options), place, with_truth=False)
        workspace = open_workspace(Path(place), None, NOW)
        target = workspace.target(None)
        with connected() as connection:
            stage_sources(workspace, connection)
            report = check_sources(workspace, connection, target)
            left = connection.execute(
                "select count(*) from check_accounts where has_left"
            ).fetchall()[0][0]
            prepare_training(workspace, connection, target)
        found = [f"{f.name}: {f.what}" for f in report.stops]
        rows = load_training(workspace, target)[0]
        try:
            audit(rows.rows(~rows.keys["is_test"].to_numpy(dtype=bool)))
        except LeakageError as error:
            found.append(str(error))
    return found, int(left)


def measured(seeds: range, accounts: int) -> dict[str, Any]:
    """Refusals of every seed, told as they come."""
    refused: dict[int, list[str]] = {}
    started = time.monotonic()
    for number, seed in enumerate(seeds, 1):
        found, left = refusals(seed, accounts)
        if found:
            refused[seed] = found
        print(
            f"{number:>3} of {len(seeds)}  seed {seed}: {left} of {accounts} left, {len(found)}"
            f" refusals{': ' if found else ''}{'; '.join(found)} "
            f" ({time.monotonic() - started:.0f} s)",
            file=sys.stderr,
            flush=True,
        )
    return {
        "seeds": len(seeds),
        "accounts": accounts,
        "refused": len(refused),
        "refusals": refused,
        "seconds": round(time.monotonic() - started, 1),
    }


def rewritten(seed: int, accounts: int, *, with_auc: bool) -> list[dict[str, Any]]:
    """What is found of every rewriting and every honest company, in one dictionary each."""
    tables, gone = company(seed, accounts)
    found = []
    for is_honest, cases in ((True, HONEST), (False, REWRITINGS)):
        for number, case in enumerate(cases):
            changes = case.changes(tables, gone, np.random.default_rng([seed, number]))
            with tempfile.TemporaryDirectory(prefix="tenure-leaks-") as place:
                write({**tables, **changes}, Path(place))
                judged = {"name": case.name, "seed": seed, "is_honest": is_honest}
                judged |= _judged(Path(place), case, with_auc=with_auc)
            found.append(judged)
            print(
                f"seed {seed}  {case.name}: {judged['verdict']} {'; '.join(judged['findings'])}"
                + (f" AUC {judged['auc']:.3f}" if with_auc else ""),
                file=sys.stderr,
                flush=True,
            )
    return found


def _judged(folder: Path, case: Rewriting, *, with_auc: bool) -> dict[str, Any]:
    workspace = open_workspace(folder, None, NOW)
    target = workspace.target(None)
    with connected() as connection:
        staged = stage_sources(workspace, connection)
        report = check_sources(workspace, connection, target)
        assumed = assumptions(staged)
        auc = None
        if with_auc:
            prepare_training(workspace, connection, target)
            rows = load_training(workspace, target)[0]
            fitted = train(rows, TrainingPlan(trials=0, threads=1))
            auc = float(evaluate(fitted, None, rows, replicates=20).test.metrics.auc.value)
    stops = [f for f in report.stops if f.name not in SAID_BY_TRAINING]
    warned = [f for f in report.findings if f.name in FOUND_ONLY_HERE and f.severity == "warn"]
    source, column = case.column
    named = [a for a in assumed if source and f"{source}" in a and column in a]
    return {
        "verdict": "caught"
        if stops
        else "named"
        if warned
        else "on the card"
        if named
        else "nothing",
        "findings": [
            f"{f.name} ({f.source}{f', {f.column}' if f.column else ''})" for f in (*stops, *warned)
        ],
        "auc": auc,
    }


def rewritten_counts(found: list[dict[str, Any]]) -> dict[str, Any]:
    """Of the rewritings how many were caught or named, and how many honest companies refused."""
    leaks = [f for f in found if not f["is_honest"]]
    return {
        "rewritings": len(leaks),
        "caught": sum(f["verdict"] == "caught" for f in leaks),
        "named": sum(f["verdict"] == "named" for f in leaks),
        "on the card only": sum(f["verdict"] == "on the card" for f in leaks),
        "missed": sum(f["verdict"] == "nothing" for f in leaks),
        "honest": len(found) - len(leaks),
        "honest refused": sum(f["verdict"] == "caught" for f in found if f["is_honest"]),
        "cases": found,
    }


def _print_rewritten(seeds: range, accounts: int, *, with_auc: bool, as_json: bool) -> None:
    found = [each for s in seeds for each in rewritten(s, accounts, with_auc=with_auc)]
    counts = rewritten_counts(found)
    if as_json:
        print(json.dumps(counts))
    else:
        print(", ".join(f"{name}: {n}" for name, n in counts.items() if name != "cases"))
    seen = counts["rewritings"] - counts["missed"]
    sys.exit(1 if counts["honest refused"] or seen < 8 / 11 * counts["rewritings"] else 0)


def main() -> None:
    """Run the seeds and print the count."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, help="how many companies; 50, with --rewritten 1")
    parser.add_argument("--first", type=int, default=1, help="first seed")
    parser.add_argument("--accounts", type=int, help="customers; 150, with --rewritten 500")
    parser.add_argument("--rewritten", action="store_true", help="history written afterwards")
    parser.add_argument("--auc", action="store_true", help="with --rewritten: fit a model on each")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    if given.rewritten:
        seeds = range(given.first, given.first + (given.seeds or 1))
        _print_rewritten(seeds, given.accounts or 500, with_auc=given.auc, as_json=given.json)
        return
    seeds = range(given.first, given.first + (given.seeds or 50))
    found = measured(seeds, given.accounts or 150)
    print(
        json.dumps(found)
        if given.json
        else f"{found['refused']} of {found['seeds']} clean companies refused"
    )
    sys.exit(1 if found["refused"] else 0)


if __name__ == "__main__":
    main()
