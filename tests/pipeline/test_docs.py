"""Pages say what the code does: generated pages, links, commands, configuration and Python in them
are checked.
"""

import importlib.util
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from typer.testing import CliRunner

from features.catalogue import (
    CARDS,
    DEFAULT_WINDOWS,
    RATIOS,
    SEASON,
    STATES,
    catalogue_markdown,
    catalogue_text,
    entries,
)
from pipeline.cli import app
from pipeline.config import read_project
from pipeline.config.schema import Features
from pipeline.flow import FLOW

ROOT = Path(__file__).resolve().parents[2]
WITH_PAGES = ("docs", "examples", "benchmarks", "notebooks")
MARKDOWN = [
    *(path for folder in WITH_PAGES for path in sorted((ROOT / folder).rglob("*.md"))),
    ROOT / "mlruns" / "README.md",
    *sorted(ROOT.glob("*.md")),
]
PAGES = [path for path in MARKDOWN if path.is_relative_to(ROOT / "docs")]
CAPABILITIES = ROOT / "docs" / "reference" / "capabilities.md"
FENCE = re.compile(
    r"(?P<before>[^\n]*)\n```(?P<language>\w*)\n(?P<code>.*?)^```", re.MULTILINE | re.DOTALL
)


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def blocks(path: Path, language: str) -> list[str]:
    """Fenced blocks of a language; those after a comment that says `not run` are left out."""
    return [
        found["code"]
        for found in FENCE.finditer("\n" + path.read_text(encoding="utf-8"))
        if found["language"] == language and "not run" not in found["before"]
    ]


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs" / "generate.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


GENERATOR = generator()
COMMANDS: dict[str, Any] = dict(GENERATOR.command_tree())


# --- generated pages
# ---------------------------------------------------------------------------------


@pytest.mark.parametrize("page", GENERATOR.PAGES)
def test_generated_page_is_what_the_code_says(page: str) -> None:
    made = GENERATOR.PAGES[page]()
    assert (ROOT / page).read_text(encoding="utf-8") == made, (
        f"{page} is old: run `python docs/generate.py`"
    )


def test_catalogue_lists_every_card() -> None:
    text, markdown = catalogue_text(), catalogue_markdown()
    for card in (*CARDS, *STATES, *RATIOS):
        assert card.meaning in text and card.phrase in text
        assert card.name in markdown
    assert sum(not entry.is_automatic for entry in entries()) == len(CARDS) + len(STATES) + len(
        RATIOS
    ) + len(SEASON)


def test_catalogue_shows_the_windows_a_project_has_by_default() -> None:
    assert Features().window_days == DEFAULT_WINDOWS
    assert "<kind>_count_{7,28,91,182,364}d" in catalogue_text()


def test_command_line_prints_the_catalogue() -> None:
    assert CliRunner().invoke(app, ["catalogue"]).output.strip() == catalogue_text()


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_every_command_has_an_example_that_parses(command: str) -> None:
    printed = CliRunner().invoke(app, [*command.split()[1:], "--help"])
    assert printed.exit_code == 0
    example = str(COMMANDS[command].help).partition("Example:")[2].strip()
    assert example.startswith(command), f"{command}: the help needs an example"
    assert_command_exists(example)


# --- what pages name
# ---------------------------------------------------------------------------------


def assert_command_exists(line: str) -> None:
    """A `tenure ...` line names a command and options that exist."""
    words = line.split("#")[0].split("|")[0].partition(" -- ")[0].split()
    name = " ".join(words[:3]) if " ".join(words[:3]) in COMMANDS else " ".join(words[:2])
    assert name in COMMANDS, f"`{line}`: there is no command `{name}`"
    known = {option for parameter in COMMANDS[name].params for option in parameter.opts}
    known |= {"--help", "--version"}
    unknown = {word for word in words if word.startswith("--")} - known
    assert not unknown, f"`{line}`: {name} has no option {', '.join(sorted(unknown))}"


