"""What a project maps is used: each column of a contract is read by something that people see."""

import ast
import re
from pathlib import Path

import pytest

from features.sources import CONTRACTS
from features.sources.contract import Contract, MinutesBetween

ROOT = Path(__file__).parents[2]
READERS = ("features", "models", "pipeline/jobs", "pipeline/staging")
"""Rooms that make signals, labels and pages of columns; `check` and `init` look at columns without
using what they say.
"""

NAMES_OF_ROWS = {"subscription_id", "invoice_id", "ticket_id"}
"""They tell the rows of a source apart, and say nothing of an account."""


def strings_of(tree: ast.Module) -> list[str]:
    """Strings of a module, without docstrings and without the contract it declares."""
    body = [
        node
        for node in tree.body
        if not (isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "CONTRACT")
    ]
    nodes = [node for statement in body for node in ast.walk(statement)]
    only_said = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    return [
        node.value
        for node in nodes
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and id(node) not in only_said
    ]


@pytest.fixture(scope="module")
def words_read() -> set[str]:
    """Every word of the strings (SQL, names of columns) in the rooms that read columns."""
    files = [file for room in READERS for file in sorted((ROOT / room).rglob("*.py"))]
    texts = [text for file in files for text in strings_of(ast.parse(file.read_text("utf-8")))]
    return set(re.findall(r"\w+", " ".join(texts)))


def read_by_itself(contract: Contract) -> set[str]:
    """What a contract itself says about its rows: when, whose version, which facts they yield."""
    names = {contract.event_time, *contract.row_key}
    names |= {column.clock for column in contract.columns}
    for stream in contract.streams:
        names |= {stream.event_time, stream.kind, stream.user}
        for number in stream.numbers:
            is_between = isinstance(number, MinutesBetween)
            names |= {number.start, number.end} if is_between else {number}
    return {name for name in names if name}


@pytest.mark.parametrize("contract", CONTRACTS.values(), ids=lambda contract: contract.table)
def test_every_column_of_a_contract_is_read(contract: Contract, words_read: set[str]) -> None:
    columns = {column.name for column in contract.columns} - NAMES_OF_ROWS
    unread = columns - words_read - read_by_itself(contract)
    assert not unread, f"{contract.table} asks for columns that nothing reads: {sorted(unread)}"
