"""What customers and their CSMs say: support tickets, surveys, notes."""

from datetime import date
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.simulate import parameters as p
from pipeline.simulate import words
from pipeline.simulate.company import NO_DAY, Company, as_known_at_the_end, office_minute, pick

CATEGORIES = tuple(words.TICKET_TEXTS)
SEVERITIES = ("low", "medium", "high", "urgent")
_REPLY_HOURS = np.array([14.0, 8.0, 3.0, 1.0])
_RESOLVE_DAYS = np.array([5.0, 4.0, 3.0, 1.5])
NPS_REWORDED = date(2024, 7, 1)
"""From here on the NPS question has another wording: scores before and after are not comparable."""


def mood_class(mood: NDArray[Any], generator: np.random.Generator) -> NDArray[Any]:
    """0 annoyed, 1 neutral, 2 friendly: the mood with the noise of one day and one person."""
    return np.digitize(mood + generator.normal(0, 0.5, len(mood)), [-0.65, 0.55])


def support_tickets(company: Company) -> pd.DataFrame:
    """The table `support_tickets`; bugs bring tickets and slow answers, bad mood brings bad
    ratings.
    """
    generator = company.generator("support_tickets")
    path = company.path
    rate = (0.004 + 0.006 * np.sqrt(company.expected_users)) * company.season * company.is_live
    rate = rate * (1 + 1.6 * np.minimum(path.bug, 2)) + 0.02 * path.trouble * company.is_paying
    account, day = company.happen(rate, generator)
    n = len(account)
    bug, mood = np.minimum(path.bug[account, day], 2), path.mood[account, day]
    category = _categories(bug, path.trouble[account, day], generator)
    severity = np.clip(
        np.digitize(generator.random(n) + 0.1 * bug - 0.05 * mood, [0.35, 0.72, 0.94]), 0, 3
    )
    opened = day * 1440 + office_minute(generator, n)
    replied = opened + 60 * _REPLY_HOURS[severity] * generator.lognormal(0, 0.8, n) * (
        1 + 0.6 * bug
    )
    closed = replied + 1440 * _RESOLVE_DAYS[severity] * generator.lognormal(-0.3, 0.9, n) * (
        1 + 0.7 * bug
    )
    stays_open = generator.random(n) < 0.015
    again = ~stays_open & (generator.random(n) < 0.04 + 0.06 * bug)
    rated = ~stays_open & (generator.random(n) < 0.24)
    slow = np.log1p((closed - opened) / 1440)
    rating = np.clip(np.round(4.3 + 0.75 * mood - 0.35 * slow + generator.normal(0, 0.7, n)), 1, 5)
    text = np.empty(n, dtype=object)
    feeling = mood_class(mood, generator)
    for number, name in enumerate(CATEGORIES):
        rows = np.flatnonzero(category == number)
        text[rows] = words.say(words.TICKET_TEXTS[name], feeling[rows], generator)
    minutes = {
        "opened_at": opened,
        "first_reply_at": replied,
        "closed_at": np.where(stays_open, NO_DAY, closed),
        "reopened_at": np.where(again, closed + generator.integers(600, 8640, n), NO_DAY),
        "rated_at": np.where(rated, closed + generator.integers(30, 4320, n), NO_DAY),
    }
    table = pd.DataFrame(
        {"account_id": company.account_id[account]}
        | {name: _at(company, value) for name, value in minutes.items()}
        | {
            "severity": np.array(SEVERITIES, dtype=object)[severity],
            "category": np.array(CATEGORIES, dtype=object)[category],
            "rating": np.where(rated, rating, np.nan),
            "text": text,
        }
    )
    table = as_known_at_the_end("support_tickets", table, company.options)
    table = table.sort_values(["account_id", "opened_at"], kind="stable", ignore_index=True)
    count = table.groupby("account_id").cumcount().to_numpy() + 1
    ids = [f"T{a[1:]}-{k:04d}" for a, k in zip(table["account_id"], count, strict=True)]
    table.insert(1, "ticket_id", np.array(ids, dtype=object))
    return table


def _categories(
    bug: NDArray[Any], trouble: NDArray[Any], generator: np.random.Generator
) -> NDArray[Any]:
    """Category numbers: more bugs with bugs, more billing with payment trouble."""
    weights = np.tile(np.array([0.22, 0.36, 0.10, 0.16, 0.16]), (len(bug), 1))
    weights[:, 0] += 0.5 * bug
    weights[:, 2] += 0.9 * trouble
    edges = np.cumsum(weights / weights.sum(axis=1, keepdims=True), axis=1)
    return np.asarray((generator.random(len(bug))[:, None] > edges[:, :-1]).sum(axis=1))


