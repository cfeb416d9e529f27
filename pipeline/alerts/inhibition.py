"""What the operator is told, once, instead of everybody whose score it moved.

==================  ===========================================================================
cause               what happens to alerts of accounts
==================  ===========================================================================
stale source        rules that rest on it wait; the next good run is compared with the last one
                    that could be trusted, so that what really happened is told then. A source with
                    rows on few days holds no rule about the score up
new model, level    the path does not move: only behaviour fires
or scale
new settings        as for a model; facts that are true now are not news
late data           the path does not move
watching begins     nothing is told: there is no run to compare with
refused run         nothing was published, so nothing is read
==================  ===========================================================================
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pipeline.alerts.episodes import BY_DATA, CLOSED, OPEN, OPERATOR, Alert, RunFacts, alert_id_of

STALE, CHANGED, LATE, BEGAN, REFUSED, NOT_SPLIT = (
    "stale source",
    "changed",
    "late data",
    "watching begins",
    "refused run",
    "not split",
)
LASTING = (STALE, REFUSED)
"""What goes on until the data end it; the others are said once."""
MOVED_SHARE = 0.05
"""Late data are worth a message from this share of accounts on, or where they raised an alert."""


@dataclass(frozen=True)
class Trust:
    """What speaks against reading the scores of a run as news.

    Attributes
    ----------
    stale
        Source -> what is wrong with it, in words.
    markers
        What else changed since the run before (`pipeline.ledger.markers`).
    is_first
        No run was evaluated before.
    not_split
        Why the difference could not be split into causes; empty where it was.
    score_is_whole
        No source that the score rests on is stale.
    accounts, moved_by_data
        Accounts of the run, and those that late or corrected rows moved by a point or more.
    """

    stale: Mapping[str, str]
    markers: tuple[str, ...] = ()
    is_first: bool = False
    not_split: str = ""
    score_is_whole: bool = True
    accounts: int = 0
    moved_by_data: int = 0

    @property
    def is_trusted(self) -> bool:
        """Whether the next run may be compared with this one."""
        return self.score_is_whole and not self.not_split

    @property
    def has_new_settings(self) -> bool:
        """Whether facts may be true because of what tenure.toml says now."""
        return any(each.startswith("configuration") for each in self.markers)


def operator_alerts(
    history: Sequence[Alert], trust: Trust, night: RunFacts, *, operator: str, silenced: int
) -> tuple[Alert, ...]:
    """Rows about feeds and models: new alerts, at most one about sources and one about what moved
    the scores, and those that are over.

    Parameters
    ----------
    silenced
        Accounts whose displayed score would have raised an alert tonight and did not.
    """
    current = {a.alert_id: a for a in history if a.kind == OPERATOR}
    active = [alert for alert in current.values() if alert.is_active]
    over = [alert for alert in active if not _goes_on(alert, trust)]
    rows = [_closed(alert, night) for alert in over]
    going_on = [alert for alert in active if alert not in over]
    covered = {s for alert in going_on for s in alert.evidence.get("sources", ())}
    stale = {name: words for name, words in trust.stale.items() if name not in covered}
    messages = [_of_stale(trust, stale, silenced)]
    if trust.score_is_whole:
        messages.append(_of_cause(trust, silenced))
    for message in messages:
        if message is None:
            continue
        rule, words = message
        evidence = {"sources": sorted(stale) if rule == STALE else [], "silenced": silenced}
        alert = operator_alert(night, operator, rule, words, evidence)
        if alert.alert_id not in current:
            rows.append(alert)
    return tuple(rows)


def refusal(
    history: Sequence[Alert], night: RunFacts, *, operator: str, words: str
) -> tuple[Alert, ...]:
    """The one alert about runs that are refused, until one is published again."""
    current = {a.alert_id: a for a in history if a.kind == OPERATOR}
    if any(alert.is_active and alert.rule == REFUSED for alert in current.values()):
        return ()
    return (operator_alert(night, operator, REFUSED, words, {}),)


def operator_alert(
    night: RunFacts, operator: str, rule: str, words: str, evidence: Mapping[str, object]
) -> Alert:
    """An alert that no account caused; it is told at once and counts in no budget."""
    # Two runs of one date may each have their own news; an outage is one, whatever runs see it.
    about = "" if rule in LASTING else night.run_id
    return Alert(
        alert_id=alert_id_of(night.target, about, rule, night.day),
        target=night.target,
        account_id="",
        name="",
        rule=rule,
        kind=OPERATOR,
        episode=night.day,
        state=OPEN,
        owner=operator,
        reason=words,
        evidence=dict(evidence),
        value_at_risk=None,
        currency="",
        play="",
        due=None,
        as_of=night.day,
        run_id=night.run_id,
        by=BY_DATA,
        note="",
        until=None,
        told_on=night.day,
        telling=1,
        recorded_at=night.now,
    )


def _goes_on(alert: Alert, trust: Trust) -> bool:
    return alert.rule == STALE and bool(set(alert.evidence.get("sources", ())) & set(trust.stale))


def _closed(alert: Alert, night: RunFacts) -> Alert:
    note = "rows arrive again" if alert.rule == STALE else ""
    return replace(
        alert,
        state=CLOSED,
        note=note,
        by=BY_DATA,
        as_of=night.day,
        run_id=night.run_id,
        recorded_at=night.now,
    )


def _of_stale(trust: Trust, stale: Mapping[str, str], silenced: int) -> tuple[str, str] | None:
    """Rule and words about sources that were not stale before."""
    if not stale:
        return None
    sources = "; ".join(f"{name}: {words}" for name, words in stale.items())
    if trust.score_is_whole:
        return STALE, (
            f"{sources}. The score is read all the same: no night rests on it. Look whether rows"
            " are missing."
        )
    return STALE, (
        f"{sources}. Rules that rest on it wait until it is whole again.{_instead(silenced)} Load"
        " the missing rows and run again."
    )


def _of_cause(trust: Trust, silenced: int) -> tuple[str, str] | None:
    """Rule and words about what moved scores, where no customer did."""
    if trust.not_split:
        return NOT_SPLIT, (
            f"why scores moved cannot be told: {trust.not_split}. No alert is raised from the score"
            f" of this run.{_instead(silenced)}"
        )
    if trust.is_first:
        return BEGAN, (
            f"watching begins. {silenced} accounts are at risk already; the worklist lists them."
            " From the next run on their owners are told what changes."
        )
    if trust.markers:
        return CHANGED, (
            f"not the customers but the method changed: {', '.join(trust.markers)}."
            f"{_instead(silenced)}"
        )
    if trust.moved_by_data and (
        silenced or trust.moved_by_data >= MOVED_SHARE * max(1, trust.accounts)
    ):
        return LATE, (
            f"late or corrected rows moved {trust.moved_by_data:,} of {trust.accounts:,} scores by"
            f" a point or more.{_instead(silenced)}"
        )
    return None


def _instead(silenced: int) -> str:
    if not silenced:
        return ""
    who = "1 account" if silenced == 1 else f"{silenced:,} accounts"
    return f" {who} moved far enough for an alert, and none was raised for that."
