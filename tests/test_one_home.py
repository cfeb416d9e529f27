"""A definition has one home: here stand the ones that were written twice once, and drifted."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("features", "models", "pipeline")


def modules() -> Iterator[tuple[str, ast.Module]]:
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_text())


def homes_of(names: set[str], of: str) -> set[str]:
    """Modules that import one of these names from a library."""
    return {
        path
        for path, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        and (node.module or "").partition(".")[0] == of
        and names & {each.name for each in node.names}
    }


def test_one_module_minimises() -> None:
    assert homes_of({"minimize"}, "scipy") == {"models/methods/penalised.py"}


def numbers() -> Iterator[tuple[str, str, float]]:
    """Name, module and value of every constant that is a number."""
    for path, tree in modules():
        for node in tree.body:
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
                value = node.value.value
                if isinstance(value, int | float) and not isinstance(value, bool):
                    for target in node.targets:
                        if isinstance(target, ast.Name):
                            yield target.id.lstrip("_"), path, float(value)


def test_the_name_of_a_constant_has_one_value() -> None:
    values: dict[str, dict[str, float]] = {}
    for name, path, value in numbers():
        values.setdefault(name, {})[path] = value
    drifted = {name: homes for name, homes in values.items() if len(set(homes.values())) > 1}
    assert not drifted, "name each for what it bounds, or take it from one home"


def test_the_standard_errors_of_an_interval_have_one_home() -> None:
    written = {
        path
        for path, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, float)
        and 1.9599 < node.value < 1.9601
    }
    assert not written, "Z95 of models/intervals.py is computed from its level"
