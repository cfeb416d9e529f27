"""Imports go one way, and only the outer package touches files, engines and the clock."""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LAYERS = ("features", "models", "pipeline")
ABOVE = {"features": {"models", "pipeline"}, "models": {"pipeline"}, "pipeline": set()}

# Modules that reach outside the program: files, engines, processes, the network, the machine's
# clock.
EFFECTS = {
    "os",
    "io",
    "shutil",
    "tempfile",
    "zipfile",
    "pathlib",
    "subprocess",
    "socket",
    "urllib",
    "time",
    "sqlite3",
    "duckdb",
    "deltalake",
    "mlflow",
    "psycopg",
    "typer",
    "rich",
    "jinja2",
    "matplotlib",
}
# A model as files is these modules' task.
KEEP_MODELS = {"models/artifact.py", "models/bundle.py"}
# They pass the path of a search's journal on, and open nothing themselves.
PASS_A_PATH = {"models/training.py", "models/tuning.py"}
CALLS = {
    "open",
    "now",
    "utcnow",
    "today",
    "read_parquet",
    "read_csv",
    "to_parquet",
    "to_csv",
    "read_text",
    "write_text",
    "read_bytes",
    "write_bytes",
    "getenv",
    "perf_counter",
    "monotonic",
}
# Inside features, from the ground up: a module imports only from its own row or rows before it.
FEATURE_ROWS = (
    ("errors", "metrics", "naming", "sql", "windows", "feeds", "sources"),
    ("definition",),
    ("dimensions", "automatic"),
    ("catalogue", "facts"),
    ("streams", "state_rows", "states", "snapshots", "terms"),
    ("build",),
)


def modules(*packages: str) -> list[Path]:
    return [path for package in packages for path in sorted((ROOT / package).rglob("*.py"))]


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imports(path: Path) -> Iterator[str]:
    """Every module imported anywhere in a file, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(path)}: imports are absolute"
            yield str(node.module)


@pytest.mark.parametrize("package", LAYERS)
def test_no_package_imports_from_one_above(package: str) -> None:
    wrong = [
        f"{name_of(path)} imports {module}"
        for path in modules(package)
        for module in imports(path)
        if module.split(".")[0] in ABOVE[package]
    ]
    assert wrong == []


def test_nothing_is_built_on_the_python_door() -> None:
    """It is the outermost part: a second way into the jobs, and none out of them."""
    assert not [name_of(path) for path in modules(*LAYERS) if "tenure" in set(imports(path))]


def test_features_and_models_touch_no_file_engine_or_clock() -> None:
    wrong = []
    for path in modules("features", "models"):
        name = name_of(path)
        allowed = EFFECTS if name in KEEP_MODELS else {"pathlib"} if name in PASS_A_PATH else set()
        wrong += [
            f"{name} imports {module}"
            for module in imports(path)
            if module.split(".")[0] in EFFECTS - allowed
        ]
    assert wrong == []


def test_features_and_models_ask_no_clock_and_open_nothing() -> None:
    wrong = []
    for path in modules("features", "models"):
        if name_of(path) in KEEP_MODELS:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                called = (
                    node.func.attr
                    if isinstance(node.func, ast.Attribute)
                    else getattr(node.func, "id", "")
                )
                if called in CALLS:
                    wrong.append(f"{name_of(path)}:{node.lineno} calls {called}")
    assert wrong == []


def test_only_the_command_line_reads_the_clock() -> None:
    found = []
    for path in modules("pipeline"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in ("now", "utcnow", "today")
            ):
                found.append(name_of(path))
    assert found == ["pipeline/cli/options.py"]


def test_features_build_on_one_another_in_one_direction() -> None:
    row_of = {module: row for row, names in enumerate(FEATURE_ROWS) for module in names}
    wrong = []
    for path in modules("features"):
        part = path.relative_to(ROOT / "features").parts[0].removesuffix(".py")
        if part == "__init__":
            continue
        assert part in row_of, f"features/{part}: say in FEATURE_ROWS which modules it may build on"
        for module in imports(path):
            top, _, rest = module.partition(".")
            target = rest.split(".")[0]
            if top == "features" and target and row_of[target] > row_of[part]:
                wrong.append(f"{name_of(path)} imports {module}")
    assert wrong == []


def test_dimensions_do_not_know_each_other() -> None:
    wrong = [
        f"{name_of(path)} imports {module}"
        for path in (ROOT / "features" / "dimensions").glob("*.py")
        for module in imports(path)
        if module.startswith("features.dimensions")
    ]
    assert wrong == []


def test_only_labels_look_forward() -> None:
    """Label windows are written in one module; nobody else adds days to as_of in SQL."""
    forward = [
        name_of(path)
        for path in modules("features", "models")
        if "as_of_day + " in path.read_text(encoding="utf-8")
    ]
    assert forward == ["models/labels.py"]


def test_jobs_take_from_reports_only_what_draws() -> None:
    """Jobs fill pages, pictures and the tables behind them in; what they say and count is known further down."""
    wrong = [
        f"{name_of(path)} imports {alias.name}"
        for path in sorted((ROOT / "pipeline" / "jobs").glob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("pipeline.reports")
        for alias in node.names
        if not alias.name.endswith(("_page", "_pages", "_tables", "_card", "_figure", "Inputs"))
    ]
    assert wrong == []


def test_no_module_is_named_like_one_of_the_standard_library() -> None:
    named = {path.stem for path in modules(*LAYERS)} & {"calendar", "types", "statistics"}
    packages = {
        path.stem for package in LAYERS for path in (ROOT / package).glob("*.py")
    } & sys.stdlib_module_names
    assert named | packages == set()


@pytest.mark.parametrize("place", ["models", "pipeline/jobs"])
def test_layout_page_answers_a_question_with_each_module(place: str) -> None:
    """No module that the page leaves out, and no name on the page without its module."""
    page = (ROOT / "docs" / "explanation" / "layout.md").read_text(encoding="utf-8")
    section = page.partition(f"### `{place}/`")[2].partition("\n## ")[0].partition("\n### ")[0]
    on_page = set(re.findall(r"`([\w/]+\.py)`", section))
    modules = {
        str(file.relative_to(ROOT / place))
        for file in (ROOT / place).rglob("*.py")
        if file.name != "__init__.py"
    }
    assert on_page == modules
