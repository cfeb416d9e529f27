"""The notebook runs from its first cell to its last, and its source holds nothing it should not."""

import ast
import os
import re
from pathlib import Path

import pytest
from small_company import Company

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "notebooks").glob("*.py"))


@pytest.mark.slow
@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_notebook_runs(
    source: Path, company_copy: Company, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jupytext = pytest.importorskip("jupytext", reason="jupytext makes the notebook from its source")
    nbclient = pytest.importorskip("nbclient", reason="nbclient runs the notebook")
    # The kernel is another process: it needs the packages on its path, and keeps its files to
    # itself.
    monkeypatch.setenv(
        "PYTHONPATH",
        os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep),
    )
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    # In the place of what `make demo` leaves.
    monkeypatch.setenv("TENURE_PROJECT", str(company_copy.folder))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    notebook = jupytext.read(source)
    jupytext.write(notebook, tmp_path / f"{source.stem}.ipynb")
    nbclient.NotebookClient(
        notebook,
        timeout=600,
        kernel_name="python3",
        resources={"metadata": {"path": str(tmp_path)}},
    ).execute()
    ran = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in ran)


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_notebook_shows_and_defines_nothing(source: Path) -> None:
    """Public names only, nothing reusable defined; points are asserted to add."""
    tree = ast.parse(source.read_text(encoding="utf-8"))
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    imported = [
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    ]
    assert not [name for name in imported if name.startswith("_")]
    assert len([node for node in ast.walk(tree) if isinstance(node, ast.Assert)]) >= 4


def test_no_notebook_with_outputs_is_kept() -> None:
    assert not list(ROOT.glob("notebooks/**/*.ipynb"))
    assert all(
        re.search(r"format_name: percent", path.read_text(encoding="utf-8")) for path in SOURCES
    )
