"""What is kept of accounts: every table of the store, where it names an account, and with what its
rows go.

`forget`, withheld consent and the retention period (`pipeline/jobs/privacy.py`) walk this table and
nothing else; a test holds every table that is written to it.
"""

from dataclasses import dataclass
from fnmatch import fnmatchcase

ACCOUNT = "account_id"


@dataclass(frozen=True)
class Kept:
    """One table, or all whose names match.

    Attributes
    ----------
    accounts
        Columns that say whose row it is: with the account the row goes.
    mentions
        Columns in which a row of another account may name it: there the value goes.
    texts
        Columns of raw rows as text: a row that names the account anywhere goes.
    runs
        Columns with the run that a row belongs to: with the run the row goes.
    dated
        The date a row speaks about, where rows of a run, or of none, speak about earlier dates too.
    is_replayed
        Whether `replay` and `changes` read its earlier versions.
    is_cache
        Whether it is only there to save time: it goes whole.
    """

    table: str
    accounts: tuple[str, ...] = ()
    mentions: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()
    dated: str | None = None
    is_replayed: bool = False
    is_cache: bool = False

    @property
    def names_accounts(self) -> bool:
        """Whether a row of it may name an account."""
        return bool(self.accounts or self.mentions or self.texts or self.is_cache)


_WHOSE, _RUN = (ACCOUNT,), ("run_id",)

KEPT: tuple[Kept, ...] = (
    # What staging keeps. `staged_sources` quotes values in its notes.
    Kept("staged_sources", texts=("facts",), is_replayed=True),
    Kept("staged_inputs", is_cache=True),
    Kept(
        "staged_*",
        accounts=_WHOSE,
        mentions=("parent_account_id", "merged_into"),
        is_replayed=True,
    ),
    Kept("families", accounts=_WHOSE, mentions=("root_id",)),
    Kept("quarantine", texts=("value", "row")),
    Kept("judged_texts", is_cache=True),
    # Published under a run.
    Kept("features_scored_*", accounts=_WHOSE, runs=_RUN),
    Kept("scores", accounts=_WHOSE, runs=_RUN),
    Kept("drivers", accounts=_WHOSE, runs=_RUN),
    Kept("portfolio", accounts=_WHOSE, runs=_RUN),
    Kept("horizons", accounts=_WHOSE, runs=_RUN),
    Kept("remaining_value", accounts=_WHOSE, runs=_RUN),
    Kept("renewals", accounts=_WHOSE, runs=_RUN),
    Kept("renewal_forecast", runs=_RUN),
    Kept("trajectory", accounts=_WHOSE, runs=_RUN),
    Kept("trajectory_checks", runs=_RUN),
    Kept("past_scores", accounts=_WHOSE, runs=_RUN, dated="as_of"),
    Kept("night_steps", runs=_RUN),
    Kept("monitor", runs=_RUN),
    Kept("shadow", accounts=_WHOSE, runs=_RUN),
    Kept("provisional_scores", accounts=_WHOSE),
    Kept("assignments", accounts=_WHOSE, runs=_RUN),
    Kept("changes", accounts=_WHOSE, runs=("from_run", "to_run")),
    Kept("alerts", accounts=_WHOSE, runs=_RUN),
    Kept("deliveries", accounts=_WHOSE),
    Kept("alert_watch", accounts=_WHOSE, runs=_RUN),
    # Of the day on which `metrics` was asked.
    Kept("first_value", accounts=_WHOSE, dated="as_of"),
    Kept("stuck", accounts=_WHOSE, dated="as_of"),
    # Made anew from the sources: they reach back as far as the sources do.
    Kept("snapshots", accounts=_WHOSE),
    Kept("labels", accounts=_WHOSE),
    Kept("features_*", accounts=_WHOSE),
    Kept("backtest", accounts=_WHOSE),
    Kept("past_log_odds", accounts=_WHOSE, is_cache=True),
    # They name no account.
    Kept("artefacts"),
    Kept("bench"),
    Kept("configurations"),
    Kept("effects"),
    Kept("evaluations"),
    Kept("feature_sets"),
    Kept("metrics"),
    Kept("monitor_bins"),
    Kept("runs"),
    Kept("signal_links"),
)
"""The first that matches counts."""
INBOX_KEPT = Kept("inbox", accounts=_WHOSE, texts=("note", "refused"), dated="at")
"""What people told on the dashboard, in a file beside the page files: an account's entries go with
it, of other entries the note that names it; entries of dates that are not kept any more go, too.
"""


def kept_as(table: str, columns: tuple[str, ...]) -> Kept:
    """How a table is kept. One that nobody declared, of another release, goes by its columns.

    >>> kept_as("staged_invoices", ("account_id",)).is_replayed
    True
    >>> kept_as("of_another_release", ("account_id", "run_id")).runs
    ('run_id',)
    """
    for kept in KEPT:
        if fnmatchcase(table, kept.table):
            return kept
    return Kept(
        table,
        accounts=tuple(name for name in (ACCOUNT,) if name in columns),
        runs=tuple(name for name in ("run_id",) if name in columns),
    )
