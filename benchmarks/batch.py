"""Seconds and peak memory of the whole demo at several sizes, and how they grow.

    python -m benchmarks.batch --accounts 500 5000 50000 [--json]

Each size runs in a process of its own, `tenure demo` from simulation to pages; a line per step says
where the time went. Ratios compare each size with the smallest: a growth of 1.0 is linear.
"""

import argparse
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

GIB = 1024**2  # ru_maxrss is in KiB
_STEP = re.compile(r"^\s*([0-9.]+)s\s+(\w+)\s")


def measure(accounts: int, seed: int = 1) -> dict[str, Any]:
    """Run the demo of one size; seconds in all and until each step's last line, peak GiB."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            "-m",
            "pipeline.cli",
            "demo",
            "--accounts",
            str(accounts),
            "--seed",
            str(seed),
            "--project",
            str(Path(folder) / "demo"),
        ]
        started = time.monotonic()
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)
        seconds = time.monotonic() - started
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    if done.returncode:
        raise SystemExit(
            f"the demo of {accounts} accounts ended with {done.returncode}: {done.stderr[-2000:]}"
        )
    # The children's maximum only grows, so sizes must be measured smallest first.
    return {
        "accounts": accounts,
        "seconds": round(seconds, 1),
        "peak_gb": round(max(peak, before) / GIB, 2),
        "until": _until(done.stdout),
    }


def _until(story: str) -> dict[str, float]:
    """Seconds at which each step told its last line."""
    found = (_STEP.match(line) for line in story.splitlines())
    return {match.group(2): float(match.group(1)) for match in found if match}


def growth(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each result with seconds and memory per account relative to the smallest size."""
    first = results[0]
    return [
        {
            **one,
            "growth_seconds": round(
                (one["seconds"] / first["seconds"]) / (one["accounts"] / first["accounts"]), 3
            ),
            "growth_memory": round(
                (one["peak_gb"] / first["peak_gb"]) / (one["accounts"] / first["accounts"]), 3
            ),
        }
        for one in results
    ]


def main() -> None:
    """Measure, then print a table or JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--accounts", type=int, nargs="+", default=[500, 5000])
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    results = growth([measure(n) for n in sorted(arguments.accounts)])
    if arguments.json:
        print(json.dumps({"sizes": results}))
        return
    print(
        f"{'accounts':>9} {'seconds':>9} {'peak GiB':>9} {'growth s':>9} {'growth GiB':>11}  "
        " seconds until each step ended"
    )
    for one in results:
        steps = ", ".join(f"{name} {at:.0f}" for name, at in one["until"].items())
        print(
            f"{one['accounts']:>9,} {one['seconds']:>9.1f} {one['peak_gb']:>9.2f}"
            f" {one['growth_seconds']:>9.2f} {one['growth_memory']:>11.2f}   {steps}"
        )


if __name__ == "__main__":
    main()
