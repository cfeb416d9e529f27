"""Companies on annual terms whose users stop 200 days before renewal: who turns red in time?

    python -m benchmarks.annual [--accounts 2000] [--planted 60] [--seed 1] [--json]

Every account has annual terms. On the last date some healthy accounts stand 155 days (give or take
two weeks) before their renewal, and from 45 days before that date all their use but a twentieth is
taken away: 200 days before renewal, as somebody who looks at usage would see it. What that means
depends on the company, and a model can know it from history only, so there are two:

- `mends`: the simulated world as it is. Use returns to its mean within weeks, and history holds no
  lasting collapse.
- `habit`: 60% of the terms in history that were not renewed, and 3% of those that were, lost their
  use in the same way from 200 days (give or take two weeks) before the renewal until the renewal.
  Subscriptions stay untouched. The truth that the mean probability should come near is the share
  not renewed of collapsed terms that were as steady before.

Each is asked who leaves within 90 days and who will not renew (`horizon = "next_renewal"`). Printed
per model: the planted accounts that are red 45 days after their collapse beside the same accounts
untouched, mean probability beside the rate in history, and its metrics without and with accounts
under notice. Inside 90 days none of the planted can leave, so a model that is right about 90 days
stays calm.
"""

import argparse
import json
import tempfile
import tomllib
from dataclasses import asdict
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd

from models.health.standing import standing
from pipeline.engine.duckdb import connected
from pipeline.flow import run_flow
from pipeline.jobs.score import score_target
from pipeline.jobs.stage import stage_sources
from pipeline.simulate import WorldOptions, simulate, write_world
from pipeline.workspace import Workspace, open_workspace

AS_OF = date(2025, 6, 1)
COLLAPSED_DAYS, BEFORE_RENEWAL, GIVE_OR_TAKE = 45, 200, 14
KEPT = 20
"""One in so many events remains after a collapse."""
COLLAPSED_LEAVERS, COLLAPSED_STAYERS = 0.60, 0.03
"""Shares of the terms not renewed, and of those renewed, that collapsed in the history of `habit`.
"""
COMPANIES = ("mends", "habit")
FEWEST_EVENTS, LATELY = 200, 0.4
"""Steady are accounts with so many events in 90 days, and this share of them in the last 45."""
FIRST, LAST, GRACE = date(2021, 1, 1), AS_OF, 14
TARGETS = f"""
[[targets]]
name = "within_90d"
kind = "churn"
horizon_days = 90
grace_days = {GRACE}
population = {{ kind = "customers" }}
dates = {{ every_days = 28, first = 2022-03-01, last = 2025-02-16 }}
test = {{ count = 3 }}

[[targets]]
name = "next_renewal"
kind = "churn"
horizon = "next_renewal"
grace_days = {GRACE}
population = {{ kind = "customers" }}
dates = {{ every_days = 28, first = 2022-03-01, last = 2025-04-01 }}
test = {{ count = 4 }}
"""


def write(folder: Path, accounts: int, seed: int) -> None:
    """The company's tables, and a project file that asks both questions."""
    options = WorldOptions(
        first_day=FIRST, last_day=LAST, monthly_share=0.0, quarterly_share=0.0, truth_dates=()
    )
    write_world(simulate(accounts, seed, options=options), folder, with_truth=False)
    text = (folder / "tenure.toml").read_text(encoding="utf-8")
    before, after = text.index("[[targets]]"), text.index("[objective]")
    (folder / "tenure.toml").write_text(
        text[:before] + TARGETS + "\n" + text[after:], encoding="utf-8"
    )
    tomllib.loads((folder / "tenure.toml").read_text(encoding="utf-8"))


def past_terms(folder: Path) -> pd.DataFrame:
    """Terms of history that ran to the end they were signed for: account_id, ends_at, is_renewed.

    Seats added in mid-term cut a row short of its signed end, and so does a suspension: neither
    ends a term.
    """
    terms: pd.DataFrame = duckdb.execute(f"""
        with paid as (select account_id, starts_at, arg_min(ends_at, known_at) as signed,
          arg_max(ends_at, known_at) as ends_at
                      from '{folder}/data/subscriptions.parquet' where not is_trial
                        group by account_id, row_key, starts_at)
        select account_id, ends_at,
               exists (select 1 from paid n where n.account_id = t.account_id
                       and n.starts_at between t.ends_at and t.ends_at + interval {GRACE} day)
                         as is_renewed
        from paid t
        where ends_at = signed and ends_at < timestamp '{AS_OF}' - interval {GRACE} day
          and ends_at >= timestamp '{FIRST}' + interval {BEFORE_RENEWAL + GIVE_OR_TAKE} day
        order by account_id, ends_at
    """).df()
    return terms


