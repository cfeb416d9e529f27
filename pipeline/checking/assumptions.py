"""What no table can show, and every score rests on: said per column on the model card."""

from collections.abc import Iterator, Mapping

from pipeline.checking.leaks import unclocked_columns
from pipeline.staging.staged import StagedSource


def assumptions(staged: Mapping[str, StagedSource]) -> tuple[str, ...]:
    """A sentence per source whose values are taken as known when their row happened.

    History that was rewritten near a departure looks like history where the rewriting left no
    trace: a value changed in hindsight, rows deleted for data protection, a total stamped early.
    """
    return tuple(sentence for source in staged.values() for sentence in _of_source(source))


def _of_source(source: StagedSource) -> Iterator[str]:
    columns = unclocked_columns(source)
    if source.contract.table == "accounts" and not source.is_mapped("valid_from"):
        if columns:
            yield (
                f"{_listed(columns)} of {source.name} are declared never to change: nobody filled"
                " them in, or changed them, when an account left."
            )
        return
    if source.has_known_at or source.contract.event_time is None or not source.settings.features:
        return
    delay, event = source.settings.delay_days, source.contract.event_time
    since = f"{delay:g} days after {event}" if delay else str(event)
    what = f"{_listed(columns)} of its rows" if columns else "its rows"
    yield (
        f"known_at is assumed for {source.name}: {what} are taken as known from {since} on. That"
        " is right only if nobody changed them later or deleted any when an account left."
    )


def _listed(names: tuple[str, ...]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
