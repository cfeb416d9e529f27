"""Signals of state: what a ticket, a term, an invoice or an account is at a date, as it was known
then.
"""

from dataclasses import replace
from hashlib import sha256
from typing import Any

from features.definition import ONE_HOT_UP_TO, Signal, StateCard, signal_of
from features.facts import SourceFacts, SqlStep, as_known, both, finish, words_guard
from features.naming import capital, column_name, slug
from features.sql import literal
from features.state_rows import state_rows
from features.windows import edge_column, happened

# Attributes that are said after their value, as in "Food industry".
_KINDS_OF_ACCOUNTS = ("industry", "sector", "segment", "region", "plan", "tier")


def state_signals(
    source: SourceFacts, cards: list[StateCard], taken: set[str]
) -> tuple[list[SqlStep], list[tuple[Signal, str]]]:
    """The steps of a table's states, one per kind of rows, and its (signal, expression) pairs."""
    chosen = [c for c in cards if set(c.needs) <= source.mapped and _is_beside(c, source, taken)]
    steps: list[SqlStep] = []
    columns: list[tuple[Signal, str]] = []
    for rows_name in dict.fromkeys(c.rows for c in chosen):
        rows = state_rows(rows_name, source)
        if rows is None:
            continue
        table = f"state_{rows_name}_{slug(source.name)}"
        mine = [c for c in chosen if c.rows == rows_name]
        joined = ",\n  ".join(f"{c.expression} as {_alias(c)}" for c in mine)
        select = f"select t.account_id, t.as_of_day,\n  {joined}\nfrom ({rows}) t\ngroup by 1, 2"
        steps.append(SqlStep(table, select))
        columns += [_state(source, card, table, taken) for card in mine]
    return steps, columns


def _is_beside(card: StateCard, source: SourceFacts, taken: set[str]) -> bool:
    """Whether the card it leans on for its window is built."""
    return not card.beside or _column(source, card.beside, card.window_days) in taken


def _alias(card: StateCard) -> str:
    """Its name among the states of the same rows."""
    return card.name if card.window_days is None else f"{card.name}_{card.window_days}d"


def _column(source: SourceFacts, name: str, window: int | None) -> str:
    return column_name(source.name, source.contract.table, name, window)


def _state(source: SourceFacts, card: StateCard, table: str, taken: set[str]) -> tuple[Signal, str]:
    """One card as a signal, and its expression over the table of its rows."""
    name = column_name(source.name, source.contract.table, card.name, card.window_days, taken)
    taken.add(name)
    scale = float(source.unit(card.scale_of or ""))
    dates = f"dates_{slug(source.name)}"
    edge = edge_column(int(card.window_days or 0)) if card.beside else "begun"
    guard = both(f"{dates}.{edge}", words_guard(source, *card.words_of))
    expression = finish(
        f"{table}.{_alias(card)}", scale=scale, when_empty=card.when_empty, guard=guard
    )
    definition: dict[str, Any] = {
        "source": source.name,
        "contract": source.contract.table,
        "state": card.expression,
        "clocks": {k: v for k, v in sorted(source.clocks.items())},
    }
    if card.rows != "as_known":
        # The rows hold the project's own lists (key features, the pace of those who stayed): values
        # depend on them, and not on where the query breaks its lines.
        query = " ".join(str(state_rows(card.rows, source)).split())
        definition["rows"] = sha256(query.encode()).hexdigest()[:16]
    driver = card.driver or (_column(source, card.name, None) if card.window_days else name)
    return (
        signal_of(
            card,
            column=name,
            driver=driver,
            source=source.name,
            definition=definition,
            window_days=card.window_days,
        ),
        expression,
    )


def _fact(attribute: str, value: str) -> str:
    """`Food industry`, `Country: DE`: a fact of an account, as people state it."""
    if attribute.lower() in _KINDS_OF_ACCOUNTS:
        return f"{capital(value)} {attribute.lower()}"
    return f"{attribute}: {value}"