def with_collapses(terms: pd.DataFrame, seed: int) -> pd.DataFrame:
    """The terms, with whether and since when their use collapses by the habit of leavers."""
    generator = np.random.default_rng([seed, BEFORE_RENEWAL])
    share = np.where(terms["is_renewed"], COLLAPSED_STAYERS, COLLAPSED_LEAVERS)
    before = BEFORE_RENEWAL + generator.integers(-GIVE_OR_TAKE, GIVE_OR_TAKE + 1, len(terms))
    return terms.assign(
        is_collapsed=generator.random(len(terms)) < share,
        since=terms["ends_at"] - pd.to_timedelta(before, unit="D"),
    )


def take_away(folder: Path, spans: pd.DataFrame) -> None:
    """Take away all but one in twenty events inside spans of account_id, since, ends_at."""
    file = folder / "data" / "usage_events.parquet"
    duckdb.execute(f"""
        copy (select e.* from '{file}' e where hash(event_time, account_id) % {KEPT} = 0
          or not exists (
                  select 1 from spans s
                  where s.account_id = e.account_id and e.event_time >= s.since
                    and e.event_time < s.ends_at))
        to '{file}.new' (format parquet)""")
    Path(f"{file}.new").replace(file)


def is_steady(folder: Path, asked: pd.DataFrame) -> pd.Series:
    """Whether the account of each row (account_id, seen) used the product before that day, and
    lately no less than before.
    """
    counted: pd.Series = duckdb.execute(f"""
        with rows as (select row_number() over () as place, account_id, seen from asked)
        select count(e.event_time) >= {FEWEST_EVENTS} and count(e.event_time) filter (
                   e.event_time >= r.seen - interval {COLLAPSED_DAYS} day)
                      >= {LATELY} * count(e.event_time) as steady
        from rows r left join '{folder}/data/usage_events.parquet' e
            on e.account_id = r.account_id and e.event_time < r.seen
            and e.event_time >= r.seen - interval {2 * COLLAPSED_DAYS} day
        group by r.place order by r.place
    """).df()["steady"]
    return counted.set_axis(asked.index)


def planted_accounts(folder: Path, count: int) -> list[str]:
    """Accounts whose use is steady and whose term ends about 155 days after the last date."""
    renewal = AS_OF + timedelta(days=BEFORE_RENEWAL - COLLAPSED_DAYS)
    near, far = (renewal + timedelta(days=d) for d in (-GIVE_OR_TAKE, GIVE_OR_TAKE))
    due = duckdb.execute(f"""
        select account_id, timestamp '{AS_OF}' as seen from '{folder}/data/subscriptions.parquet'
        where ends_at between '{near}' and '{far}' and starts_at < '{AS_OF}' and notice_at is null
        group by 1 order by 1
    """).df()
    return [str(account) for account in due.loc[is_steady(folder, due), "account_id"].head(count)]


def collapse(folder: Path, accounts: list[str]) -> None:
    """Let the use of these accounts collapse 45 days before the last date."""
    since = pd.Timestamp(AS_OF) - pd.Timedelta(days=COLLAPSED_DAYS)
    take_away(
        folder,
        pd.DataFrame({"account_id": accounts, "since": since, "ends_at": pd.Timestamp(LAST)}),
    )


def learned(workspace: Workspace, accounts: list[str]) -> dict[str, dict[str, Any]]:
    """Per target: metrics of its model, and what it says of these accounts before anything befell
    them.
    """
    found = {}
    for target in workspace.project.targets:
        run = run_flow(workspace, target, lambda step, words: None)
        assert run.evaluation is not None
        test, notice = run.evaluation.test, run.evaluation.under_notice
        found[target.name] = {
            "untouched": said(run.published.scores, accounts),
            "basis": run.published.run.basis,
            "auc": round(test.metrics.auc.value, 3),
            "log_loss": round(test.metrics.log_loss.value, 4),
            "log_loss_constant": round(test.log_loss_constant, 4),
            "with_notice": (
                None
                if notice is None
                else {name: round(value, 4) for name, value in asdict(notice.with_them).items()}
            ),
            "refused": [gate.name for gate in run.evaluation.refusals],
        }
    return found


def scored_again(workspace: Workspace, accounts: list[str]) -> dict[str, dict[str, Any]]:
    """Per target: what the same model says of these accounts from the tables as they are now."""
    found = {}
    with workspace.store.writing(), connected() as connection:
        stage_sources(workspace, connection)
        for target in workspace.project.targets:
            found[target.name] = said(score_target(workspace, connection, target).scores, accounts)
    return found


