"""What a night costs: the first one, one on the same tables, and one where 1% of accounts changed.

    python -m benchmarks.night --accounts 1000 [--json]

A company is simulated and trained once; each night then runs in a process of its own, `tenure
night` from tables to pages. Shares compare the processor time of a night with that of the first. In
the last one rows of 1% of accounts were corrected in the table of usage, at the same date.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd

CHANGED_SHARE = 0.01


def cpu_seconds(arguments: list[str]) -> tuple[float, str]:
    """Processor time of a command in a process of its own, and what it printed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.cli", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(f"{' '.join(arguments)} ended with {done.returncode}: {done.stderr}")
    used = (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime)
    return used, done.stdout


def correct_rows(file: Path) -> int:
    """Drop every tenth event of 1% of accounts; returns how many accounts that were."""
    events = pd.read_parquet(file)
    accounts = sorted(events["account_id"].unique())
    some = set(accounts[:: round(1 / CHANGED_SHARE)])
    is_dropped = events["account_id"].isin(some) & (events.index % 10 == 0)
    events[~is_dropped].to_parquet(file, index=False)
    return len(some)


def measure(accounts: int, seed: int = 1) -> dict[str, Any]:
    """Processor seconds of three nights, each with the seconds of its steps."""
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder) / "company"
        place = ["--project", str(project)]
        cpu_seconds(["demo", "--accounts", str(accounts), "--seed", str(seed), *place])
        nights = {"first": _night(place), "unchanged": _night(place)}
        changed = correct_rows(project / "data" / "usage_events.parquet")
        nights["changed"] = _night(place)
    first = nights["first"]["cpu_seconds"]
    return {
        "accounts": accounts,
        "changed_accounts": changed,
        "nights": nights,
        "share": {name: round(night["cpu_seconds"] / first, 3) for name, night in nights.items()},
    }


def _night(place: list[str]) -> dict[str, Any]:
    used, printed = cpu_seconds(["night", "--json", *place])
    steps = {row["step"]: round(row["seconds"], 2) for row in json.loads(printed)["steps"]}
    return {"cpu_seconds": round(used, 2), "steps": steps}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accounts", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", dest="as_json")
    options = parser.parse_args()
    result = measure(options.accounts, options.seed)
    if options.as_json:
        print(json.dumps(result, indent=1))
        return
    for name, night in result["nights"].items():
        print(f"{name:<10} {night['cpu_seconds']:8.1f} s  {result['share'][name]:.0%} of the first")


if __name__ == "__main__":
    main()
