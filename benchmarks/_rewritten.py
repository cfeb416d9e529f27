"""A company whose export is rewritten near departures, one way at a time, and honest ones that look
suspicious.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd

Tables = dict[str, pd.DataFrame]
FIRST, DAYS = datetime(2022, 7, 1), 900
TERM_DAYS = 91
LEAVES = 0.14
"""Chance of not renewing a term."""
DECLINES = 0.6
"""Share of leavers whose use declines first."""
FEATURES = ("dashboard", "export", "report", "share", "import")
TOML = """name = "rewritten"
[sources.accounts]
location = "data/accounts.parquet"
immutable = ["industry", "employees"]
[sources.accounts.extra]
employees = { column = "employees", type = "number" }
[sources.subscriptions]
location = "data/subscriptions.parquet"
convention = "fixed_term"
[sources.usage_events]
location = "data/usage_events.parquet"
delay_days = 0
[sources.usage_events.extra]
USAGE_EXTRA
[sources.support_tickets]
location = "data/support_tickets.parquet"
[sources.csm_notes]
location = "data/csm_notes.parquet"
[sources.surveys]
location = "data/surveys.parquet"
[sources.contacts]
location = "data/contacts.parquet"
[[targets]]
name = "churn"
kind = "churn"
horizon_days = 90
population = { kind = "customers" }
dates = { every_days = 28, first = 2023-01-01 }
test = { count = 3 }
"""


@dataclass(frozen=True)
class Rewriting:
    """One way to write history anew, or an honest world that looks so.

    Attributes
    ----------
    changes
        Takes tables, `gone` (account -> when it left) and a generator; returns the changed tables.
    column
        (source, column) that the model card must name where no finding can.
    """

    name: str
    changes: Callable[[Tables, pd.Series, np.random.Generator], Tables]
    column: tuple[str, str] = ("", "")


def company(seed: int, accounts: int) -> tuple[Tables, pd.Series]:
    """Tables of an honest company, and when each account that left was gone."""
    rng = np.random.default_rng(seed)
    names = [f"a{i:04d}" for i in rng.permutation(accounts)]
    terms, usage, tickets, notes, answers, people = [], [], [], [], [], []
    gone: dict[str, int] = {}
    for name in names:
        start = int(rng.integers(0, DAYS - 120))
        end, seats, plan = start, int(rng.integers(2, 40)), str(rng.choice(["basic", "pro"]))
        has_left = False
        while end < DAYS and not has_left:
            terms.append((name, end, end + TERM_DAYS, 10.0 * seats, plan, seats))
            end += TERM_DAYS
            has_left = end < DAYS and rng.random() < LEAVES
            if rng.random() < 0.15:
                seats = max(1, seats + int(rng.integers(-3, 6)))
            if rng.random() < 0.06:
                plan = "pro" if plan == "basic" else "basic"
        if has_left:
            gone[name] = end
        until = min(end, DAYS)
        declines = (
            until - int(rng.integers(60, 130)) if has_left and rng.random() < DECLINES else DAYS
        )
        rate = rng.lognormal(-0.7, 0.6)
        for day in range(start, until):
            level = rate * (0.3 if day >= declines else 1.0)
            usage += [
                (name, day, str(rng.choice(FEATURES)), int(rng.integers(1, 60)))
                for _ in range(rng.poisson(level))
            ]
            if rng.random() < 0.015:
                took = int(rng.integers(1, 25))
                tickets.append(
                    (name, day, day + took, str(rng.choice(["bug", "billing", "how to"])))
                )
            if (day - start) % 30 == 29:
                notes.append((name, day, _rating(rng, 3, 5, is_low=day >= declines)))
            if (day - start) % 90 == 60 and rng.random() < 0.5:
                answers.append((name, day, _rating(rng, 5, 10, is_low=day >= declines)))
        people += [
            (name, f"p{name}{k}", start + int(rng.integers(0, 40))) for k in range(1 + seats % 3)
        ]
    tables = {
        "accounts": pd.DataFrame(
            {
                "account_id": names,
                "industry": rng.choice(["food", "steel", "law", "travel"], accounts),
                "employees": np.where(
                    rng.random(accounts) < 0.1, rng.integers(5, 900, accounts), np.nan
                ),
            }
        ),
        "subscriptions": _frame(terms, "account_id starts_at ends_at amount_per_month plan seats"),
        "usage_events": _frame(usage, "account_id event_time event_name quantity"),
        "support_tickets": _frame(tickets, "account_id opened_at closed_at category"),
        "csm_notes": _frame(notes, "account_id noted_at pulse"),
        "surveys": _frame(answers, "account_id answered_at score").assign(kind="nps", scale="0-10"),
        "contacts": _frame(people, "account_id person valid_from").assign(role="user"),
    }
    tickets_open = tables["support_tickets"]
    is_open = tickets_open["closed_at"] > _moment(DAYS)
    tables["support_tickets"] = tickets_open.assign(
        closed_at=tickets_open["closed_at"].mask(is_open)
    )
    tables["accounts"]["created_at"] = tables["accounts"]["account_id"].map(
        tables["subscriptions"].groupby("account_id")["starts_at"].min()
    )
    return tables, pd.Series({name: _moment(day) for name, day in gone.items()})


def _rating(rng: np.random.Generator, low: int, high: int, *, is_low: bool) -> int:
    """A rating, two lower while use declines; one in six is low for reasons of its own."""
    rating = int(rng.integers(low, high + 1)) - 2 * is_low
    return int(rng.integers(1, low)) if rng.random() < 1 / 6 else rating


def _moment(day: int) -> pd.Timestamp:
    return pd.Timestamp(FIRST) + pd.Timedelta(days=day)


def _frame(rows: list[tuple], columns: str) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=columns.split())
    for name in table.columns:
        if name.endswith("_at") or name in ("event_time", "valid_from"):
            table[name] = pd.Timestamp(FIRST) + pd.to_timedelta(table[name], unit="D")
    return table


def write(tables: Tables, folder: Path) -> None:
    """Tables and project file of a company."""
    (folder / "data").mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        table.to_parquet(folder / "data" / f"{name}.parquet", index=False)
    extra = [
        f'{name} = {{ column = "{name}", type = "number" }}'
        for name in tables["usage_events"].columns
        if name not in ("account_id", "event_time", "event_name", "quantity")
    ]
    toml = TOML.replace("USAGE_EXTRA", "\n".join(extra))
    if "auto_renew" in tables["subscriptions"].columns:
        toml += "[features]\n"
    (folder / "tenure.toml").write_text(toml, encoding="utf-8")


# --- rewritten
# -----------------------------------------------------------------------------------


def _is_gone(table: pd.DataFrame, gone: pd.Series) -> pd.Series:
    return table["account_id"].isin(gone.index)


def _before_end(table: pd.DataFrame, gone: pd.Series, time: str) -> pd.Series:
    """Days until the account's own end; NaN for those that stayed."""
    return (table["account_id"].map(gone) - table[time]).dt.days


