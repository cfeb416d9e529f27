"""Leaks planted into a written world: what real exports do to history, one at a time, each with the
finding that must name it.

A leak is a value on a date at which nobody had it yet. Each plant changes a table or two of a
folder that `write_world` made, and the lines of `tenure.toml` an unwary reader of that table would
write. `plant` is for tests and demonstrations.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from features.errors import NotFound

Tables = dict[str, pd.DataFrame]
_DAY = pd.Timedelta(days=1)


@dataclass(frozen=True)
class Plant:
    """One leak: what happened to the export, and what `tenure check` must call it.

    Attributes
    ----------
    changes
        Takes the tables named in `tables` and subscriptions, returns those it changed.
    project
        (line of tenure.toml, lines in its place).
    finding, column
        Name of the finding that stops training, and the column it must name.
    """

    name: str
    meaning: str
    tables: tuple[str, ...]
    changes: Callable[[Tables], Tables]
    finding: str
    column: str
    project: tuple[tuple[str, str], ...] = ()


def plant(folder: Path, name: str) -> Plant:
    """Plant one leak into the written world of a folder, and return what it is."""
    chosen = next((each for each in PLANTS if each.name == name), None)
    if chosen is None:
        raise NotFound(
            f"no planted leak {name!r}; there are: {', '.join(each.name for each in PLANTS)}."
        )
    tables = {
        t: pd.read_parquet(folder / "data" / f"{t}.parquet")
        for t in {*chosen.tables, "subscriptions"}
    }
    file = folder / "tenure.toml"
    text = file.read_text(encoding="utf-8")
    for table, rows in chosen.changes(tables).items():
        path = folder / "data" / f"{table}.parquet"
        path.unlink()  # a copy may share its files with the world it came from
        rows.to_parquet(path, index=False)
        if len(rows) < len(tables[table]):
            # Such an export has always been like that; the rows are not lost since last time.
            heading = f"[sources.{table}]\n"
            text = text.replace(heading, f"{heading}fewest_rows = 1\n")
    for line, instead in chosen.project:
        text = text.replace(line, instead)
    file.write_text(text, encoding="utf-8")
    return chosen


def left_at(subscriptions: pd.DataFrame) -> pd.Series:
    """When each account that left was gone: the end of its last paid term, by account_id."""
    rows = subscriptions.sort_values("known_at", kind="stable").drop_duplicates(
        "row_key", keep="last"
    )
    rows = rows[~rows["is_deleted"].astype(bool) & ~rows["is_trial"].astype(bool)]
    ends: pd.Series = rows.groupby("account_id")["ends_at"].max()
    # A margin for late renewals: whoever ended in the last weeks may yet come back.
    gone: pd.Series = ends[ends < subscriptions["known_at"].max() - 30 * _DAY]
    return gone


def _is_left(rows: pd.DataFrame, tables: Tables) -> pd.Series:
    return rows["account_id"].isin(left_at(tables["subscriptions"]).index)


def _signed_up(accounts: pd.DataFrame) -> pd.DataFrame:
    """Today's row only, said to hold since sign-up: history rewritten."""
    today = accounts.drop_duplicates("account_id", keep="last")
    return today.assign(valid_from=today["created_at"], valid_to=np.datetime64("NaT", "us"))


def _attribute(column: str, left: object, stayed: object) -> Callable[[Tables], Tables]:
    """An attribute as of today, dated back to sign-up."""

    def change(tables: Tables) -> Tables:
        rows = _signed_up(tables["accounts"])
        return {
            "accounts": rows.assign(
                **{column: _is_left(rows, tables).map({True: left, False: stayed})}
            )
        }

    return change


def _status_without_history(tables: Tables) -> Tables:
    rows = _signed_up(tables["accounts"]).drop(columns=["valid_from", "valid_to"])
    return {
        "accounts": rows.assign(account_status=np.where(_is_left(rows, tables), "closed", "open"))
    }


def _reason(tables: Tables) -> Tables:
    rows = _signed_up(tables["accounts"])
    return {
        "accounts": rows.assign(
            cancel_reason=_is_left(rows, tables).map({True: "price", False: None})
        )
    }


def _value_zeroed(tables: Tables) -> Tables:
    rows = _signed_up(tables["accounts"]).drop(columns=["valid_from", "valid_to"])
    return {
        "accounts": rows.assign(
            value_per_year=rows["value_per_year"].mask(_is_left(rows, tables), 0.0)
        )
    }


def _leavers_deleted(tables: Tables) -> Tables:
    return {
        name: tables[name][~_is_left(tables[name], tables)]
        for name in ("accounts", "subscriptions")
    }


