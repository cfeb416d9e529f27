"""A published run and what it was made of: its configuration, its staged tables by version, its
model.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pandas as pd

from features.errors import ArtifactMismatch, ConfigError, NotFound
from models.bundle import Bundle, read_bundle
from pipeline.config import config_from_text, config_hash, config_text, hash_of_text
from pipeline.config.schema import Project, Target
from pipeline.evaluations import EVALUATIONS
from pipeline.ledger import AGAIN, KEPT_STATES, RunRow, run_rows
from pipeline.storage import Store
from pipeline.tracking import client, version_folder
from pipeline.workspace import Workspace

if TYPE_CHECKING:
    from mlflow import MlflowClient

CONFIGURATIONS = "configurations"


def keep_configuration(workspace: Workspace) -> None:
    """Keep the settings of a run under their hash, so that it can be derived again after they
    change.
    """
    hashed = config_hash(workspace.project)
    store = workspace.store
    if store.exists(CONFIGURATIONS) and len(
        store.read(CONFIGURATIONS, filters=[("config_hash", "=", hashed)])
    ):
        return
    store.write(
        CONFIGURATIONS,
        pd.DataFrame({"config_hash": [hashed], "settings": [config_text(workspace.project)]}),
        append=True,
    )


def find_run(workspace: Workspace, target: Target, wanted: str) -> RunRow:
    """The run of a target whose id starts so, or the newest one of a date (2025-06-01).

    Raises
    ------
    NotFound
        When there is none or several, listing the newest runs.
    """
    rows = run_rows(workspace.store)
    mine = rows[(rows["target"] == target.name) & rows["state"].isin(KEPT_STATES)]
    try:
        day = pd.Timestamp(date.fromisoformat(wanted))
    except ValueError:
        runs = mine[mine["run_id"].str.startswith(wanted)] if wanted else mine.iloc[:0]
    else:
        runs = mine[mine["as_of"] == day].sort_values(["state", "published_at"], kind="stable")
        # Of several runs of one date the one that readers see: `published` comes before
        # `superseded`.
        runs = runs[runs["state"] == runs["state"].min()].tail(1)
    if len(runs) != 1:
        problem = "no run" if runs.empty else f"{len(runs)} runs"
        newest = ", ".join(f"{r.run_id} ({r.as_of:%Y-%m-%d})" for r in mine.tail(5).itertuples())
        raise NotFound(
            f"{problem} {wanted!r} of target {target.name!r}. Newest runs: {newest or 'none yet'}."
        )
    return RunRow.of(runs.iloc[0].to_dict())


def past_project(workspace: Workspace, run: RunRow) -> Project:
    """The project file as it was for a run; today's where it has not changed.

    Raises
    ------
    NotFound
        When the settings were not kept.
    """
    wanted = run.config_hash
    if config_hash(workspace.project) == wanted:
        return workspace.project
    store = workspace.store
    kept = (
        store.read(CONFIGURATIONS, filters=[("config_hash", "=", wanted)])
        if store.exists(CONFIGURATIONS)
        else pd.DataFrame()
    )
    if kept.empty:
        raise NotFound(f"the configuration {wanted} of run {run.run_id} was not kept. {AGAIN}")
    if hash_of_text(kept["settings"].iloc[0]) != wanted:
        raise ArtifactMismatch(
            f"the kept configuration {wanted} of run {run.run_id} is not what was written: its hash"
            " differs."
        )
    return replace(
        config_from_text(kept["settings"].iloc[0]),
        store=workspace.project.store,
        mlflow=workspace.project.mlflow,
    )


def past_workspace(
    workspace: Workspace, project: Project, staged: Mapping[str, int], aside: Path
) -> Workspace:
    """A workspace that reads staged tables at given versions, and what tests said of models, and
    writes everything into a folder aside.

    Raises
    ------
    NotFound
        When a version was removed, because it is older than `replay_days` or by a deletion on
        request.
    """
    versions = dict(staged)
    if workspace.store.exists(EVALUATIONS):
        # They decide who speaks where a source did not come.
        versions[EVALUATIONS] = workspace.store.version(EVALUATIONS)
    store = Store(
        aside,
        pinned={
            table: (workspace.store.path(table), version) for table, version in versions.items()
        },
    )
    for table in staged:
        try:
            store.delta(table)
        except NotFound as gone:
            raise NotFound(
                f"{gone} Replaced versions are kept [store] replay_days ="
                f" {project.store.replay_days} days, and a deletion on request removes them at"
                " once; the run cannot be derived again."
            ) from gone
    return replace(workspace, project=project, store=store)


@contextmanager
def same_version_needed(run: RunRow) -> Iterator[None]:
    """Say it where cards or contracts of this version cannot read what another version staged.

    Raises
    ------
    ArtifactMismatch
        Naming the version that the run was made with.
    """
    try:
        yield
    except (duckdb.BinderException, duckdb.CatalogException, ArtifactMismatch) as error:
        version = run.recorded.get("libraries", {}).get("tenure", "unknown")
        raise ArtifactMismatch(
            f"run {run.run_id} was made with other cards or contracts (tenure {version}): "
            f"{str(error).splitlines()[0]} Derive it with that version."
        ) from error


def past_target(project: Project, target: Target) -> Target:
    """The target of that name as a project described it then."""
    past = next((each for each in project.targets if each.name == target.name), None)
    if past is None:
        raise ConfigError(f"target {target.name!r} was not in the configuration of that run.")
    return past


def past_bundle(workspace: Workspace, target: Target, run: RunRow) -> Bundle:
    """The registered model that a run was scored with, found by the versions that the run recorded.

    Raises
    ------
    NotFound
        When the registry has no such model any more.
    """
    from pipeline.jobs.registry import model_name

    tracker = client(workspace.folder, workspace.project.mlflow.tracking_uri)
    name = model_name(workspace, target)
    registered = tracker.search_model_versions(f"name='{name}'")
    wanted = run.made_with
    for entry in sorted(registered, key=lambda each: -int(each.version)):
        bundle = _registered_bundle(tracker, name, str(entry.version), run.basis)
        if (
            bundle is not None
            and (bundle.model_version, bundle.calibrator_version, bundle.scale.version) == wanted
        ):
            return bundle
    raise NotFound(
        f"model {wanted[0]} (calibrator {wanted[1]}, scale {wanted[2]}) of run {run.run_id} is not"
        f" among the {len(registered)} registered versions of {name!r}. Import it again with"
        " `tenure model import`."
    )


def _registered_bundle(
    tracker: "MlflowClient", name: str, version: str, basis: str
) -> Bundle | None:
    """A registered bundle with the basis that a run published; None where it has none or its files
    are gone.
    """
    import mlflow

    try:
        bundle = read_bundle(version_folder(tracker, name, version) / "artifacts" / "bundle")
    # Another version may hold the same model; the caller says it where none does.
    except (OSError, ArtifactMismatch, mlflow.exceptions.MlflowException):
        return None
    if basis == "scorecard" and bundle.scorecard is None:
        return None
    return replace(bundle, basis="scorecard" if basis == "scorecard" else "calibrated")
