"""Subscriptions and accounts: what was bought, when it was known, and attributes with their
history.
"""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.simulate import parameters as p
from pipeline.simulate import words
from pipeline.simulate.calendar_days import add_months
from pipeline.simulate.company import NO_DAY, Company, as_known_at_the_end, office_minute
from pipeline.simulate.paths import REASONS


def term_rows(company: Company) -> pd.DataFrame:
    """Every term and change inside a term, one row each, with days as indices.

    Columns: account (index in the block), starts, ends (as signed), seats, price (per seat and
    month), plan, known (day), kind (`trial`, `past`, `first`, `term`, `change`), covers_until
    (after changes, suspension), is_void (signed, but service ended before it began).
    """
    path, log = company.path, company.path.log
    parts = [_trials(company), _past_terms(company), _first_terms(company)]
    for kind in ("term", "change"):
        facts = log.facts(kind, ("starts", "ends", "seats", "price", "plan", "known"))
        facts.pop("day")
        parts.append(pd.DataFrame(facts).assign(kind=kind))
    rows = pd.concat([part for part in parts if len(part)], ignore_index=True)
    rows = rows.sort_values(["account", "starts", "known"], kind="stable", ignore_index=True)
    return _with_ends(rows, path.end.end_day)


def _with_ends(rows: pd.DataFrame, end_day: NDArray[Any]) -> pd.DataFrame:
    """Add where each row's cover ended: at the next change, at a suspension, or as signed."""
    account, starts = rows["account"].to_numpy(), rows["starts"].to_numpy()
    changed = np.zeros(len(rows), dtype=bool)
    changed[:-1] = (account[1:] == account[:-1]) & (rows["kind"].to_numpy()[1:] == "change")
    following = np.append(starts[1:], p.NEVER)
    last = end_day[account]
    covers = np.minimum(np.where(changed, following, rows["ends"].to_numpy()), last)
    return rows.assign(
        covers_until=covers,
        is_changed=changed,
        is_void=(starts >= last) & (rows["kind"] != "trial"),
    )


def _frame(company: Company, which: NDArray[Any], kind: str, **values: Any) -> pd.DataFrame:
    """Rows of accounts with the start's seats, price and plan unless given."""
    start = company.path.start
    columns = {
        "account": which,
        "seats": start.seats[which],
        "price": start.unit_price[which],
        "plan": start.plan[which],
    }
    return pd.DataFrame(columns | values).assign(kind=kind)


def _trials(company: Company) -> pd.DataFrame:
    start = company.path.start
    which = np.flatnonzero(company.has_trial)
    created = start.created_day[which]
    return _frame(
        company,
        which,
        "trial",
        starts=created,
        ends=start.start_day[which],
        known=created,
        seats=np.minimum(start.seats[which], 5),
        price=np.zeros(len(which)),
    )


def _past_terms(company: Company) -> pd.DataFrame:
    """Terms that ended before the first day: fewer seats and lower prices, the further back."""
    start, first_day = company.path.start, company.options.first_day
    months = p.TERM_MONTHS[start.term]
    begin = np.datetime64(first_day, "D") + start.start_day
    current = np.datetime64(first_day, "D") + start.term_start
    passed = (current.astype("datetime64[M]") - begin.astype("datetime64[M]")).astype(
        np.int64
    ) // months
    which = np.repeat(np.arange(start.size), passed)
    number = np.arange(len(which)) - np.repeat(np.cumsum(passed) - passed, passed)
    starts = add_months(first_day, start.start_day[which], number * months[which])
    years = ((passed[which] - number) * months[which] + 11) // 12
    return _frame(
        company,
        which,
        "past",
        starts=starts,
        ends=add_months(first_day, starts, months[which]),
        known=np.where(number == 0, np.maximum(start.created_day[which], starts - 5), starts - 1),
        seats=np.maximum(np.floor(start.seats[which] * 0.93**years), 1).astype(np.int64),
        price=np.round(start.unit_price[which] * 0.96**years, 2),
    )


def _first_terms(company: Company) -> pd.DataFrame:
    """The term that covers the first day of the world, or the first of a later customer."""
    start = company.path.start
    which = np.arange(start.size)
    known = np.where(
        start.term_start == start.start_day,
        np.maximum(start.created_day, start.start_day - 5),
        start.term_start - 1,
    )
    return _frame(
        company, which, "first", starts=start.term_start, ends=start.term_end, known=known
    )


