"""A definition of the business is written in one module; everybody else asks that module."""

import ast
import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# What is defined -> its one home, and how a second copy would be recognised.
DEFINITIONS = {
    "a paid term": (
        "features/sources/subscriptions.py",
        r"\bis_trial is null|\bnot (.+\.)?is_trial",
    ),
    "the newest version of a row": ("features/windows.py", r"\bknown_until(_day)? is null"),
    "no later version by a day": ("features/windows.py", r"\bknown_until_day >="),
    "an end that never comes": ("features/windows.py", r"^9000000000000000000$"),
    "microseconds of a day": ("features/windows.py", r"86400000000$"),
    "an event of the outcomes log": ("models/labels.py", r"\bkind in \("),
    "name of a prepared table": ("features/naming.py", r"^facts_\{\}$"),
    "no published run": ("pipeline/ledger.py", r"has no published run\. "),
}


@cache
def texts(path: Path) -> list[str]:
    """Every text and whole number of a module but its docstrings; {} for what an f-string fills."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)
    }
    return [
        _text(node)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant | ast.JoinedStr) and id(node) not in docstrings
    ]


def _text(node: ast.Constant | ast.JoinedStr) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    return "".join(str(v.value) if isinstance(v, ast.Constant) else "{}" for v in node.values)


@pytest.mark.parametrize("name", DEFINITIONS)
def test_a_definition_has_one_home(name: str) -> None:
    home, copy = DEFINITIONS[name]
    homes = {
        path.relative_to(ROOT).as_posix()
        for package in ("features", "models", "pipeline")
        for path in (ROOT / package).rglob("*.py")
        if any(re.search(copy, text) for text in texts(path))
    }
    assert homes == {home}, f"{name} is written outside {home}; call the function there"


def test_a_class_name_has_one_meaning() -> None:
    """Also for private classes: who reads `Scored` twice must not have to ask which."""
    named = Counter(
        node.name.lstrip("_")
        for package in ("features", "models", "pipeline")
        for path in (ROOT / package).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
    )
    assert [name for name, count in named.items() if count > 1] == []