def enriched(tables: Tables, gone: pd.Series, rng: np.random.Generator) -> Tables:
    """The exit talk fills in how large the customer was."""
    accounts = tables["accounts"]
    filled = _is_gone(accounts, gone) & (rng.random(len(accounts)) < 0.7)
    employees = accounts["employees"].mask(filled, rng.integers(5, 900, len(accounts)))
    return {"accounts": accounts.assign(employees=employees)}


def plan_of_today(tables: Tables, gone: pd.Series, rng: np.random.Generator) -> Tables:
    """Every term carries the plan of today; six in ten leavers went down to basic at the end."""
    terms = tables["subscriptions"]
    last = terms.groupby("account_id")["plan"].last()
    down = last.index.isin(gone.index) & (rng.random(len(last)) < 0.6)
    return {"subscriptions": terms.assign(plan=terms["account_id"].map(last.mask(down, "basic")))}


def month_totals_early(tables: Tables, gone: pd.Series, rng: np.random.Generator) -> Tables:
    """A row per month on its first day, with all that will happen in it."""
    usage = tables["usage_events"]
    month = usage["event_time"].dt.to_period("M").dt.to_timestamp()
    totals = (
        usage.assign(event_time=month, event_name="use")
        .groupby(["account_id", "event_time", "event_name"], as_index=False)["quantity"]
        .sum()
    )
    return {"usage_events": totals}