def subscriptions(company: Company, rows: pd.DataFrame) -> pd.DataFrame:
    """The table `subscriptions`: versions of a row share `row_key`; a change of ends is a later
    version.

    A voided renewal is taken back by a version with `is_deleted`.
    """
    generator = company.generator("subscriptions")
    path = company.path
    account = rows["account"].to_numpy()
    base = _as_signed(company, rows, office_minute(generator, len(rows)))
    base = base.assign(**_endings(company, rows, generator))
    cut = (rows["covers_until"].to_numpy() < rows["ends"].to_numpy()) & ~rows["is_void"].to_numpy()
    changed = rows["is_changed"].to_numpy() & (
        rows["covers_until"].to_numpy() < path.end.end_day[account]
    )
    later = np.where(
        changed, np.append(rows["known"].to_numpy()[1:], 0), path.end.end_day[account] - 1
    )
    evening = np.full(int(cut.sum()), 19 * 60)
    shorter = base[cut].assign(
        ends_at=company.moment(rows["covers_until"].to_numpy()[cut]),
        known_at=company.moment(later[cut], evening),
    )
    void = rows["is_void"].to_numpy()
    back = base[void].assign(
        known_at=company.moment(path.end.end_day[account][void] - 1, 19 * 60 + 5), is_deleted=True
    )
    # What ended is told by the version that knows; the signed version of a row cut short never
    # ended so.
    base.loc[cut, ["end_reason", "is_voluntary"]] = None
    table = pd.concat([base, shorter, back], ignore_index=True)
    table = as_known_at_the_end("subscriptions", table, company.options)
    return table.sort_values(
        ["account_id", "starts_at", "subscription_id", "known_at"], kind="stable", ignore_index=True
    )


def _as_signed(company: Company, rows: pd.DataFrame, minute: NDArray[Any]) -> pd.DataFrame:
    start, account = company.path.start, rows["account"].to_numpy()
    number = rows.groupby("account").cumcount().to_numpy() + 1
    ids = np.array(
        [f"S{a[1:]}-{k:03d}" for a, k in zip(company.account_id[account], number, strict=True)],
        dtype=object,
    )
    is_trial = (rows["kind"] == "trial").to_numpy()
    discount = np.where(is_trial, 0, np.round(start.discount[account].astype(np.float64), 2))
    return pd.DataFrame(
        {
            "account_id": company.account_id[account],
            "subscription_id": ids,
            "row_key": ids,
            "starts_at": company.moment(rows["starts"].to_numpy()),
            "ends_at": company.moment(rows["ends"].to_numpy()),
            "notice_at": company.moment(np.full(len(rows), NO_DAY)),
            "amount_per_month": np.round(rows["seats"] * rows["price"] * (1 - discount), 2),
            "currency": p.CURRENCY,
            "seats": rows["seats"],
            "plan": np.array(p.PLAN_NAMES, dtype=object)[rows["plan"]],
            "billing_period": np.array(p.TERM_NAMES, dtype=object)[start.term[account]],
            "auto_renew": (start.term[account] != p.ANNUAL) & ~is_trial,
            "is_trial": is_trial,
            "discount_share": discount,
            "end_reason": None,
            "is_voluntary": None,
            "known_at": company.moment(rows["known"].to_numpy(), minute),
            "is_deleted": False,
        }
    )


def _endings(
    company: Company, rows: pd.DataFrame, generator: np.random.Generator
) -> dict[str, Any]:
    """Notice, reason and kind of end of the row whose cover was the last."""
    path = company.path
    account = rows["account"].to_numpy()
    end = path.end.end_day[account]
    last = (
        (rows["covers_until"].to_numpy() == end)
        & ~rows["is_void"].to_numpy()
        & (rows["kind"] != "trial").to_numpy()
    )
    suspended = np.zeros(path.size, dtype=bool)
    suspended[path.log.facts("suspended")["account"]] = True
    facts = path.log.facts("decided", ("reason",))
    reason = np.full(path.size, "unknown", dtype=object)
    # What customers say: a third give no reason or a polite one.
    said = np.where(
        generator.random(len(facts["account"])) < 0.68,
        np.array(REASONS, dtype=object)[facts["reason"]],
        np.where(generator.random(len(facts["account"])) < 0.6, "unknown", "other"),
    )
    reason[facts["account"]] = said
    reason[suspended] = "non_payment"
    notice = path.end.notice_day[account]
    has_notice = last & (notice < p.NEVER) & (notice < end)
    return {
        "notice_at": company.moment(
            np.where(has_notice, notice, NO_DAY), office_minute(generator, len(rows))
        ),
        "end_reason": np.where(last, reason[account], None),
        "is_voluntary": np.where(last, ~suspended[account], None),
    }


