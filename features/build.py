"""From cards to one feature query: which cards a project's sources allow, compiled and joined.

Facts carry whole numbers only: days and microseconds since 1970, money in minor units. Signals of
dated facts come from `streams`, signals of state and attributes from `states`.
"""

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from features.automatic import ACTIVITY, automatic_cards
from features.catalogue import CARDS, RATIOS, SEASON, STATES
from features.definition import Card, DeclaredRatio, RatioCard, Signal, StateCard, signal_of
from features.errors import ConfigError
from features.facts import SourceFacts, SqlStep, words_step
from features.naming import capital, slug
from features.sql import identifier
from features.states import attribute_signals, state_signals
from features.streams import ACCOUNTS, ASKED, CELLS, stream_signals
from features.windows import cells


@dataclass(frozen=True)
class FeaturePlan:
    """Everything needed to build a feature table: steps in order, the last query, its signals."""

    steps: tuple[SqlStep, ...]
    query: str
    signals: tuple[Signal, ...]
    windows: Mapping[str, tuple[int, ...]]
    """Window lengths whose edges each source's dates table must hold."""


def _ratio_signals(
    cards: tuple[RatioCard, ...], columns: list[tuple[Signal, str]], taken: set[str]
) -> list[tuple[Signal, str]]:
    by_name = {signal.column: (signal, expression) for signal, expression in columns}
    signals = []
    for card in cards:
        if card.numerator in by_name and card.divisor in by_name:
            (top, above), (bottom, below) = by_name[card.numerator], by_name[card.divisor]
            definition = {"numerator": top.definition, "divisor": bottom.definition}
            taken.add(card.name)
            signals.append(
                (
                    signal_of(
                        card,
                        column=card.name,
                        driver=card.name,
                        source=top.source,
                        definition=definition,
                    ),
                    f"({above}) / nullif({below}, 0e0)",
                )
            )
    return signals


def _declared_cards(
    declared: tuple[DeclaredRatio, ...], columns: list[tuple[Signal, str]]
) -> tuple[RatioCard, ...]:
    """Cards of a project's own ratios, of whatever else is built."""
    built = {signal.column: signal for signal, _ in columns}
    taken = {*built, *(signal.column for signal, _ in SEASON), "account_id", "as_of", "as_of_day"}
    cards = []
    for ratio in declared:
        if ratio.name in taken:
            raise ConfigError(
                f'[[features.ratios]] name = "{ratio.name}" is the name of another signal; choose a'
                " name of its own (`tenure catalogue` lists those in use)."
            )
        taken.add(ratio.name)
        top, bottom = (_built(ratio, key, built) for key in ("numerator", "divisor"))
        spoken = f"{_words(top)} over {_words(bottom)}"
        cards.append(
            RatioCard(
                ratio.name,
                top.dimension,
                top.column,
                bottom.column,
                unit="number",
                worse=ratio.worse,
                phrase=ratio.phrase or f"{capital(spoken)} is {{value}}",
                meaning=f"{spoken}, as the project declares",
                nature="leading" if top.is_leading and bottom.is_leading else "lagging",
                reason=top.reason,
                reason_worse=top.bad_direction,
            )
        )
    return tuple(cards)


def _built(ratio: DeclaredRatio, key: str, built: Mapping[str, Signal]) -> Signal:
    column = getattr(ratio, key)
    if column not in built:
        near = difflib.get_close_matches(column, sorted(built), n=1, cutoff=0.0)
        raise ConfigError(
            f'[[features.ratios]] "{ratio.name}": {key} = "{column}" is no signal of this project;'
            " the nearest "
            f'is "{"".join(near)}". A ratio is of columns that the project\'s sources, windows'
            " and "
            "[features] off allow (`tenure catalogue`)."
        )
    return built[column]


def _words(signal: Signal) -> str:
    """`tickets opened in 28 days`, from a column's name."""
    if signal.window_days is None:
        return signal.column.replace("_", " ")
    return (
        f"{signal.column.removesuffix(f'_{signal.window_days}d').replace('_', ' ')} in"
        f" {signal.window_days} days"
    )


