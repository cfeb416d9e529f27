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