def named_commands(text: str) -> list[str]:
    """`tenure ...` at the start of a line of a block, inside backticks, or after a marker of
    outputs.
    """
    inline = re.findall(r"`(tenure [a-z][^`\n]*)`", text)
    shown = re.findall(r"^(?:\S*/)?(tenure [a-z].*)$", text, re.MULTILINE)
    outputs = re.findall(r"<!-- output: (tenure .*?) -->", text)
    prose = re.compile(r"tenure (\w+) \|")  # the list of commands in a sentence
    return [c for c in (*inline, *shown, *outputs) if not prose.match(c) and c.split()[1] in _WORDS]


_WORDS = {name.split()[1] for name in COMMANDS} | {
    "bench",
    "changes",
    "worklist",
    "alerts",
    "monitor",
    "replay",
    "dashboard",
    "audit",
}


@pytest.mark.parametrize("path", MARKDOWN, ids=name_of)
def test_commands_named_in_a_page_exist(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    if path.name == "CHANGELOG.md":
        text = text.split("\n## ")[1]  # releases before the newest name the commands of their time
    for command in named_commands(text):
        assert_command_exists(command)


@pytest.mark.parametrize("path", MARKDOWN, ids=name_of)
def test_make_targets_named_in_a_page_exist(path: Path) -> None:
    targets = set(
        re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    )
    text = path.read_text(encoding="utf-8")
    named = set(re.findall(r"`make ([a-z]+)`", text)) | set(
        re.findall(r"^make ([a-z]+)", text, re.MULTILINE)
    )
    assert named <= targets


@pytest.mark.parametrize("path", MARKDOWN, ids=name_of)
def test_links_resolve(path: Path) -> None:
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", link):
            continue
        file, _, anchor = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        assert target.exists(), f"{name_of(path)}: {link} leads nowhere"
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target), f"{name_of(path)}: {link} has no such heading"


