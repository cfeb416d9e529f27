"""A definition is written in one module; everybody else asks that module."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("features", "models", "pipeline")
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
def modules() -> dict[str, ast.Module]:
    return {
        path.relative_to(ROOT).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*.py"))
    }


def nodes() -> Iterator[tuple[str, ast.AST]]:
    for path, tree in modules().items():
        for node in ast.walk(tree):
            yield path, node


@cache
def texts(path: str) -> list[str]:
    """Every text and whole number of a module but its docstrings; {} for what an f-string fills."""
    tree = modules()[path]
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
    homes = {path for path in modules() if any(re.search(copy, text) for text in texts(path))}
    assert homes == {home}, f"{name} is written outside {home}; call the function there"


def test_a_class_name_has_one_meaning() -> None:
    """Also for private classes: who reads `Scored` twice must not have to ask which."""
    named = Counter(node.name.lstrip("_") for _, node in nodes() if isinstance(node, ast.ClassDef))
    assert [name for name, count in named.items() if count > 1] == []


def test_one_module_minimises() -> None:
    homes = {
        path
        for path, node in nodes()
        if isinstance(node, ast.ImportFrom)
        and (node.module or "").partition(".")[0] == "scipy"
        and "minimize" in {each.name for each in node.names}
    }
    assert homes == {"models/methods/penalised.py"}


def constants() -> Iterator[tuple[str, str, object]]:
    """Name, module and value of every constant of a module."""
    for path, tree in modules().items():
        for node in tree.body:
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
                for target in node.targets:
                    if isinstance(target, ast.Name):
                        yield target.id, path, node.value.value


def test_the_name_of_a_constant_has_one_value() -> None:
    values: dict[str, dict[str, object]] = {}
    for name, path, value in constants():
        if isinstance(value, int | float) and not isinstance(value, bool):
            values.setdefault(name.lstrip("_"), {})[path] = value
    drifted = {name: homes for name, homes in values.items() if len(set(homes.values())) > 1}
    assert not drifted, "name each for what it bounds, or take it from one home"


def test_the_standard_errors_of_an_interval_have_one_home() -> None:
    written = {
        path
        for path, node in nodes()
        if isinstance(node, ast.Constant)
        and isinstance(node.value, float)
        and 1.9599 < node.value < 1.9601
    }
    assert not written, "Z95 of models/intervals.py is computed from its level"