def _at(company: Company, minute: NDArray[Any]) -> NDArray[np.datetime64]:
    """Times from minutes since the first day; `NO_DAY` is empty."""
    whole = np.asarray(minute).astype(np.int64)
    return company.moment(np.where(whole == NO_DAY, NO_DAY, whole // 1440), whole % 1440)


def surveys(company: Company, tickets: pd.DataFrame) -> pd.DataFrame:
    """The table `surveys`: quarterly NPS, CSAT after tickets, a yes-no question in the product."""
    generator = company.generator("surveys")
    table = pd.concat(
        [_nps(company, generator), _csat(tickets, generator), _agree(company, generator)],
        ignore_index=True,
    )
    table = as_known_at_the_end("surveys", table, company.options)
    return table.sort_values(
        ["account_id", "answered_at", "kind"], kind="stable", ignore_index=True
    )


def _answers(
    company: Company, every_days: int, share: float, generator: np.random.Generator
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Accounts and days of answers to something asked every so often; the engaged answer more."""
    offset = generator.integers(0, every_days, company.path.size)
    is_asked = (np.arange(company.options.days) + offset[:, None]) % every_days == 0
    willing = share * (0.6 + 0.8 / (1 + np.exp(-1.5 * (company.path.use - p.USE_LOGIT_MEAN))))
    answers = (
        is_asked
        & company.is_paying
        & (generator.random(is_asked.shape, dtype=np.float32) < willing)
    )
    account, day = np.nonzero(answers)
    return account, np.minimum(
        day + generator.integers(0, 6, len(day)), company.last_seen[account] - 1
    )


def _nps(company: Company, generator: np.random.Generator) -> pd.DataFrame:
    account, day = _answers(company, 91, 0.30, generator)
    mood = company.path.mood[account, day]
    new = day >= company.options.day_index(NPS_REWORDED)
    # The new wording ("your firm" instead of "you") draws lower answers.
    raw = 8.1 + 1.9 * mood - 0.5 * new + generator.normal(0, 1.2, len(account))
    feeling = mood_class(mood, generator)
    comment = words.say(words.SURVEY_COMMENTS, feeling, generator)
    comment[generator.random(len(account)) > 0.3] = None
    return pd.DataFrame(
        {
            "account_id": company.account_id[account],
            "answered_at": company.moment(day, office_minute(generator, len(account))),
            "person": pick(
                generator, ("champion", "sponsor", "user"), len(account), (0.45, 0.2, 0.35)
            ),
            "kind": "nps",
            "scale": "0-10",
            "version": np.where(new, "2024", "2022"),
            "channel": pick(generator, ("mail", "in_app"), len(account), (0.6, 0.4)),
            "score": np.clip(np.round(raw), 0, 10),
            "comment": comment,
        }
    )


def _csat(tickets: pd.DataFrame, generator: np.random.Generator) -> pd.DataFrame:
    """A longer form sent after some closed tickets; most people who rate a ticket do not fill it
    in.
    """
    rated = tickets[tickets["rating"].notna()]
    rated = rated[generator.random(len(rated)) < 0.45]
    shift = generator.choice([-1, 0, 0, 0, 1], len(rated))
    return pd.DataFrame(
        {
            "account_id": rated["account_id"].to_numpy(),
            "answered_at": (
                (rated["rated_at"] + np.timedelta64(40 * 60, "s"))
                .to_numpy()
                .astype("datetime64[us]")
            ),
            "person": "user",
            "kind": "csat",
            "scale": "1-5",
            "version": "1",
            "channel": "mail",
            "score": np.clip(rated["rating"].to_numpy() + shift, 1, 5),
            "comment": None,
        }
    )


def _agree(company: Company, generator: np.random.Generator) -> pd.DataFrame:
    account, day = _answers(company, 182, 0.22, generator)
    yes = generator.random(len(account)) < 1 / (
        1 + np.exp(-(1.0 + 1.4 * company.path.mood[account, day]))
    )
    return pd.DataFrame(
        {
            "account_id": company.account_id[account],
            "answered_at": company.moment(day, office_minute(generator, len(account))),
            "person": "user",
            "kind": "agree",
            "scale": "yes-no",
            "version": "1",
            "channel": "in_app",
            "score": yes.astype(float),
            "comment": None,
        }
    )


def csm_notes(company: Company) -> pd.DataFrame:
    """The table `csm_notes`: a pulse every six weeks or so for accounts with a named CSM."""
    generator = company.generator("csm_notes")
    rate = (
        company.is_paying * company.is_covered[:, None] * np.where(company.season > 0.5, 1 / 30, 0)
    )
    account, day = company.happen(rate, generator)
    mood, use = company.path.mood[account, day], company.path.use[account, day]
    # CSMs see mood better than use, and hardly see what people do not tell them.
    view = 0.9 * mood + 0.35 * (use - p.USE_LOGIT_MEAN) + generator.normal(0, 0.55, len(account))
    noted = company.moment(day, office_minute(generator, len(account)))
    table = pd.DataFrame(
        {
            "account_id": company.account_id[account],
            "author": company.owner_code(company.owner_on(account, day)),
            "noted_at": noted,
            "expires_at": noted + np.timedelta64(90, "D"),
            "pulse": np.clip(np.round(3.5 + 1.1 * view), 1, 5),
            "text": words.say(words.NOTE_TEXTS, np.digitize(view, [-0.6, 0.6]), generator),
        }
    )
    table = as_known_at_the_end("csm_notes", table, company.options)
    return table.sort_values(["account_id", "noted_at"], kind="stable", ignore_index=True)
