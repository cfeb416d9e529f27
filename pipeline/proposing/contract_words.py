"""`tenure init --contract`: every wanted table in words, with a SELECT to paste."""

from collections.abc import Iterator

from features.sources import COMMON, CONTRACTS, Column, Contract

TYPE_WORDS = {
    "text": "text",
    "time": "timestamp",
    "money": "decimal",
    "number": "number",
    "flag": "boolean",
}


def contract_text() -> str:
    """Every contract: its columns with type, whether required, meaning and clock; then a SELECT."""
    head = [
        (
            "The tables tenure reads. Only an account key and one dated source are required; every"
            " other table adds signals."
        ),
        "Every table may also have:",
        *(_column_line(c) for c in COMMON),
    ]
    return (
        "\n\n".join(["\n".join(head), *("\n".join(_contract_lines(c)) for c in CONTRACTS.values())])
        + "\n"
    )


def _contract_lines(contract: Contract) -> Iterator[str]:
    yield f"{contract.table}: {contract.meaning}"
    yield from (_column_line(c) for c in contract.columns)
    yield ""
    yield from _select(contract)


def _column_line(column: Column) -> str:
    need = "required" if column.required else ""
    clock = f" [known at {column.clock}]" if column.clock else ""
    unit = f" ({column.unit})" if column.unit else ""
    return (
        f"  {column.name:<18} {TYPE_WORDS[column.type]:<10} {need:<9} {column.meaning}{unit}{clock}"
    )


def _select(contract: Contract) -> Iterator[str]:
    """A SELECT to adapt: NULL columns can be left out, the names are ours."""
    wanted = [
        next(c for c in COMMON if c.name == "account_id"),
        *contract.columns,
        next(c for c in COMMON if c.name == "known_at"),
    ]
    yield "  select"
    for index, column in enumerate(wanted):
        comma = "," if index < len(wanted) - 1 else ""
        note = "required" if column.required else "or leave out"
        yield f"    YOUR_COLUMN as {column.name}{comma}  -- {TYPE_WORDS[column.type]}, {note}"
    yield f"  from YOUR_TABLE  -- {contract.meaning}"
