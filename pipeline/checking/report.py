"""What a check found: facts per source, questions with figures, leavers per date."""

from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from typing import Any, Literal

Severity = Literal["stop", "warn", "info"]
SEVERITIES: tuple[Severity, ...] = ("stop", "warn", "info")


@dataclass(frozen=True)
class Finding:
    """One question, answered with a figure.

    Attributes
    ----------
    name
        Stable, in hyphens (`tickets-before-sign-up`); what `[checks] accept` names.
    severity
        stop: training is refused; warn: look at it; info: good to know.
    source
        Name of the source it is about; empty: of several.
    what, todo
        A sentence on what was found, and one on the next step.
    count, total
        Rows, accounts or columns concerned, of how many; None where there is nothing to count.
    examples
        A few ids or names; of a leak the rows that show it, with both times.
    column, clock
        Of a leak: the column that tells too much, and the time column that says when it became
        known.
    """

    name: str
    severity: Severity
    source: str
    what: str
    todo: str
    count: int | None = None
    total: int | None = None
    unit: str = "rows"
    examples: tuple[str, ...] = ()
    column: str = ""
    clock: str = ""

    @property
    def share(self) -> float | None:
        """count / total, 0-1."""
        return self.count / self.total if self.count is not None and self.total else None

    @property
    def keys(self) -> tuple[str, str]:
        """The names a waiver may use: the finding's, or with its source."""
        return self.name, f"{self.name}/{self.source}"


@dataclass(frozen=True)
class SourceCheck:
    """Facts of one source.

    Attributes
    ----------
    bad_examples
        (reason, value) pairs out of quarantine.
    age_days
        Days from the newest known row to the end of all data; None where no row is dated.
    own_clocks
        Mapped column -> the time column that says when it became known.
    accounts, covered, covered_of
        Distinct accounts in the source; how many of `covered_of` they are: the accounts table, or
        all sources' ids.
    """

    name: str
    contract: str
    rows_read: int
    rows_staged: int
    rows_left_out: dict[str, int]
    rows_bad: dict[str, int]
    bad_examples: tuple[tuple[str, str], ...]
    first_event: datetime | None
    last_event: datetime | None
    newest_known: datetime | None
    age_days: int | None
    data_until: dict[str, date]
    has_known_at: bool
    delay_days: float
    own_clocks: dict[str, str]
    accounts: int
    covered: int
    covered_of: int
    notes: tuple[str, ...] = ()

    @property
    def covered_share(self) -> float | None:
        """Share of accounts with at least one row here, 0-1."""
        return self.covered / self.covered_of if self.covered_of else None


@dataclass(frozen=True)
class DateCount:
    """One date (or month, where each account has its own date) a target is asked on."""

    period: str
    is_test: bool
    asked: int
    labelled: int
    leavers: int


@dataclass(frozen=True)
class FoldCount:
    """One validation block: its dates, distinct leavers, and half the width of a 95% interval of
    AUC there.
    """

    first: date
    last: date
    leavers: int
    auc_half_width: float | None


@dataclass(frozen=True)
class CheckReport:
    """Everything `tenure check` says.

    Attributes
    ----------
    accepted
        Waivers of `[checks] accept`: finding -> reason.
    past
        What accounts with the event did: `left`, `grew`.
    folds
        The validation blocks that training will cut.
    test_leavers, auc_half_width
        Distinct accounts with the event in the test, and half the width of the 95% interval that an
        AUC of 0.75 would have with them; None where there are no labels.
    """

    project: str
    target: str
    accounts_of: str
    data_end: date
    sources: tuple[SourceCheck, ...]
    findings: tuple[Finding, ...]
    dates: tuple[DateCount, ...]
    folds: tuple[FoldCount, ...] = ()
    past: str = "left"
    test_leavers: int | None = None
    auc_half_width: float | None = None
    accepted: dict[str, str] = field(default_factory=dict)

    @property
    def stops(self) -> tuple[Finding, ...]:
        """Findings that refuse training and were not accepted with a reason."""
        return tuple(f for f in self.findings if f.severity == "stop" and self.waiver(f) is None)

    def waiver(self, finding: Finding) -> str | None:
        """The reason a finding was accepted for, or None."""
        return next((self.accepted[key] for key in finding.keys if key in self.accepted), None)

    def finding(self, name: str, source: str | None = None) -> Finding | None:
        """The first finding of that name (and source), or None."""
        return next(
            (f for f in self.findings if f.name == name and source in (None, f.source)), None
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; dates as ISO text."""
        return {
            "project": self.project,
            "target": self.target,
            "data_end": self.data_end.isoformat(),
            "accounts_of": self.accounts_of,
            "sources": [
                {**_plain(asdict(s)), "covered_share": s.covered_share} for s in self.sources
            ],
            "findings": [
                {**_plain(asdict(f)), "share": f.share, "accepted": self.waiver(f)}
                for f in self.findings
            ],
            "dates": [asdict(d) for d in self.dates],
            "folds": [_plain(asdict(f)) for f in self.folds],
            "test_leavers": self.test_leavers,
            "auc_half_width": self.auc_half_width,
            "refused": [f.name for f in self.stops],
        }


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value.isoformat() if isinstance(value, date) else value
