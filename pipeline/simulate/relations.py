"""People and work between the firms: contacts, touchpoints, onboarding, goals, plays."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.simulate import parameters as p
from pipeline.simulate.company import NO_DAY, Company, as_known_at_the_end, office_minute
from pipeline.simulate.usage import champion_spell

MILESTONES = (
    ("kickoff", 7),
    ("data_imported", 21),
    ("first_report", 30),
    ("team_invited", 45),
    ("integration_live", 60),
    ("first_value", 90),
)
"""Onboarding steps and the days after opening on which they are due."""
GOALS = (
    "save planning time",
    "one source of figures",
    "fewer late orders",
    "faster month end",
    "audit ready",
)


def contacts(company: Company) -> pd.DataFrame:
    """The table `contacts`: spells of champion and sponsor, and an administrator.

    The CRM hears of a departure 3-25 days after it happened: use slides before the record says why.
    """
    generator = company.generator("contacts")
    spells = [
        _spells(company, role, letter, generator)
        for role, letter in (("champion", "c"), ("sponsor", "s"))
    ]
    everybody = np.arange(company.path.size)
    admin = pd.DataFrame(
        {
            "account": everybody,
            "person": "a01",
            "role": "admin",
            "since": company.path.start.created_day,
            "until": NO_DAY,
        }
    )
    rows = pd.concat([*spells, admin], ignore_index=True)
    account = rows["account"].to_numpy()
    table = pd.DataFrame(
        {
            "account_id": company.account_id[account],
            "person": rows["person"],
            "role": rows["role"],
            "valid_from": company.moment(rows["since"].to_numpy(), 9 * 60),
            "valid_to": company.moment(rows["until"].to_numpy(), 9 * 60),
        }
    )
    table = as_known_at_the_end("contacts", table, company.options)
    return table.sort_values(["account_id", "role", "valid_from"], kind="stable", ignore_index=True)


def _spells(
    company: Company, role: str, letter: str, generator: np.random.Generator
) -> pd.DataFrame:
    """Who held a role from when until when (as recorded), by account."""
    path = company.path
    absent = getattr(path.start, f"{role}_absent") > 0
    opening = np.flatnonzero(~absent)
    came, left = path.log.facts(f"{role}_came"), path.log.facts(f"{role}_left")
    starts = pd.DataFrame(
        {
            "account": np.append(opening, came["account"]),
            "since": np.append(path.start.created_day[opening], came["day"]),
        }
    )
    leaves = pd.DataFrame(
        {
            "account": left["account"],
            "left": left["day"],
            "until": left["day"] + generator.integers(3, 26, len(left["day"])),
        }
    )
    starts = starts.sort_values(["account", "since"], kind="stable", ignore_index=True)
    leaves = leaves.sort_values(["account", "left"], kind="stable", ignore_index=True)
    starts["spell"] = starts.groupby("account").cumcount()
    leaves["spell"] = leaves.groupby("account").cumcount()
    rows = starts.merge(leaves, on=["account", "spell"], how="left")
    # Changes before the account was opened or after it left are nobody's business any more.
    account = rows["account"].to_numpy()
    seen = np.maximum(rows["since"].to_numpy(), path.start.created_day[account])
    number = rows["spell"].to_numpy() + absent[account] + 1
    until = rows["until"].fillna(NO_DAY).to_numpy().astype(np.int64)
    until = np.where(until < company.last_seen[account], until, NO_DAY)
    rows = rows.assign(
        since=seen, until=until, role=role, person=[f"{letter}{k:02d}" for k in number]
    )
    gone_before = (rows["left"] <= path.start.created_day[account]).to_numpy()
    kept = (seen < company.last_seen[account]) & ~gone_before & ((until == NO_DAY) | (until > seen))
    return pd.DataFrame(rows.loc[kept, ["account", "person", "role", "since", "until"]])


def touchpoints(company: Company) -> pd.DataFrame:
    """The table `touchpoints`: what happens by rhythm and by interest, none of it because of a
    score.
    """
    generator = company.generator("touchpoints")
    path = company.path
    interest = 1 / (1 + np.exp(-(path.use - p.USE_LOGIT_MEAN) - 0.5 * path.mood))
    present = 1 - 0.7 * path.gap
    covered = company.is_covered[:, None]
    workday = np.where(company.season > 0.5, 1.0, 0.0) * company.is_paying
    young = np.arange(company.options.days) - path.start.created_day[:, None] < 100
    rates = {
        "meeting": workday * covered * (0.006 + 0.02 * interest) * present,
        "training": workday * (0.0015 + 0.012 * young) * (0.5 + interest),
        "community_post": workday * 0.004 * interest,
        "business_review": (
            workday * covered * (path.start.seats >= p.SEGMENT_SEATS[1])[:, None] * 0.014 * present
        ),
    }
    parts = [_mails(company, interest * present, generator)]
    for kind, rate in rates.items():
        account, day = company.happen(rate, generator)
        parts.append(pd.DataFrame({"account": account, "day": day, "kind": kind}))
    notices = path.log.facts("price_notice")
    parts.append(
        pd.DataFrame({"account": notices["account"], "day": notices["day"], "kind": "price_notice"})
    )
    rows = pd.concat(parts, ignore_index=True)
    account, day = rows["account"].to_numpy(), rows["day"].to_numpy()
    table = pd.DataFrame(
        {
            "account_id": company.account_id[account],
            "event_time": company.moment(day, office_minute(generator, len(rows))),
            "kind": rows["kind"],
            "person": _persons(company, account, day, rows["kind"].to_numpy(), generator),
        }
    )
    table = as_known_at_the_end("touchpoints", table, company.options)
    return table.sort_values(["account_id", "event_time", "kind"], kind="stable", ignore_index=True)


def _mails(
    company: Company, interest: NDArray[Any], generator: np.random.Generator
) -> pd.DataFrame:
    """A mail every four weeks; opening and answering follow interest, some hours or days later."""
    offset = generator.integers(0, 28, company.path.size)
    sent = ((np.arange(company.options.days) + offset[:, None]) % 28 == 0) & company.is_paying
    account, day = np.nonzero(sent)
    eager = interest[account, day]
    opens = generator.random(len(account)) < 0.15 + 0.65 * eager
    answers = opens & (generator.random(len(account)) < 0.05 + 0.3 * eager)
    later = generator.integers(1, 4, len(account))
    parts = [
        pd.DataFrame({"account": account, "day": day, "kind": "mail_sent"}),
        pd.DataFrame(
            {"account": account[opens], "day": (day + later)[opens], "kind": "mail_opened"}
        ),
        pd.DataFrame(
            {
                "account": account[answers],
                "day": (day + later + 1)[answers],
                "kind": "mail_answered",
            }
        ),
    ]
    rows = pd.concat(parts, ignore_index=True)
    return pd.DataFrame(
        rows[rows["day"].to_numpy() < company.last_seen[rows["account"].to_numpy()]]
    )


def _persons(
    company: Company,
    account: NDArray[Any],
    day: NDArray[Any],
    kind: NDArray[Any],
    generator: np.random.Generator,
) -> NDArray[Any]:
    """The champion where there is one, else the administrator; posts and trainings come from
    users.
    """
    spell = champion_spell(company)(account, day) + 1
    champion = np.array([f"c{k:02d}" for k in range(1, 60)], dtype=object)[
        np.minimum(spell, 59) - 1
    ]
    present = company.path.gap[account, day] == 0
    user = np.array([f"u{k:03d}" for k in range(1, 6)], dtype=object)[
        generator.integers(0, 5, len(account))
    ]
    person = np.where(present, champion, "a01")
    return np.where(np.isin(kind, ("community_post", "training")), user, person)


def milestones(company: Company) -> pd.DataFrame:
    """The table `milestones`: onboarding steps; a good fit reaches them sooner, a bad one misses
    some.
    """
    generator = company.generator("milestones")
    start = company.path.start
    parts = []
    reached_before = np.zeros(company.path.size, dtype=np.int64)
    for name, due in MILESTONES:
        takes = due * generator.lognormal(-0.1, 0.45, company.path.size) * np.exp(-0.18 * start.fit)
        reached_before = np.maximum(reached_before + 1, np.round(takes).astype(np.int64))
        missed = generator.random(company.path.size) < 0.06 + 0.05 * (start.fit < -0.8)
        day = start.created_day + reached_before
        reached = np.where(missed | (day >= company.path.end.end_day), NO_DAY, day)
        parts.append(
            pd.DataFrame(
                {
                    "account_id": company.account_id,
                    "milestone": name,
                    "assigned_at": company.moment(start.created_day),
                    "due_at": company.moment(start.created_day + due),
                    "reached_at": company.moment(reached, 15 * 60),
                }
            )
        )
    table = as_known_at_the_end("milestones", pd.concat(parts, ignore_index=True), company.options)
    return table.sort_values(["account_id", "due_at"], kind="stable", ignore_index=True)


def goals(company: Company) -> pd.DataFrame:
    """The table `goals`: one or two agreed at the start and at each anniversary; fit decides if
    they are met.
    """
    generator = company.generator("goals")
    path = company.path
    rounds = np.arange(-5, company.options.days // 365 + 1)
    set_day = (path.start.created_day[:, None] % 365) + 365 * rounds + 14
    account, number = np.nonzero(
        (set_day >= path.start.created_day[:, None]) & (set_day < company.last_seen[:, None])
    )
    account = np.repeat(account, 2)
    day = np.repeat(set_day[account[::2], number], 2)
    # The second goal of a round is another one than the first.
    first = np.repeat(generator.integers(0, len(GOALS), len(account) // 2), 2)
    goal = first + np.where(
        np.arange(len(account)) % 2 == 0, 0, generator.integers(1, len(GOALS), len(account))
    )
    kept = generator.random(len(account)) < np.where(np.arange(len(account)) % 2 == 0, 0.85, 0.35)
    account, day, goal = account[kept], day[kept], goal[kept] % len(GOALS)
    n = len(account)
    due = day + generator.integers(90, 300, n)
    seen = np.clip(day + 60, 0, company.options.days - 1)
    value = 0.7 * path.start.fit[account] + 0.5 * path.mood[account, seen]
    met = generator.random(n) < 1 / (1 + np.exp(-(0.5 + 1.2 * value)))
    met_day = due + np.round(generator.normal(-10, 35, n)).astype(np.int64)
    met_day = np.maximum(met_day, day + 10)
    happened = met & (met_day < company.last_seen[account])
    worth = path.seats[account, seen] * generator.lognormal(np.log(120), 0.6, n)
    table = pd.DataFrame(
        {
            "account_id": company.account_id[account],
            "goal": np.array(GOALS, dtype=object)[goal],
            "set_at": company.moment(day, 14 * 60),
            "due_at": company.moment(due),
            "met_at": company.moment(np.where(happened, met_day, NO_DAY), 15 * 60),
            "value": np.where(happened, np.round(worth, 0), np.nan),
        }
    )
    table = as_known_at_the_end("goals", table, company.options)
    return table.sort_values(["account_id", "set_at", "goal"], kind="stable", ignore_index=True)


def interventions(company: Company) -> pd.DataFrame:
    """The table `interventions`: plays chosen by CSMs (confounded), and a randomised pilot with a
    holdout.
    """
    chosen = company.path.log.facts("play", ("play", "done"))
    pilot = company.path.log.facts("pilot", ("holdout", "done"))
    account = np.append(chosen["account"], pilot["account"])
    day = np.append(chosen["day"], pilot["day"])
    play = np.append(chosen["play"], np.full(len(pilot["account"]), p.PILOT_PLAY))
    done = np.append(chosen["done"], pilot["done"])
    holdout = np.append(np.zeros(len(chosen["account"]), dtype=bool), pilot["holdout"].astype(bool))
    gone = done >= company.last_seen[account]
    table = pd.DataFrame(
        {
            "account_id": company.account_id[account],
            "play": np.array(p.PLAY_NAMES, dtype=object)[play],
            "owner": company.owner_code(company.owner_on(account, day)),
            "assigned_at": company.moment(day, 10 * 60),
            "done_at": company.moment(np.where(gone, NO_DAY, done), 16 * 60),
            "is_holdout": holdout,
        }
    )
    table = as_known_at_the_end("interventions", table, company.options)
    return table.sort_values(
        ["account_id", "assigned_at", "play"], kind="stable", ignore_index=True
    )