def attribute_signals(
    source: SourceFacts, taken: set[str]
) -> tuple[list[SqlStep], list[tuple[Signal, str]]]:
    """Attributes read as of the date: numbers as they are, categories by their frozen values."""
    if not source.attributes:
        return [], []
    table = f"attributes_{slug(source.name)}"
    event = source.contract.event_time
    has_history = event in source.mapped
    # Nulls are placed by name: engines differ in where they put them.
    order = f"t.{event} desc nulls last, " if has_history else ""
    ties = ", ".join(f"t.{a} nulls last" for a in source.attributes)
    chosen = ", ".join(f"t.{a}" for a in source.attributes)
    # A plan that was agreed but begins later is not the plan yet.
    begun = f"where t.{event} is null or {happened('t', str(event))}" if has_history else ""
    extras = "".join(f", r.{a}" for a in source.attributes if source.contract.column(a) is None)
    rows = as_known(source).replace(
        "\n  from snapshots", f"{extras}, r.known_from\n  from snapshots", 1
    )
    select = f"""
select r.account_id, r.as_of_day, {", ".join(f"r.{a}" for a in source.attributes)}
from (
  select t.account_id, t.as_of_day, {chosen}, row_number() over (
    partition by t.account_id, t.as_of_day order by {order}t.known_from desc, {ties}) as position
  from ({rows}) t {begun}
) r
where r.position = 1"""
    columns: list[tuple[Signal, str]] = []
    for attribute in source.attributes:
        columns += _attribute_columns(source, table, attribute, taken)
    return [SqlStep(table, select)], columns


def _attribute_columns(
    source: SourceFacts, table: str, attribute: str, taken: set[str]
) -> list[tuple[Signal, str]]:
    value, spoken = f"{table}.{attribute}", capital(attribute.replace("_", " "))
    driver = column_name(source.name, source.contract.table, attribute, None)
    base = Signal(
        column="",
        driver=driver,
        dimension="contract",
        source=source.name,
        meaning=f"attribute {attribute}",
        unit="attribute",
        nature="standing",
        phrase=f"{spoken}: {{value}}",
        missing=f"{spoken} is not known",
    )

    def signal(name: str, **changes: object) -> Signal:
        column = column_name(source.name, source.contract.table, name, None, taken)
        taken.add(column)
        definition = {
            "source": source.name,
            "attribute": attribute,
            **changes.pop("definition", {}),  # type: ignore[dict-item]
        }
        return replace(base, column=column, definition=definition, **changes)  # type: ignore[arg-type]

    if attribute not in source.categories:
        decimals = source.decimals.get(attribute, 0)
        number = finish(value, scale=float(10**decimals), when_empty=None, guard=None)
        return [(signal(slug(attribute), unit="number", definition={"decimals": decimals}), number)]
    seen = source.categories[attribute]
    if len(seen) <= ONE_HOT_UP_TO:
        known_values = ", ".join(literal(v) for v in seen)
        return [
            (
                signal(
                    f"{slug(attribute)}_is_{slug(v)}",
                    unit="yes",
                    phrase=_fact(spoken, v),
                    said_at={"0": f"{spoken} other than {v}"},
                    meaning=f"1 where {attribute} is {v}",
                    definition={"category": v, "seen": list(seen)},
                ),
                (
                    f"cast(case when {value} in ({known_values}) then case when {value} ="
                    f" {literal(v)} then 1 else 0 end end as double)"
                ),
            )
            for v in seen
        ]
    codes = " ".join(f"when {literal(v)} then {position}" for position, v in enumerate(seen, 1))
    return [
        (
            signal(
                f"{slug(attribute)}_rank",
                unit="rank",
                phrase=f"{spoken}: number {{value}} by frequency among customers",
                meaning=f"frequency rank of {attribute}, 1 is the commonest",
                definition={"seen": list(seen)},
            ),
            f"cast(case {value} {codes} end as double)",
        )
    ]
