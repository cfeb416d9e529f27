"""Invoices and payments, with corrections and retracted duplicates."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.simulate import parameters as p
from pipeline.simulate.company import NO_DAY, Company, as_known_at_the_end

_ONE_OFF_FAILURE_SHARE = 0.015
"""An expired card: fails once, paid within a week."""
_REMINDER_DAYS = 7
"""Days after the due date until an unpaid invoice is reminded of."""
_CORRECTED_SHARE = 0.015
_DUPLICATE_SHARE = 0.004


def invoices(company: Company, rows: pd.DataFrame) -> pd.DataFrame:
    """The table `invoices`: one per term, and one per change for the rest of the term."""
    generator = company.generator("invoices")
    account, issued, amount = _issued(company, rows)
    n = len(account)
    term = company.path.start.term[account]
    due = issued + p.DUE_DAYS[term]
    paid, failed = _payments(company, account, issued, due, generator)
    ids = np.array(
        [
            f"I{a[1:]}-{k:03d}"
            for a, k in zip(
                company.account_id[account],
                pd.Series(account).groupby(account).cumcount() + 1,
                strict=True,
            )
        ],
        dtype=object,
    )
    table = pd.DataFrame(
        {
            "account_id": company.account_id[account],
            "invoice_id": ids,
            "row_key": ids,
            "issued_at": company.moment(issued, 5 * 60),
            "due_at": company.moment(due, 5 * 60),
            "paid_at": company.moment(paid, generator.integers(7 * 60, 18 * 60, n)),
            "failed_at": company.moment(failed, 6 * 60),
            "reminded_at": company.moment(_reminded(due, paid), 9 * 60),
            "amount": amount,
            "currency": p.CURRENCY,
            "known_at": company.moment(issued, 5 * 60 + 20),
            "is_deleted": False,
        }
    )
    table = pd.concat(
        [table, _corrections(table, generator), _duplicates(table, generator)], ignore_index=True
    )
    table = as_known_at_the_end("invoices", table, company.options)
    return table.sort_values(
        ["account_id", "issued_at", "invoice_id", "known_at"], kind="stable", ignore_index=True
    )


def _issued(
    company: Company, rows: pd.DataFrame
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Account, day and amount of each invoice inside the span."""
    discount = np.round(company.path.start.discount[rows["account"]].astype(float), 2)
    monthly = rows["seats"] * rows["price"] * (1 - discount)
    months = p.TERM_MONTHS[company.path.start.term[rows["account"]]]
    is_change = (rows["kind"] == "change").to_numpy()
    added = (
        (monthly - monthly.shift(fill_value=0)).to_numpy()
        * (rows["ends"] - rows["starts"]).to_numpy()
        / 30.4
    )
    amount = np.round(np.where(is_change, added, monthly * months), 2)
    inside = (rows["starts"] >= 0) & (rows["starts"] < company.options.days)
    billed = (~rows["is_void"] & (rows["kind"] != "trial") & inside).to_numpy()
    return rows["account"].to_numpy()[billed], rows["starts"].to_numpy()[billed], amount[billed]


def _payments(
    company: Company,
    account: NDArray[Any],
    issued: NDArray[Any],
    due: NDArray[Any],
    generator: np.random.Generator,
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Days of payment and of the failed attempt; `NO_DAY` where there is none."""
    n, days = len(account), company.options.days
    by_card = company.path.start.term[account] == p.MONTHLY
    slack = np.where(by_card, 0, np.round(generator.normal(-2, 5, n)).astype(np.int64))
    on_time = np.maximum(due + slack, issued + 1)
    slips = generator.random(n) < _ONE_OFF_FAILURE_SHARE
    paid = np.where(slips, due + generator.integers(1, 7, n), on_time)
    failed = np.where(slips, due, NO_DAY)
    seen = due < days
    cannot = np.zeros(n, dtype=bool)
    cannot[seen] = company.path.trouble[account[seen], due[seen]]
    cleared = np.full(n, NO_DAY)
    cleared[seen] = _next_clear(company.path.trouble)[account[seen], due[seen]]
    # Once the service is cut off nobody pays any more.
    cleared = np.where(cleared < company.path.end.end_day[account], cleared, NO_DAY)
    return np.where(cannot, cleared, paid), np.where(cannot, due, failed)


def _reminded(due: NDArray[Any], paid: NDArray[Any]) -> NDArray[Any]:
    """Day of the reminder of invoices that were still open then; `NO_DAY` for the others."""
    is_open = (paid <= NO_DAY // 2) | (paid > due + _REMINDER_DAYS)
    return np.where(is_open, due + _REMINDER_DAYS, NO_DAY)


def _next_clear(trouble: NDArray[np.bool_]) -> NDArray[np.int64]:
    """First day from each day on without payment trouble, shape (n_accounts, n_days); `NEVER`: not
    in the span.
    """
    days = np.where(trouble, p.NEVER, np.arange(trouble.shape[1]))
    return np.asarray(np.minimum.accumulate(days[:, ::-1], axis=1)[:, ::-1])


def _corrections(table: pd.DataFrame, generator: np.random.Generator) -> pd.DataFrame:
    """Later versions with another amount."""
    wrong = generator.random(len(table)) < _CORRECTED_SHARE
    rows = table[wrong]
    later = pd.to_timedelta(generator.integers(3, 21, len(rows)), unit="D").astype(
        "timedelta64[us]"
    )
    return rows.assign(
        amount=(rows["amount"] * generator.choice([0.8, 0.9, 0.95, 1.1], len(rows))).round(2),
        known_at=rows["known_at"] + later,
    )


def _duplicates(table: pd.DataFrame, generator: np.random.Generator) -> pd.DataFrame:
    """Invoices sent twice; the copy is taken back some days later."""
    rows = table[generator.random(len(table)) < _DUPLICATE_SHARE]
    ids = rows["invoice_id"] + "D"
    never = np.datetime64("NaT", "us")
    copy = rows.assign(
        invoice_id=ids, row_key=ids, paid_at=never, failed_at=never, reminded_at=never
    )
    later = pd.to_timedelta(generator.integers(2, 7, len(rows)), unit="D").astype("timedelta64[us]")
    return pd.concat([copy, copy.assign(known_at=copy["known_at"] + later, is_deleted=True)])