def anchors(path: Path) -> set[str]:
    """Headings as GitHub writes their anchors."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", MARKDOWN, ids=name_of)
def test_pages_name_no_machine_and_no_package_host(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"(?<![\w.])/(root|home|work|tmp|Users)/", text)
    assert not re.search(r"pypi\.org|pythonhosted|artifactory|nexus|index-url", text, re.IGNORECASE)


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_pages_are_reached_from_the_index(path: Path) -> None:
    index = ROOT / "docs" / "README.md"
    if path != index:
        assert f"({path.relative_to(index.parent).as_posix()})" in index.read_text(encoding="utf-8")


# Kept for later steps, or one of several pages.
LEFT_OUT_OF_THE_PICTURE = ("quarantine", "evaluations", "backtest", "model_card.html")


def test_flow_of_the_readme_names_what_the_flow_names() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    graph = readme.partition("## The flow")[2].partition("## ")[0]
    for step in FLOW:
        for written in step.writes:
            base = written.removesuffix("_*").removesuffix("*").rstrip("_")
            if base not in LEFT_OUT_OF_THE_PICTURE:
                assert base in graph, (
                    f"the README's flow lacks {written}, which step {step.name} writes"
                )


def test_files_named_in_the_layout_exist() -> None:
    for page in ("docs/explanation/layout.md", "docs/explanation/gates.md"):
        text = (ROOT / page).read_text(encoding="utf-8")
        for name in re.findall(r"`((?:features|models|pipeline|tests|docs)/[\w/.]*)`", text):
            assert (ROOT / name).exists(), f"{page}: {name} does not exist"


# --- code in pages
# -----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [p for p in PAGES if blocks(p, "python")], ids=name_of)
def test_python_in_a_page_runs(path: Path) -> None:
    """All blocks of a page, one after the other, in one namespace."""
    scope: dict[str, Any] = {"__name__": "page"}
    for number, code in enumerate(blocks(path, "python"), 1):
        exec(compile(code, f"{name_of(path)} block {number}", "exec"), scope)


# A fragment stands in a file that has the parts it does not show.
_REST = {
    "name": 'name = "page"\n',
    "targets": '\n[[targets]]\nname = "silent"\nkind = "inactivity"\nhorizon_days = 90\n',
    "usage": '\n[sources.usage_events]\nlocation = "usage.parquet"\n',
}


@pytest.mark.parametrize("path", [p for p in PAGES if blocks(p, "toml")], ids=name_of)
def test_toml_in_a_page_is_a_project_file(path: Path, tmp_path: Path) -> None:
    for code in blocks(path, "toml"):
        given = tomllib.loads(code)
        text = (_REST["name"] if "name" not in given else "") + code
        text += _REST["usage"] if "usage_events" not in given.get("sources", {}) else ""
        text += _REST["targets"] if "targets" not in given else ""
        (tmp_path / "tenure.toml").write_text(text, encoding="utf-8")
        read_project(tmp_path)


# --- capabilities
# ------------------------------------------------------------------------------------


def capability_rows() -> dict[str, list[str]]:
    rows = [
        [cell.strip() for cell in line.strip().strip("|").split(" | ")]
        for line in CAPABILITIES.read_text(encoding="utf-8").splitlines()
        if re.match(r"\| [SE]\d+ ", line)
    ]
    return {row[0]: row for row in rows}


def test_every_capability_has_one_row_in_order() -> None:
    wanted = [
        *(f"S{number}" for number in range(1, 123)),
        *(f"E{number}" for number in range(1, 6)),
    ]
    assert list(capability_rows()) == wanted


@pytest.mark.parametrize("row", capability_rows().values(), ids=lambda row: row[0])
def test_capability_names_what_exists(row: list[str]) -> None:
    _, what, state, where, test, *_ = row
    assert what and state in ("works", "partly", "not yet", "out of scope")
    if state in ("works", "partly"):
        assert "`" in where, "say where"
    if state == "works":
        assert "::" in test, "name the test whose name is the sentence that holds"
    if state in ("not yet", "out of scope"):
        assert (where, test) == ("-", "-")
    for named in re.findall(r"`([^`]+)`", f"{where} {test}"):
        if named.startswith("tenure "):
            assert_command_exists(named)
            continue
        file, _, function = named.partition("::")
        assert (ROOT / file).is_file(), f"{file} does not exist"
        if function:
            text = (ROOT / file).read_text(encoding="utf-8")
            assert re.search(rf"^def {function}\(", text, re.M), f"{file} has no {function}"


# --- the package
# -------------------------------------------------------------------------------------


def test_project_lists_exactly_three_packages_and_the_python_door() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"] == [
        "features",
        "models",
        "pipeline",
        "tenure.py",
    ]
    assert project["project"]["scripts"] == {"tenure": "pipeline.cli:console"}


@pytest.mark.slow
def test_wheel_holds_the_three_packages_and_their_templates(tmp_path: Path) -> None:
    if importlib.util.find_spec("hatchling") is None:
        pytest.skip("hatchling, which builds the wheel, is not installed in this environment")
    source = tmp_path / "source"
    source.mkdir()
    for name in ("features", "models", "pipeline"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "tenure.py"):
        shutil.copy(ROOT / name, source / name)
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
        "--no-build-isolation",
        "--wheel-dir",
        str(tmp_path),
        str(source),
    ]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert {name.split("/")[0] for name in names} == {
        "features",
        "models",
        "pipeline",
        "tenure.py",
    }
    assert {Path(name).suffix for name in names} <= {
        ".py",
        ".j2",
        ".css",
        ".js",
        ".html",
        ".txt",
        ".typed",
    }
    in_repository = {
        name_of(path)
        for package in ("features", "models", "pipeline")
        for path in (ROOT / package).rglob("*")
        if path.suffix in (".py", ".j2")
    }
    assert names >= in_repository
