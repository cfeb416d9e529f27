"""Where a command works: the project file, its data, its store, and the moment it was started."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from features.errors import NotFound
from features.snapshots import PopulationRule
from models.targets import CONTRACTUAL, CUSTOMERS_OWN, Cause, TargetRule
from pipeline.config.schema import Project, Source, StoreSettings, Target
from pipeline.storage import Store

Engine = Literal["duckdb", "spark"]


@dataclass(frozen=True)
class Workspace:
    """Everything a job is told; jobs read no clock and no environment of their own."""

    project: Project
    folder: Path
    data_dir: Path
    store: Store
    now: datetime
    """When the command was started."""
    engine: Engine = "duckdb"
    """What adds the facts up to features; everything else is DuckDB's."""
    clock: Callable[[], datetime] | None = None
    """Tells what time it is while the command works; None: time stands still."""

    def moment(self) -> datetime:
        """What time it is, for records of when something happened: no result may depend on it."""
        return self.now if self.clock is None else self.clock()

    def target(self, name: str | None) -> Target:
        """The target of that name; None: the first.

        Raises
        ------
        NotFound
            When there is none of that name, listing those there are.
        """
        if name is None:
            return self.project.targets[0]
        for target in self.project.targets:
            if target.name == name:
                return target
        known = ", ".join(t.name for t in self.project.targets)
        raise NotFound(f"no target {name!r} in tenure.toml; there are: {known}.")

    def source_named(self, contract: str) -> str | None:
        """The first source that fills a contract."""
        return next(
            (name for name, s in self.project.sources.items() if contract_of(name, s) == contract),
            None,
        )


def open_workspace(
    folder: Path,
    data_dir: Path | None,
    now: datetime,
    engine: Engine = "duckdb",
    clock: Callable[[], datetime] | None = None,
) -> Workspace:
    """Read the project file and say where everything is."""
    from pipeline.config import read_project
    from pipeline.engine.memory import allow

    project = read_project(folder)
    allow(project.engine.memory_gb)
    return Workspace(
        project=project,
        folder=folder,
        data_dir=(data_dir or folder).resolve(),
        store=store_of(folder, project.store),
        now=now,
        engine=engine,
        clock=clock,
    )


def store_of(folder: Path, settings: StoreSettings) -> Store:
    """The store of a project folder."""
    location = Path(settings.uri)
    return Store(location if location.is_absolute() else (folder / location).resolve())


def contract_of(name: str, source: Source) -> str:
    """Name of the contract a source fills; by default its own name."""
    return source.contract or name


def target_rule(target: Target) -> TargetRule:
    """The target as the models package knows it."""
    return TargetRule(
        name=target.name,
        kind=target.kind,
        horizon_days=target.horizon_days,
        gap_days=target.gap_days,
        grace_days=target.grace_days,
        event_names=target.event_names,
        first_event_only=target.first_event_only,
        change_share=target.change_share,
        causes=_causes(target),
    )


def _causes(target: Target) -> tuple[Cause, ...]:
    if target.causes is not None:
        return target.causes
    return CUSTOMERS_OWN if target.kind == "expansion" else ()


def purpose_of(project: Project, target: Target) -> str:
    """What the scores of a target are for: its own words, else those of the project, which speak
    of what is to be avoided; where all its targets are wished for, of those.
    """
    if target.purpose is not None:
        return target.purpose
    wished_for = [target_rule(each).is_good for each in project.targets]
    speaks_of_growth = bool(wished_for) and all(wished_for)
    is_spoken_of = speaks_of_growth or not target_rule(target).is_good
    return project.objective.purpose if is_spoken_of else ""


def label_source(workspace: Workspace, target: Target) -> str:
    """Name of the source that decides the label."""
    if target.kind == "event":
        return str(target.source)
    if target.kind in CONTRACTUAL:
        return _need(workspace, "subscriptions", f"target {target.name!r} of kind {target.kind}")
    return activity_source(workspace, target)


def needed_sources(workspace: Workspace, target: Target) -> set[str]:
    """Sources that nothing can be said without: those of the label and of the population."""
    return {label_source(workspace, target), population_source(workspace, target)[1]}


def activity_source(workspace: Workspace, target: Target) -> str:
    """Name of the activity source that population and inactivity speak of."""
    declared = target.population.source
    return declared or _need(workspace, "usage_events", f"the activity of target {target.name!r}")


def _need(workspace: Workspace, contract: str, what: str) -> str:
    source = workspace.source_named(contract)
    if source is None:
        raise NotFound(
            f"{what} needs a source with the contract {contract!r}; the project has "
            f"{', '.join(workspace.project.sources) or 'none'}. Add [sources.{contract}]."
        )
    return source


def population_source(workspace: Workspace, target: Target) -> tuple[str, str]:
    """Kind of the population (declared or by the sources there are) and the source that
    decides it.
    """
    kind = target.population.kind
    if kind is None:
        kind = (
            "customers"
            if workspace.source_named("subscriptions") and target.kind in CONTRACTUAL
            else "active"
        )
        if target.kind == "conversion":
            kind = "trials"
    contract = {
        "customers": "subscriptions",
        "trials": "subscriptions",
        "accounts": "accounts",
    }.get(kind)
    source = (
        activity_source(workspace, target)
        if contract is None
        else _need(workspace, contract, f"population {kind!r} of target {target.name!r}")
    )
    return kind, source


def population_rule(kind: str, target: Target, decimals: dict[str, int]) -> PopulationRule:
    """The population as the features package knows it; minimums become stored whole numbers."""
    declared = target.population
    return PopulationRule(
        kind=kind,  # type: ignore[arg-type]
        grace_days=target.grace_days,
        event_names=declared.event_names,
        minimum=tuple(
            (c, int(v * 10 ** decimals.get(c, 0))) for c, v in sorted(declared.minimum.items())
        ),
        active_within_days=declared.active_within_days,
        min_events=declared.min_events,
        min_events_ever=declared.min_events_ever,
        min_age_days=declared.min_age_days,
        max_age_days=declared.max_age_days,
    )


def describe_target(target: Target) -> dict[str, Any]:
    """What reports echo of a target."""
    return {
        **target_rule(target).to_dict(),
        "horizon": target.horizon or f"{target.horizon_days} days",
    }
