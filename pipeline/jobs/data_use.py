"""A statement of data use, from the project file and what was staged by it: which fields are read
and why, which of them are about a person, how long what is made of them is kept, and what leaves
the machine.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from features.sources import CONTRACTS
from pipeline.config.schema import ColumnRule, Project, Rule, Source, Target
from pipeline.edge.locations import shown_location
from pipeline.jobs.stage import staged_before
from pipeline.staging.staged import StagedSource
from pipeline.workspace import Workspace, contract_of, purpose_of


@dataclass(frozen=True)
class FieldUse:
    """One column that is read, and what it is for."""

    source: str
    column: str
    read_from: str
    """Your column, or what fills ours."""
    meaning: str
    is_personal: bool


@dataclass(frozen=True)
class DataUse:
    """The statement, part by part."""

    project: str
    purposes: tuple[tuple[str, str], ...]
    """Target and what its scores are for."""
    sources: tuple[tuple[str, str, str], ...]
    """Source, where it is read, what it is for."""
    fields: tuple[FieldUse, ...]
    is_staged: bool
    """Whether the tables were read: then columns that map themselves by their name are listed, too.
    """
    kept: tuple[str, ...]
    leaves: tuple[str, ...]


def data_use(workspace: Workspace) -> DataUse:
    """The statement of a project."""
    project, staged = workspace.project, staged_before(workspace)
    return DataUse(
        project=project.name,
        purposes=tuple((t.name, _purpose(project, t)) for t in project.targets),
        sources=tuple(
            (name, ", ".join(_places(source)), _use(name, source))
            for name, source in project.sources.items()
        ),
        fields=tuple(
            field
            for name, source in project.sources.items()
            for field in _fields(name, source, staged.get(name))
        ),
        is_staged=staged.keys() >= project.sources.keys(),
        kept=tuple(_kept(project)),
        leaves=tuple(_leaves(project)),
    )


def _purpose(project: Project, target: Target) -> str:
    return purpose_of(project, target) or "not stated; set [objective] purpose"


def _places(source: Source) -> Iterator[str]:
    for place in (source.location, *(part.location for part in source.parts)):
        if place is not None:
            yield shown_location(place)


def _use(name: str, source: Source) -> str:
    meaning = CONTRACTS[contract_of(name, source)].meaning
    reads = "signals, labels and checks" if source.features else "labels and checks only"
    return f"{meaning}: read for {reads}"


def _fields(name: str, source: Source, staged: StagedSource | None) -> Iterator[FieldUse]:
    """Columns that the project maps, and those that map themselves where the table was read."""
    contract = CONTRACTS[contract_of(name, source)]
    rules: dict[str, Rule] = {**source.columns, **source.extra}
    by_name = () if staged is None else [c for c in staged.columns if staged.is_mapped(c)]
    for ours in dict.fromkeys((*rules, *by_name)):
        column, rule = contract.column(ours), rules.get(ours, ours)
        yield FieldUse(
            source=name,
            column=ours,
            read_from=rule if isinstance(rule, str) else _rule_words(rule),
            meaning="an attribute or number of your own" if column is None else column.meaning,
            is_personal=column is not None and column.is_personal,
        )


def _rule_words(rule: ColumnRule) -> str:
    return rule.column or " / ".join(rule.join) or "a constant"


def _kept(project: Project) -> Iterator[str]:
    days = project.store.keep_runs_days
    yield (
        "published scores, reasons and pages: "
        + (f"{days} days" if days is not None else "until they are deleted; set keep_runs_days")
    )
    yield f"earlier versions of staged tables: {project.store.replay_days} days"
    yield "raw rows that were set aside, whole: until their source is read again"
    yield "an account that withholds consent, or is forgotten on request: removed from all of it"
    yield "models: no row of any account"


def _leaves(project: Project) -> Iterator[str]:
    """Connections that the project file asks for."""
    uri = project.mlflow.tracking_uri
    if uri is not None and "://" in uri:
        yield f"runs, metrics and models to {shown_location(uri)}; no row of an account"
    ping = project.notify.ping_url
    if ping is not None:
        host = ping if ping.startswith("env:") else urlsplit(ping).hostname
        yield f"that a night began, ended or failed, to {host}; nothing else"
    for sender in project.alerting.senders:
        if sender.kind != "file":
            yield f"alerts that name accounts, by {sender.kind} ({sender.name})"
    if project.publish.postgres is not None:
        place = shown_location(project.publish.postgres)
        yield (
            "scores, reasons, worklist, alerts and forecasts of every account, to the PostgreSQL"
            f" database {place}"
        )
    for name, source in project.sources.items():
        if any("://" in place or place.startswith("env:") for place in _places(source)):
            yield f"queries to the database of source {name}; nothing is written there"


def data_use_markdown(statement: DataUse) -> str:
    """The statement as a page of Markdown."""
    personal = [field for field in statement.fields if field.is_personal]
    lines = [
        f"# Use of data: {statement.project}",
        "",
        "Scores are made for accounts (companies), never for single people.",
        "",
        "## Why",
        "",
        *(f"- {target}: {purpose}" for target, purpose in statement.purposes),
        "",
        "## What is read",
        "",
        *(f"- {name} ({place}): {use}" for name, place, use in statement.sources),
        "",
        "| source | field | read from | meaning | about a person |",
        "|---|---|---|---|---|",
        *(
            f"| {f.source} | {f.column} | {_cell(f.read_from)} | {_cell(f.meaning)} |"
            f" {'yes' if f.is_personal else 'no'} |"
            for f in statement.fields
        ),
        "",
        f"{len(personal)} of {len(statement.fields)} fields are about a person."
        + (
            " When a row became known is kept with it; other columns of these tables are not."
            if statement.is_staged
            else " The tables were not read yet: columns that bear the name of one of ours map"
            " themselves, and are listed after `tenure check`."
        ),
        "",
        "## How long it is kept",
        "",
        *(f"- {line}" for line in statement.kept),
        "",
        "## What leaves the machine",
        "",
        *(f"- {line}" for line in statement.leaves or ("nothing",)),
    ]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