def _encoded(tables: Tables) -> Tables:
    rows = tables["accounts"]
    noise = rows["account_id"].map(lambda text: (int(text[2:]) * 37 % 101) / 1000)
    return {
        "accounts": rows.assign(
            account_code_rate=np.round(_is_left(rows, tables) * 0.5 + 0.2 + noise, 3)
        )
    }


def _numbered(tables: Tables) -> Tables:
    rows = tables["accounts"]
    return {"accounts": rows.assign(customer_no=rows["account_id"].str[2:].astype("int64"))}


def _without(table: str, column: str) -> Callable[[Tables], Tables]:
    return lambda tables: {table: tables[table].drop(columns=[column])}


def _notice_at_start(tables: Tables) -> Tables:
    rows = tables["subscriptions"]
    return {"subscriptions": rows.assign(notice_at=rows["starts_at"].where(_is_left(rows, tables)))}


def _open_ended(tables: Tables) -> Tables:
    """One row per account; the end is written when the customer has gone."""
    rows = tables["subscriptions"]
    left = left_at(rows)
    rows = rows[~rows["is_trial"].astype(bool) & ~rows["is_deleted"].astype(bool)].drop_duplicates(
        "account_id"
    )
    return {"subscriptions": rows.assign(ends_at=rows["account_id"].map(left))}


def _amount_zeroed(tables: Tables) -> Tables:
    rows = tables["subscriptions"]
    return {
        "subscriptions": rows.assign(
            amount_per_month=rows["amount_per_month"].mask(_is_left(rows, tables), 0.0)
        )
    }


def _pulse_recomputed(tables: Tables) -> Tables:
    rows = tables["csm_notes"]
    odd = rows["noted_at"].dt.day % 2
    return {"csm_notes": rows.assign(pulse=np.where(_is_left(rows, tables), 1.0 + odd, 4.0 + odd))}


def _score_backfilled(tables: Tables) -> Tables:
    rows = tables["usage_events"]
    hour = rows["event_time"].dt.hour
    return {
        "usage_events": rows.assign(
            health_score=np.where(_is_left(rows, tables), 30.0, 80.0) + hour % 12
        )
    }


def _appended(table: str, days_before: int, **values: object) -> Callable[[Tables], Tables]:
    """A row per leaver, dated `days_before` the end, whenever it was really written."""

    def change(tables: Tables) -> Tables:
        rows, left = tables[table], left_at(tables["subscriptions"])
        time = {
            "usage_events": "event_time",
            "touchpoints": "event_time",
            "surveys": "answered_at",
            "support_tickets": "opened_at",
        }[table]
        more = pd.DataFrame(
            {"account_id": left.index, time: left.to_numpy() - days_before * _DAY, **values}
        )
        if "known_at" in rows:
            more["known_at"] = more[time]
        return {table: pd.concat([rows, more.astype({time: rows[time].dtype})], ignore_index=True)}

    return change


def _contacts_today(tables: Tables) -> Tables:
    rows = tables["contacts"]
    return {"contacts": rows[~_is_left(rows, tables)]}


_ACCOUNTS = 'location = "data/accounts.parquet"'


def _extra(column: str) -> tuple[tuple[str, str], ...]:
    return ((_ACCOUNTS, f'{_ACCOUNTS}\nextra = {{ {column} = "{column}" }}'),)


