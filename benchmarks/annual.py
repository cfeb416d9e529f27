"""A company on annual terms whose users stop 200 days before renewal: who turns red in time?

    python -m benchmarks.annual [--accounts 2000] [--planted 60] [--seed 1] [--json]

Every account has annual terms. On the last date some healthy accounts stand 155 days (give or take two weeks) before
their renewal, and from 45 days before that date all their use but a twentieth is taken away: 200 days before renewal, as
somebody who looks at usage would see it. The same company is run twice, once asked who leaves within 90 days, once
asked who will not renew (`horizon = "next_renewal"`). Printed: the share of planted accounts that is red 45 days later,
beside the same accounts untouched, their mean probability, and each model's metrics without and with accounts under
notice. Inside 90 days none of them can leave, so a model that is right about 90 days stays calm.
"""

import argparse
import json
import tempfile
import tomllib
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd

from pipeline.jobs.run import run_flow
from pipeline.simulate import WorldOptions, simulate, write_world
from pipeline.workspace import open_workspace

AS_OF = date(2025, 6, 1)
COLLAPSED_DAYS, BEFORE_RENEWAL, GIVE_OR_TAKE = 45, 200, 14
KEPT = 20
"""One in so many events of a planted account remains."""
FIRST, LAST = date(2021, 1, 1), AS_OF
TARGETS = """
[[targets]]
name = "within_90d"
kind = "churn"
horizon_days = 90
grace_days = 14
population = { kind = "customers" }
dates = { every_days = 28, first = 2022-03-01, last = 2025-02-16 }
test = { count = 3 }

[[targets]]
name = "next_renewal"
kind = "churn"
horizon = "next_renewal"
grace_days = 14
population = { kind = "customers" }
dates = { every_days = 28, first = 2022-03-01, last = 2025-04-01 }
test = { count = 4 }
"""


def write(folder: Path, accounts: int, seed: int) -> None:
    """The company's tables, and a project file that asks both questions."""
    options = WorldOptions(first_day=FIRST, last_day=LAST, monthly_share=0.0, quarterly_share=0.0, truth_dates=())
    write_world(simulate(accounts, seed, options=options), folder, with_truth=False)
    text = (folder / "tenure.toml").read_text(encoding="utf-8")
    before, after = text.index("[[targets]]"), text.index("[objective]")
    (folder / "tenure.toml").write_text(text[:before] + TARGETS + "\n" + text[after:], encoding="utf-8")
    tomllib.loads((folder / "tenure.toml").read_text(encoding="utf-8"))


def planted_accounts(folder: Path, count: int) -> list[str]:
    """Accounts whose use is steady and whose term ends about 155 days after the last date."""
    renewal = AS_OF + timedelta(days=BEFORE_RENEWAL - COLLAPSED_DAYS)
    near, far = (renewal + timedelta(days=d) for d in (-GIVE_OR_TAKE, GIVE_OR_TAKE))
    found = duckdb.sql(f"""
        with due as (select account_id from '{folder}/data/subscriptions.parquet'
                     where ends_at between '{near}' and '{far}' and starts_at < '{AS_OF}' and notice_at is null group by 1),
        used as (select account_id, count(*) filter (event_time >= timestamp '{AS_OF}' - interval 45 day) as now, count(*) as n
                 from '{folder}/data/usage_events.parquet' where event_time >= timestamp '{AS_OF}' - interval 90 day group by 1)
        select account_id from due join used using (account_id) where now >= 0.4 * n and n >= 200
        order by account_id limit {count}
    """).fetchall()
    return [account for (account,) in found]


def collapse(folder: Path, accounts: list[str]) -> None:
    """Take away all but one in twenty of their events of the last 45 days."""
    file, names = folder / "data" / "usage_events.parquet", ", ".join(f"'{a}'" for a in accounts)
    since = AS_OF - timedelta(days=COLLAPSED_DAYS)
    duckdb.sql(f"""
        copy (select * from '{file}' where not (account_id in ({names}) and event_time >= timestamp '{since}'
                                                and hash(event_time, account_id) % {KEPT} <> 0))
        to '{file}.new' (format parquet)""")
    Path(f"{file}.new").replace(file)


def score(folder: Path, accounts: list[str]) -> dict[str, Any]:
    """Bands of these accounts and metrics, per target."""
    found = {}
    for name in ("within_90d", "next_renewal"):
        workspace = open_workspace(folder, None, datetime(2026, 1, 1))
        run = run_flow(workspace, workspace.target(name), lambda step, words: None)
        scores = run.published.scores.set_index("account_id")
        mine = scores.reindex(accounts)
        test = run.evaluation["test"]
        found[name] = {
            "accounts": len(mine), "scored": int(mine["health"].notna().sum()), "red": int((mine["band"] == "at_risk").sum()),
            "red_share_of_all": round(float((scores["band"] == "at_risk").mean()), 3),
            "mean_probability": round(float(mine["probability"].mean()), 4),
            "mean_probability_of_all": round(float(scores["probability"].mean()), 4),
            "mean_health": round(float(mine["health"].mean()), 1), "basis": run.published.run["basis"],
            "auc": round(test["auc"], 3), "log_loss": round(test["log_loss"], 4),
            "log_loss_constant": round(test["log_loss_constant"], 4), "under_notice": run.evaluation["under_notice"],
            "refused": [gate["name"] for gate in run.evaluation["gates"] if not gate["passed"]],
        }
    return found


def measure(accounts: int, planted: int, seed: int) -> dict[str, Any]:
    """The company untouched, then with the collapse."""
    with tempfile.TemporaryDirectory() as aside:
        whole, struck = Path(aside) / "whole", Path(aside) / "struck"
        write(whole, accounts, seed)
        write(struck, accounts, seed)
        chosen = planted_accounts(whole, planted)
        if not chosen:
            raise SystemExit(f"no account of {accounts} stands {BEFORE_RENEWAL - COLLAPSED_DAYS} days before a renewal.")
        collapse(struck, chosen)
        return {"accounts": accounts, "seed": seed, "planted": len(chosen), "untouched": score(whole, chosen),
                "collapsed": score(struck, chosen)}


def main() -> None:
    """Measure, then print lines or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accounts", type=int, default=2_000)
    parser.add_argument("--planted", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    found = measure(asked.accounts, asked.planted, asked.seed)
    if asked.json:
        print(json.dumps(found))
        return
    rows = [{"company": company, "target": name, **{k: v for k, v in each.items() if not isinstance(v, dict | list)},
             "refused": ", ".join(each["refused"])}
            for company in ("untouched", "collapsed") for name, each in found[company].items()]
    print(pd.DataFrame(rows).to_string(index=False))
    for name, each in found["collapsed"].items():
        print(f"{name}: accounts under notice: {json.dumps(each['under_notice'])}")


if __name__ == "__main__":
    main()