def accounts(company: Company, rows: pd.DataFrame) -> pd.DataFrame:
    """The table `accounts`: one row per account and date from which its attributes hold."""
    path = company.path
    paid = rows[(rows["kind"] != "trial") & ~rows["is_void"]]
    states = pd.DataFrame(
        {
            "account": paid["account"],
            "valid_day": np.maximum(paid["starts"], path.start.created_day[paid["account"]]),
            "seats": paid["seats"],
            "plan": paid["plan"],
            "price": paid["price"],
        }
    )
    opening = states.drop_duplicates("account").assign(valid_day=path.start.created_day)
    hands = pd.DataFrame(
        dict(zip(("account", "valid_day", "owner"), company.owner_changes, strict=True))
    )
    states = pd.concat([opening, states, hands], ignore_index=True)
    states = states.sort_values(["account", "valid_day"], kind="stable", ignore_index=True)
    filled = states.groupby("account")[["seats", "plan", "price", "owner"]].ffill()
    states[["seats", "plan", "price"]] = filled[["seats", "plan", "price"]]
    first_owner = pd.Series(company.first_owner[states["account"]], index=states.index)
    states["owner"] = filled["owner"].fillna(first_owner).astype(int)
    states = states.drop_duplicates(["account", "valid_day"], keep="last")
    before = states.groupby("account")[["seats", "plan", "price", "owner"]].shift()
    same = (before == states[["seats", "plan", "price", "owner"]]).all(axis=1)
    return as_known_at_the_end("accounts", _account_table(company, states[~same]), company.options)


def _account_table(company: Company, states: pd.DataFrame) -> pd.DataFrame:
    path, options = company.path, company.options
    account = states["account"].to_numpy()
    seats = states["seats"].to_numpy().astype(np.int64)
    who = words.identities(path.first_account, path.size, company.seed)
    valid_day = states["valid_day"].to_numpy()
    valid_to = np.append(np.where(account[1:] == account[:-1], valid_day[1:], NO_DAY), NO_DAY)
    value = (
        seats
        * states["price"].to_numpy()
        * (1 - np.round(path.start.discount[account].astype(np.float64), 2))
        * 12
    )
    columns = {
        "account_id": company.account_id[account],
        "name": who["name"][account],
        "created_at": company.moment(path.start.created_day[account]),
        "valid_from": company.moment(valid_day),
        "valid_to": company.moment(valid_to),
        "owner": company.owner_code(states["owner"].to_numpy()),
        "value_per_year": np.round(value, 2),
        "currency": p.CURRENCY,
        "segment": np.array(p.SEGMENT_NAMES, dtype=object)[
            np.searchsorted(p.SEGMENT_SEATS, seats, side="right")
        ],
        "plan": np.array(p.PLAN_NAMES, dtype=object)[states["plan"].to_numpy().astype(np.int64)],
        "industry": who["industry"][account],
        "country": who["country"][account],
        "parent_account_id": _parents(company)[account],
        "seats": seats,
        "consent": True,
    }
    if options.planted_leaks:
        left = path.end.end_day < options.days
        columns |= {
            "account_status": np.where(left, "closed", "open")[account],
            "days_inactive": (options.days - company.last_seen)[account],
        }
    return pd.DataFrame(columns)


def _parents(company: Company) -> NDArray[Any]:
    """One account in twenty belongs to another of the same block."""
    generator = company.generator("accounts", part=1)
    n = company.path.size
    parent = np.full(n, None, dtype=object)
    children = np.flatnonzero(generator.random(n) < 0.05)
    chosen = (children * generator.random(len(children))).astype(
        np.int64
    )  # an earlier account, never itself
    parent[children[children > 0]] = company.account_id[chosen[children > 0]]
    return parent