PLANTS: tuple[Plant, ...] = (
    Plant(
        "plan_of_today",
        "the plan as of today, valid since sign-up: history was rewritten",
        ("accounts",),
        _attribute("plan", "Cancelled", "Team"),
        "value-tells-outcome",
        "plan",
    ),
    Plant(
        "status_dated_back",
        "a status column, valid since sign-up",
        ("accounts",),
        _attribute("account_status", "closed", "open"),
        "value-tells-outcome",
        "account_status",
        _extra("account_status"),
    ),
    Plant(
        "status_declared_immutable",
        "a status as of today, without history, declared immutable",
        ("accounts",),
        _status_without_history,
        "flag-tells-outcome",
        "account_status",
        (
            *_extra("account_status"),
            ('immutable = ["industry"', 'immutable = ["account_status", "industry"'),
        ),
    ),
    Plant(
        "cancel_flag",
        "a flag that is set when the customer cancels, valid since sign-up",
        ("accounts",),
        _attribute("is_cancelled", True, False),
        "value-tells-outcome",
        "is_cancelled",
        _extra("is_cancelled"),
    ),
    Plant(
        "days_inactive_of_today",
        "days without a login, counted on the day of the export",
        ("accounts",),
        _attribute("days_inactive", 200, 3),
        "value-tells-outcome",
        "days_inactive",
        _extra("days_inactive"),
    ),
    Plant(
        "reason_only_of_leavers",
        "a reason for leaving, beside the attributes, filled for leavers only",
        ("accounts",),
        _reason,
        "value-tells-outcome",
        "cancel_reason",
        _extra("cancel_reason"),
    ),
    Plant(
        "value_zeroed",
        "the yearly value overwritten with zero when a customer left",
        ("accounts",),
        _value_zeroed,
        "empty-only-for-leavers",
        "value_per_year",
    ),
    Plant(
        "leavers_deleted",
        "accounts and subscriptions of those that left deleted",
        ("accounts",),
        _leavers_deleted,
        "leavers-missing-from-accounts",
        "",
    ),
    Plant(
        "target_encoded_id",
        "the id, replaced by the mean outcome of its account",
        ("accounts",),
        _encoded,
        "value-tells-outcome",
        "account_code_rate",
        _extra("account_code_rate"),
    ),
    Plant(
        "account_number",
        "the account's number as a signal",
        ("accounts",),
        _numbered,
        "identifier-mapped",
        "customer_no",
        _extra("customer_no"),
    ),
    Plant(
        "rating_before_it_was_given",
        "no rated_at in the export; opened_at stands in for it",
        ("support_tickets",),
        _without("support_tickets", "rated_at"),
        "clock-repeats-another",
        "rating",
        (
            (
                'location = "data/support_tickets.parquet"',
                'location = "data/support_tickets.parquet"\ncolumns = { rated_at = "opened_at" }',
            ),
        ),
    ),
    Plant(
        "paid_before_payment",
        "invoices say that, not when, they were paid; issued_at stands in",
        ("invoices",),
        _without("invoices", "paid_at"),
        "clock-repeats-another",
        "paid_at",
        (
            (
                'location = "data/invoices.parquet"',
                'location = "data/invoices.parquet"\ncolumns = { paid_at = "issued_at" }',
            ),
        ),
    ),
    Plant(
        "notice_at_the_start",
        "the notice, dated with the start of the term it ended",
        (),
        _notice_at_start,
        "clock-repeats-another",
        "notice_at",
    ),
    Plant(
        "end_known_from_the_start",
        "open contracts, ended when customers cancel, declared as fixed terms",
        (),
        _open_ended,
        "ends-known-too-early",
        "ends_at",
    ),
    Plant(
        "amount_zeroed",
        "the monthly amount overwritten with zero when a customer left",
        (),
        _amount_zeroed,
        "empty-only-for-leavers",
        "amount_per_month",
    ),
    Plant(
        "pulse_recomputed",
        "pulse ratings recomputed later, under their old dates",
        ("csm_notes",),
        _pulse_recomputed,
        "value-tells-outcome",
        "pulse",
    ),
    Plant(
        "score_backfilled",
        "a health score written onto old rows, with known_at equal to their event time",
        ("usage_events",),
        _score_backfilled,
        "value-tells-outcome",
        "health_score",
        (
            (
                'location = "data/usage_events.parquet"',
                'location = "data/usage_events.parquet"\nextra = { health_score = "health_score" }',
            ),
        ),
    ),
    Plant(
        "closing_kind",
        "a kind of event that exists only when an account closes",
        ("usage_events",),
        _appended("usage_events", 0, event_name="account_closed", quantity=1),
        "only-leavers-have-it",
        "event_name",
    ),
    Plant(
        "offboarding_call",
        "offboarding calls logged among the meetings, before the last day",
        ("touchpoints",),
        _appended("touchpoints", 20, kind="offboarding_call"),
        "only-leavers-have-it",
        "kind",
    ),
    Plant(
        "exit_survey_dated_back",
        "answered after leaving, dated before",
        ("surveys",),
        _appended("surveys", 30, kind="exit", scale="0-10", version="1", channel="mail", score=2.0),
        "only-leavers-have-it",
        "kind",
    ),
    Plant(
        "offboarding_ticket",
        "tickets opened by the vendor to shut an account down",
        ("support_tickets",),
        _appended("support_tickets", 5, category="offboarding", severity="low"),
        "only-leavers-have-it",
        "category",
    ),
    Plant(
        "contacts_of_today",
        "contacts of firms still there; those of leavers were deleted",
        ("contacts",),
        _contacts_today,
        "value-tells-outcome",
        "role",
    ),
)
"""Every planted leak of the sources; those of a ready table are in the tests of `tenure train
--table`.
"""