def plan_features(
    sources: list[SourceFacts],
    *,
    window_days: tuple[int, ...],
    off: frozenset[str] = frozenset(),
    season: bool = False,
    own_dates: bool = True,
    cards: tuple[Card, ...] | None = None,
    ratios: tuple[DeclaredRatio, ...] = (),
) -> FeaturePlan:
    """Compile every card whose source exists into one feature query.

    Parameters
    ----------
    off
        Names of cards, columns, dimensions or sources to leave out.
    season
        Whether the time of year is a signal.
    own_dates
        Whether accounts have dates of their own. False promises nothing but speed: where all
        accounts share a grid of dates, windows are added up for every account on every date. Values
        are the same.
    cards
        These alone, instead of the catalogue's and the automatic ones.
    ratios
        The project's own, of columns of the others.

    Returns
    -------
    FeaturePlan
        The query returns account_id, as_of_day and one double per signal, for each row of the
        table `snapshots` (account_id, as_of_day, partition_name). It reads, besides, `calendar`,
        one `dates_<source>` and one `facts_<source>` per source.

    Raises
    ------
    ConfigError
        A declared ratio is of a column that is not built, or has the name of one that is.
    """
    taken: set[str] = {"account_id", "as_of", "as_of_day"}
    steps: list[SqlStep] = []
    joins: list[str] = []
    crossed: list[str] = []
    streams: list[str] = []
    columns: list[tuple[Signal, str]] = []
    windows: dict[str, tuple[int, ...]] = {}
    for source in sources:
        if source.name in off:
            continue
        offered = (
            _cards_of(source, window_days)
            if cards is None
            else [c for c in cards if c.contract == source.contract.table]
        )
        chosen = [c for c in offered if not {c.name, c.dimension} & off]
        stream_steps, tables, stream_columns, needed = stream_signals(
            source, chosen, taken, own_dates=own_dates
        )
        states = [
            c
            for c in STATES
            if c.contract == source.contract.table and not {c.name, c.dimension} & off
        ]
        if cards is not None:
            states = []
        state_steps, state_columns = state_signals(source, states, taken)
        attribute_steps, attribute_columns = attribute_signals(source, taken)
        heard = words_step(source, _words_counted(source, chosen, states))
        if heard is not None:
            steps.append(heard)
            crossed.append(heard.name)
        steps += [*stream_steps, *state_steps, *attribute_steps]
        streams += tables
        joins += [*(s.name for s in state_steps), *(s.name for s in attribute_steps)]
        columns += [*stream_columns, *state_columns, *attribute_columns]
        windows[source.name] = tuple(sorted(needed))
    columns += _ratio_signals(RATIOS, columns, taken)
    columns += _ratio_signals(_declared_cards(ratios, columns), columns, taken)
    columns += SEASON if season else ()
    columns = [(signal, expression) for signal, expression in columns if signal.column not in off]
    query = _last_query(columns, joins, streams, list(windows), crossed)
    return FeaturePlan(
        (*_first_steps(windows), *steps), query, tuple(s for s, _ in columns), windows
    )


def _words_counted(
    source: SourceFacts, cards: list[Card], states: list[StateCard]
) -> Iterator[tuple[str | None, tuple[str, ...]]]:
    """Column and words of every card that counts facts of some words only."""
    kinds = {stream.name: stream.kind for stream in source.contract.streams}
    yield from ((kinds[c.stream], c.measure.kinds) for c in cards)
    yield from (c.words_of for c in states)


def _first_steps(windows: Mapping[str, tuple[int, ...]]) -> tuple[SqlStep, ...]:
    """What every stream joins: numbered accounts, the snapshots with that number, bins of each
    date.
    """
    lengths = {w for needed in windows.values() for w in needed}
    accounts = (
        "select a.account_id, cast(row_number() over (order by a.account_id) as integer) as"
        " account_no\nfrom (select distinct account_id from snapshots) a"
    )
    snapshots = (
        "select s.account_id, a.account_no, s.as_of_day, s.partition_name\n"
        f"from snapshots s join {ACCOUNTS} a on a.account_id = s.account_id"
    )
    # A change over a window reads the one before it, and so the window of twice its length.
    before = {w for w in lengths if 2 * w in lengths}
    return (
        SqlStep(ACCOUNTS, accounts),
        SqlStep(ASKED, snapshots),
        SqlStep(CELLS, cells(lengths, before)),
    )


def _cards_of(source: SourceFacts, window_days: tuple[int, ...]) -> list[Card]:
    written = [c for c in CARDS if c.contract == source.contract.table]
    if source.contract.table not in ACTIVITY:
        return written
    numbers = [
        n for n in ("quantity",) if n in source.mapped and source.contract.table == "usage_events"
    ]
    return [
        *written,
        *automatic_cards(
            source.contract, source.kinds, (*numbers, *source.extra_numbers), window_days
        ),
    ]


def _last_query(
    columns: list[tuple[Signal, str]],
    joins: list[str],
    streams: list[str],
    sources: list[str],
    crossed: list[str],
) -> str:
    chosen = ",\n  ".join(
        f"{expression} as {identifier(signal.column)}" for signal, expression in columns
    )
    dates = "\n".join(
        f"left join dates_{slug(s)} on dates_{slug(s)}.as_of_day = s.as_of_day "
        f"and dates_{slug(s)}.partition_name = s.partition_name"
        for s in sources
    )
    keys = {**dict.fromkeys(streams, "account_no"), **dict.fromkeys(joins, "account_id")}
    tables = "\n".join(
        f"left join {t} on {t}.{key} = s.{key} and {t}.as_of_day = s.as_of_day"
        for t, key in keys.items()
    )
    alone = "\n".join(f"cross join {t}" for t in crossed)
    return (
        f"select s.account_id, s.as_of_day,\n  {chosen}\nfrom {ASKED} s\n{alone}\n{dates}\n{tables}"
    )