def life_total(tables: Tables, gone: pd.Series, rng: np.random.Generator) -> Tables:
    """The final number of logins stands on every row."""
    usage = tables["usage_events"]
    count = usage.groupby("account_id")["quantity"].transform("sum")
    return {"usage_events": usage.assign(total_minutes=count)}


def use_deleted(tables: Tables, gone: pd.Series, rng: np.random.Generator) -> Tables:
    """Data protection: the log of leavers is deleted."""
    usage = tables["usage_events"]
    return {"usage_events": usage[~_is_gone(usage, gone)]}


def pulse_lowered(tables: Tables, gone: pd.Series, rng: np.random.Generator) -> Tables:
    """The last two ratings of leavers are lowered afterwards."""
    notes = tables["csm_notes"]
    late = _before_end(notes, gone, "noted_at") <= 65
    lowered = notes["pulse"].mask(late & (rng.random(len(notes)) < 0.8), 1)
    return {"csm_notes": notes.assign(pulse=lowered)}


def category_at_closing(tables: Tables, gone: pd.Series, rng: np.random.Generator) -> Tables:
    """Agents file a ticket under its category when they close it."""
    tickets = tables["support_tickets"]
    near = _before_end(tickets, gone, "opened_at").between(0, 120)
    category = tickets["category"].mask(near & (rng.random(len(tickets)) < 0.7), "price")
    category = category.mask(rng.random(len(tickets)) < 0.05, "price")
    return {
        "support_tickets": tickets.assign(category=category.where(tickets["closed_at"].notna()))
    }


def survey_dated_back(tables: Tables, gone: pd.Series, rng: np.random.Generator) -> Tables:
    """The exit survey carries the day of the last visit, eight weeks earlier."""
    chosen = gone[rng.random(len(gone)) < 0.6]
    exits = pd.DataFrame(
        {
            "account_id": chosen.index,
            "answered_at": chosen.to_numpy() - pd.Timedelta(days=56),
            "score": rng.integers(0, 5, len(chosen)),
            "kind": "exit",
            "scale": "0-10",
        }
    )
    return {"surveys": pd.concat([tables["surveys"], exits], ignore_index=True)}


def contacts_of_today(tables: Tables, gone: pd.Series, rng: np.random.Generator) -> Tables:
    """Contacts of leavers are gone from the CRM."""
    contacts = tables["contacts"]
    return {"contacts": contacts[~_is_gone(contacts, gone)]}


def renewal_off(tables: Tables, gone: pd.Series, rng: np.random.Generator) -> Tables:
    """Auto-renewal as of today stands on all terms."""
    terms = tables["subscriptions"]
    off = pd.Series(tables["accounts"]["account_id"].unique())
    is_off = off[off.isin(gone.index) & (rng.random(len(off)) < 0.6)]
    return {"subscriptions": terms.assign(auto_renew=~terms["account_id"].isin(is_off))}


def last_weeks_deleted(tables: Tables, gone: pd.Series, rng: np.random.Generator) -> Tables:
    """Use of the last two months before an end is deleted, with the people who left the product."""
    usage = tables["usage_events"]
    return {"usage_events": usage[~(_before_end(usage, gone, "event_time") <= 60)]}


