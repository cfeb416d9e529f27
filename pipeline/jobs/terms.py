"""Lengths of contract terms that a model has seen come to an end, and accounts on others."""

from collections import Counter
from collections.abc import Collection, Mapping

from features.terms import term_name
from models.labels import due_terms, labelled_terms
from models.targets import ENDS_OF_COVER
from pipeline.config.schema import Target
from pipeline.engine.duckdb import Connection, rows
from pipeline.engine.facts import source_facts
from pipeline.staging.staged import StagedSource
from pipeline.workspace import Workspace, label_source, target_rule

# Beside the choices of each source, as `_calendar` is.
TERMS, SEEN = "_terms", "seen"


def seen_terms(
    workspace: Workspace, connection: Connection, staged: Mapping[str, StagedSource], target: Target
) -> tuple[str, ...] | None:
    """Names of the lengths that ended inside a complete training label; None where terms do not
    decide the target.

    Reads the tables `snapshots` and `labels`.
    """
    if target.kind not in ENDS_OF_COVER:
        return None
    facts = source_facts(staged[label_source(workspace, target)], {})
    lengths = rows(connection, labelled_terms(target_rule(target), facts))
    return tuple(sorted({term_name(int(days)) for (days,) in lengths}))


def unseen_terms(
    workspace: Workspace,
    connection: Connection,
    staged: Mapping[str, StagedSource],
    target: Target,
    seen: Collection[str],
    *,
    snapshots: str = "snapshots",
    day: int,
) -> dict[str, str]:
    """Account -> name of its term, of the accounts whose term ends inside the label window and is
    of no length in `seen`.
    """
    facts = source_facts(staged[label_source(workspace, target)], {})
    due = rows(
        connection,
        f"select account_id, term_days from ({due_terms(target_rule(target), facts, snapshots)}) "
        f"where as_of_day = {day} order by 1",
    )
    named = {account: term_name(int(days)) for account, days in due}
    return {account: name for account, name in named.items() if name not in seen}


def unseen_reason(term: str) -> str:
    """What a score says in the place of a number."""
    return f"no {term} term ended in training"


def terms_words(unseen: Mapping[str, str]) -> str:
    """The lengths, the most frequent first.

    >>> terms_words({"a": "yearly", "b": "yearly", "c": "2-year"})
    'yearly, 2-year'
    """
    return ", ".join(
        name
        for name, _ in sorted(
            Counter(unseen.values()).items(), key=lambda pair: (-pair[1], pair[0])
        )
    )