def said(scores: pd.DataFrame, accounts: list[str]) -> dict[str, Any]:
    """Bands, mean probability and mean health of these accounts, and the share of all that is
    red.
    """
    shown = scores.assign(band=standing(scores))
    mine = shown.set_index("account_id").reindex(accounts)
    return {
        "red": int((mine["band"] == "at_risk").sum()),
        "probability": round(float(mine["probability"].mean()), 4),
        "health": round(float(mine["health"].mean()), 1),
        "red_share_of_all": round(float((shown["band"] == "at_risk").mean()), 3),
    }


def measure(company: str, accounts: int, planted: int, seed: int) -> dict[str, Any]:
    """One company: its truth, then each model before and after the collapse of the planted
    accounts.
    """
    with tempfile.TemporaryDirectory() as aside:
        folder = Path(aside)
        write(folder, accounts, seed)
        terms = with_collapses(past_terms(folder), seed)
        terms = terms.assign(is_like_planted=is_steady(folder, terms.assign(seen=terms["since"])))
        if company == "habit":
            terms = terms[terms["is_collapsed"]]
            take_away(folder, terms)
        terms = terms[terms["is_like_planted"]]
        chosen = planted_accounts(folder, planted)
        if not chosen:
            raise SystemExit(
                f"no account of {accounts} stands {BEFORE_RENEWAL - COLLAPSED_DAYS} days before a"
                " renewal."
            )
        workspace = open_workspace(folder, None, datetime(2026, 1, 1))
        found = learned(workspace, chosen)
        collapse(folder, chosen)
        after = scored_again(workspace, chosen)
        # Nobody of them can leave within 90 days; otherwise the truth is what became of terms as
        # steady before that day.
        rates = {"within_90d": 0.0, "next_renewal": round(float(1 - terms["is_renewed"].mean()), 4)}
        return {
            "planted": len(chosen),
            "terms_like_theirs": len(terms),
            "targets": {
                name: {**each, "collapsed": after[name], "rate_in_history": rates[name]}
                for name, each in found.items()
            },
        }


def rows(found: dict[str, Any]) -> pd.DataFrame:
    """A line per company and target."""
    lines = []
    for company in COMPANIES:
        for name, each in found[company]["targets"].items():
            collapsed, untouched, notice = (
                each["collapsed"],
                each["untouched"],
                each["with_notice"] or {},
            )
            lines.append(
                {
                    "company": company,
                    "target": name,
                    "planted": found[company]["planted"],
                    "red": collapsed["red"],
                    "red_untouched": untouched["red"],
                    "red_share_of_all": collapsed["red_share_of_all"],
                    "probability": collapsed["probability"],
                    "untouched": untouched["probability"],
                    "rate_in_history": each["rate_in_history"],
                    "health": collapsed["health"],
                    "health_untouched": untouched["health"],
                    "auc": each["auc"],
                    "log_loss": each["log_loss"],
                    "constant": each["log_loss_constant"],
                    "auc_with_notice": notice.get("auc"),
                    "log_loss_with_notice": notice.get("log_loss"),
                    "basis": each["basis"],
                    "refused": ", ".join(each["refused"]),
                }
            )
    return pd.DataFrame(lines)


def in_words(found: dict[str, Any]) -> str:
    """What the table says, in a paragraph."""

    def part(company: str, name: str) -> str:
        each = found[company]["targets"][name]
        return (
            f"{each['collapsed']['red']} of {found[company]['planted']} red"
            f" ({each['untouched']['red']} untouched), mean probability"
            f" {each['collapsed']['probability']:.1%}"
        )

    habit, mends = (
        found[company]["targets"]["next_renewal"]["rate_in_history"]
        for company in ("habit", "mends")
    )
    like = found["habit"]["terms_like_theirs"]
    return (
        f"{COLLAPSED_DAYS} days after a collapse {BEFORE_RENEWAL} days before renewal, asked who"
        f" will not renew: where collapse was a habit of leavers {part('habit', 'next_renewal')};"
        f" of {like} terms that collapsed like theirs {habit:.1%} were not renewed. Where collapses"
        f" mend {part('mends', 'next_renewal')}; of terms as steady {mends:.1%} were not renewed."
        " Asked who leaves within 90 days, in which none of them can:"
        f" {part('habit', 'within_90d')}; {part('mends', 'within_90d')}."
    )


def main() -> None:
    """Measure, then print lines or JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--accounts", type=int, default=2_000)
    parser.add_argument("--planted", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    found = {
        company: measure(company, asked.accounts, asked.planted, asked.seed)
        for company in COMPANIES
    }
    if asked.json:
        print(json.dumps({"accounts": asked.accounts, "seed": asked.seed, **found}))
        return
    print(rows(found).T.to_string(header=False))
    print(in_words(found))


if __name__ == "__main__":
    main()