REWRITINGS = (
    Rewriting("attribute enriched for leavers", enriched, ("accounts", "employees")),
    Rewriting("plan as of today", plan_of_today, ("subscriptions", "plan")),
    Rewriting("month totals stamped early", month_totals_early, ("usage_events", "quantity")),
    Rewriting(
        "total of the whole life on every row", life_total, ("usage_events", "total_minutes")
    ),
    Rewriting("use of leavers deleted", use_deleted, ("usage_events", "")),
    Rewriting("pulse lowered in hindsight", pulse_lowered, ("csm_notes", "pulse")),
    Rewriting("category set at closing", category_at_closing, ("support_tickets", "category")),
    Rewriting("exit survey dated back", survey_dated_back, ("surveys", "kind")),
    Rewriting("contacts of leavers removed", contacts_of_today, ("contacts", "")),
    Rewriting("auto-renewal as of today", renewal_off, ("subscriptions", "auto_renew")),
    Rewriting("last weeks of use deleted", last_weeks_deleted, ("usage_events", "")),
)


# --- honest, and suspicious
# ----------------------------------------------------------------------


def use_stops(tables: Tables, gone: pd.Series, rng: np.random.Generator) -> Tables:
    """Leavers truly stop 75 days before their end."""
    usage = tables["usage_events"]
    return {"usage_events": usage[~(_before_end(usage, gone, "event_time") <= 75)]}


def began_late(tables: Tables, gone: pd.Series, rng: np.random.Generator) -> Tables:
    """The log of use, and how large a customer is, began after a year."""
    usage, accounts = tables["usage_events"], tables["accounts"]
    early = accounts["created_at"] < _moment(365)
    return {
        "usage_events": usage[usage["event_time"] >= _moment(365)],
        "accounts": accounts.assign(
            employees=accounts["employees"].mask(~early, 50).where(~early, np.nan)
        ),
    }


def telling_segment(tables: Tables, gone: pd.Series, rng: np.random.Generator) -> Tables:
    """Four in five of one industry leave, one in four of the others."""
    accounts = tables["accounts"]
    is_gone = _is_gone(accounts, gone)
    travel = np.where(is_gone, rng.random(len(accounts)) < 0.5, rng.random(len(accounts)) < 0.1)
    return {"accounts": accounts.assign(industry=np.where(travel, "travel", "food"))}


def cancel_page(tables: Tables, gone: pd.Series, rng: np.random.Generator) -> Tables:
    """Seven in ten leavers look at the page on which one cancels, and some who stay."""
    ends = pd.Series(_moment(DAYS - 30), index=tables["accounts"]["account_id"]) - pd.to_timedelta(
        rng.integers(0, 500, len(tables["accounts"])), unit="D"
    )
    looked = pd.concat([gone[rng.random(len(gone)) < 0.7], ends[rng.random(len(ends)) < 0.25]])
    visits = pd.DataFrame(
        {
            "account_id": looked.index,
            "event_time": looked.to_numpy()
            - pd.to_timedelta(rng.integers(5, 60, len(looked)), "D"),
            "event_name": "cancel_page",
            "quantity": 1,
        }
    )
    starts = visits["account_id"].map(
        tables["subscriptions"].groupby("account_id")["starts_at"].min()
    )
    visits = visits[visits["event_time"] >= starts]
    return {"usage_events": pd.concat([tables["usage_events"], visits], ignore_index=True)}


def sunset_feature(tables: Tables, gone: pd.Series, rng: np.random.Generator) -> Tables:
    """One feature ended for everybody in the second year."""
    usage = tables["usage_events"]
    return {
        "usage_events": usage[
            (usage["event_name"] != "import") | (usage["event_time"] < _moment(500))
        ]
    }


def as_it_is(tables: Tables, gone: pd.Series, rng: np.random.Generator) -> Tables:
    """Nothing is changed."""
    return {}


HONEST = (
    Rewriting("nothing rewritten", as_it_is),
    Rewriting("use stops 75 days before the end", use_stops),
    Rewriting("a source that began late", began_late),
    Rewriting("a segment that tells much", telling_segment),
    Rewriting("a page on which one cancels", cancel_page),
    Rewriting("a sunset feature", sunset_feature),
)
