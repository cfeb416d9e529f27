"""False refusals of the leakage audit: clean simulated companies of many seeds, none of which may
be refused.

    python -m benchmarks.leaks [--seeds N] [--first SEED] [--accounts N] [--json]

Each seed is a company of its own with its own rate of leaving. It is staged, checked (with the
deletion of the future), its signals are built for all training dates, and each signal is asked
alone by the audit that stands before training. Nothing is trained. A refusal is printed with its
reason; the exit code is 1 if there is any.
"""

import argparse
import json
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from features.errors import LeakageError
from models.leakage import audit
from pipeline.checking import check_sources
from pipeline.engine.duckdb import connected
from pipeline.jobs.prepare import load_training, prepare_training
from pipeline.jobs.stage import stage_sources
from pipeline.simulate import WorldOptions, simulate, write_world
from pipeline.workspace import open_workspace

NOW = datetime(2025, 6, 1, 6)
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


def main() -> None:
    """Run the seeds and print the count."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=50, help="how many companies")
    parser.add_argument("--first", type=int, default=1, help="first seed")
    parser.add_argument("--accounts", type=int, default=150, help="customers of each")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    found = measured(range(given.first, given.first + given.seeds), given.accounts)
    print(
        json.dumps(found)
        if given.json
        else f"{found['refused']} of {found['seeds']} clean companies refused"
    )
    sys.exit(1 if found["refused"] else 0)


if __name__ == "__main__":
    main()
