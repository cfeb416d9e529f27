"""The registry of models in MLflow: register a version, load one, and put one to use.

Each target has one registered model, and so has each label of a table. Of its versions one is in
use (alias `champion`) and the newest is the candidate (alias `challenger`).
"""

import contextlib
import io
import json
import shlex
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from features.errors import NoModel, NotFound
from features.naming import slug
from models.artifact import read_model, write_model
from models.bundle import Bundle, read_bundle, write_bundle
from models.dataset import TrainingSet
from models.model import Basis, Model
from models.table_input import COLUMNS, input_columns
from models.training import TrainingResult
from pipeline.config.schema import Project, Target
from pipeline.evaluations import VersionEvaluation
from pipeline.tracking import (
    CHALLENGER,
    CHAMPION,
    alias_version,
    client,
    experiment_id,
    log_training_rows,
    log_trials,
    version_folder,
)
from pipeline.workspace import Workspace

if TYPE_CHECKING:
    from mlflow import MlflowClient

BASELINES = "baselines"
RESEEDED = "reseeded"
EVALUATION = "evaluation.json"
MODEL_VERSION = "model_version"
NOTE = "mlflow.note.content"
"""The tag of a run that MLflow shows as its description."""
EXAMPLE_ROWS = 3
"""Rows kept beside a registered model to show what it reads."""


@dataclass(frozen=True, eq=False)
class Version:
    """A registered version, and the models that were kept beside it."""

    number: str
    bundle: Bundle
    baselines: Mapping[str, Model] = field(default_factory=dict)
    """`constant`, `logistic`, ...: what it is judged beside."""
    reseeded: Model | None = None
    """The model as another seed would have made it; None where it was not kept."""
    is_imported: bool = False
    """Whether it was trained elsewhere."""


@dataclass(frozen=True)
class RegisteredModel:
    """A model by its name in the registry, and where and how its versions are recorded."""

    tracker: "MlflowClient"
    name: str
    subject: str
    """What it is a model of, as messages name it."""
    train_with: str
    """The command that makes its first candidate."""
    short_name: str
    """Name of its runs and of the logged model."""
    experiment: str
    folder: Path
    tracking_uri: str | None
    params: Mapping[str, str] = field(default_factory=dict)
    """What its runs are found by."""

    @property
    def run_name(self) -> str:
        """Name of the runs that register its versions."""
        return f"train {self.short_name}"

    @property
    def is_in_use(self) -> bool:
        """Whether one of its versions is."""
        return self.number_of(CHAMPION) is not None

    def number_of(self, alias: str) -> str | None:
        """Number of the version behind an alias, or None."""
        entry = alias_version(self.tracker, self.name, alias)
        return None if entry is None else str(entry.version)

    def load(self, alias: str) -> Version | None:
        """The version behind an alias, or None; the one in use with what is published of it."""
        entry = alias_version(self.tracker, self.name, alias)
        if entry is None:
            return None
        version = _read(self, entry)
        basis = entry.tags.get("published_basis", version.bundle.basis)
        # A candidate is judged as what it is, also while its scorecard is in use.
        if alias != CHAMPION or basis == version.bundle.basis:
            return version
        return replace(version, bundle=replace(version.bundle, basis=basis))

    def need(self, alias: str, next_step: str = "") -> Version:
        """As `load`, or an error with the next step: without a model in use the caller's, without a
        candidate to train.

        Raises
        ------
        NoModel
            When none is in use.
        NotFound
            When there is no candidate.
        """
        version = self.load(alias)
        if version is not None:
            return version
        if alias == CHAMPION:
            raise NoModel(f"{self.subject} has no model in use yet. {next_step}")
        raise NotFound(f"{self.subject} has no candidate model yet. Run `{self.train_with}` first.")

    def run_id(self, number: str) -> str | None:
        """The MLflow run that trained a version."""
        run_id: str | None = self.tracker.get_model_version(self.name, number).tags.get("run_id")
        return run_id

    def tag(self, number: str, **tags: str) -> None:
        """Keep words with a version."""
        for key, value in tags.items():
            self.tracker.set_model_version_tag(self.name, number, key, value)

    def describe(self, number: str, words: str) -> None:
        """Say what a version is, where MLflow shows it: with the version and with its run."""
        self.tracker.update_model_version(self.name, number, words)
        run_id = self.run_id(number)
        if run_id is not None:
            self.tracker.set_tag(run_id, NOTE, words)

    def description(self, number: str) -> str:
        """What `describe` said of a version last; empty where it said nothing."""
        words: str | None = self.tracker.get_model_version(self.name, number).description
        return words or ""

    def put_to_use(self, number: str, basis: Basis, **tags: str) -> None:
        """Move the alias champion to a version that has been judged, with the reasons as tags."""
        self.tag(number, **tags, published_basis=basis)
        self.tracker.set_registered_model_alias(self.name, CHAMPION, number)

    def evaluation(self, number: str) -> VersionEvaluation | None:
        """The newest evaluation of a version, gates and all, as its run keeps it; None where there
        is none.
        """
        import mlflow
        from mlflow.exceptions import MlflowException

        run_id = self.run_id(number)
        if run_id is None:
            return None
        try:
            kept = mlflow.artifacts.load_dict(f"runs:/{run_id}/{EVALUATION}")
        # Versions are registered before they are judged: no file means no evaluation yet.
        except MlflowException:
            return None
        return VersionEvaluation.from_dict(kept)


def model_name(workspace: Workspace, target: Target) -> str:
    """Name of a target's registered model."""
    return registered_name(workspace.project.name, target.name)


def registered_name(project: str, of: str) -> str:
    """Name of a project's registered model; MLflow allows neither slash nor colon."""
    return f"{project}-{of}".replace("/", "-").replace(":", "-")


def registered_model(workspace: Workspace, target: Target) -> RegisteredModel:
    """The registered model of a target."""
    uri = workspace.project.mlflow.tracking_uri
    return RegisteredModel(
        tracker=client(workspace.folder, uri),
        name=model_name(workspace, target),
        subject=f"target {target.name!r}",
        train_with=f"tenure train --target {target.name}",
        short_name=target.name,
        experiment=workspace.project.name,
        folder=workspace.folder,
        tracking_uri=uri,
        params={
            "target": target.name,
            "kind": target.kind,
            "horizon": str(target.horizon or target.horizon_days),
        },
    )


def project_of(folder: Path) -> Project | None:
    """What the folder's tenure.toml says, or None: a table needs none."""
    from pipeline.config import read_project

    return read_project(folder) if (folder / "tenure.toml").is_file() else None


def registered_table(
    folder: Path,
    project: Project | None,
    label: str,
    *,
    experiment: str = "tables",
    params: Mapping[str, str] | None = None,
) -> RegisteredModel:
    """The registered model of a table's label; the project's name comes first, where there is a
    project.
    """
    name, uri = f"table-{slug(label)}", None
    if project is not None:
        name, uri = registered_name(project.name, name), project.mlflow.tracking_uri
    return RegisteredModel(
        tracker=client(folder, uri),
        name=name,
        subject=f"label {label!r}",
        train_with=f"tenure table train FILE --label {shlex.quote(label)}",
        short_name=slug(label),
        experiment=experiment if project is None else project.name,
        folder=folder,
        tracking_uri=uri,
        params=params or {},
    )


def load_version(workspace: Workspace, target: Target, alias: str) -> Version | None:
    """The version of a target's model behind an alias, or None."""
    return registered_model(workspace, target).load(alias)


def need_version(workspace: Workspace, target: Target, alias: str, next_step: str = "") -> Version:
    """As `load_version`, or an error with the next step, as `RegisteredModel.need` has it."""
    return registered_model(workspace, target).need(alias, next_step)


def is_in_use(workspace: Workspace, target: Target) -> bool:
    """Whether a target has a model in use."""
    return registered_model(workspace, target).is_in_use


def register(
    models: RegisteredModel,
    bundle: Bundle,
    *,
    baselines: Mapping[str, Model] | None = None,
    reseeded: Model | None = None,
    result: TrainingResult | None = None,
    rows: TrainingSet | None = None,
) -> str:
    """Record a run in MLflow and register the bundle as a new version, the candidate.

    Parameters
    ----------
    result, rows
        The training the bundle came from and its rows; None where it was not trained here.

    Returns
    -------
    str
        Number of the version.
    """
    import mlflow

    experiment = experiment_id(
        models.tracker, models.experiment, models.folder, models.tracking_uri
    )
    beside = {**(baselines or {}), **({} if reseeded is None else {RESEEDED: reseeded})}
    with (
        mlflow.start_run(experiment_id=experiment, run_name=models.run_name) as run,
        tempfile.TemporaryDirectory() as aside,
    ):
        folder = Path(aside)
        write_bundle(bundle, folder / "bundle")
        for each, baseline in beside.items():
            write_model(baseline, folder / BASELINES / each)
        _log(models, bundle, result, rows, folder, experiment)
        # MLflow announces each registration on standard error, in the middle of the story; errors
        # still raise.
        with contextlib.redirect_stderr(io.StringIO()):
            logged = mlflow.pyfunc.log_model(
                name=models.short_name,
                python_model=str(Path(__file__).parent.parent / "serving.py"),
                artifacts={
                    part: str(folder / part)
                    for part in ("bundle", BASELINES)
                    if (folder / part).is_dir()
                },
                pip_requirements=["tenure"],
                registered_model_name=models.name,
                signature=signature(bundle),
                # Original columns of a table are people's data: none of them is kept as example.
                input_example=None
                if rows is None or COLUMNS in bundle.choices
                else rows.features.head(EXAMPLE_ROWS),
            )
        number = str(logged.registered_model_version)
        models.tag(
            number,
            run_id=run.info.run_id,
            **{MODEL_VERSION: bundle.model_version},
            is_out_of_time=str(bundle.facts.is_out_of_time).lower(),
        )
    models.describe(number, made_of(bundle))
    models.tracker.update_registered_model(
        models.name,
        f"Model of {models.subject}. `{CHAMPION}` is the version in use, `{CHALLENGER}` the newest"
        " candidate.",
    )
    models.tracker.set_registered_model_alias(models.name, CHALLENGER, number)
    return number


def made_of(bundle: Bundle) -> str:
    """What a version was made of, in a sentence."""
    training = bundle.model.training
    until = training.last_as_of
    return (
        f"{bundle.model.name.replace('_', ' ')} on {len(bundle.model.signals):,} signals, learned"
        f" from {training.rows:,} rows of"
        f" {training.accounts:,} accounts"
        f"{'' if until is None else f' until {until}'}."
    )


def signature(bundle: Bundle) -> Any:
    """What the registered model reads and returns.

    Of a table the original columns, of whatever type; else signals as doubles, because null is NaN.
    """
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema
    from mlflow.types.schema import AnyType

    numbers = ("probability", "probability_low", "probability_high")
    returned = [
        *(ColSpec("double", n) for n in numbers),
        ColSpec("long", "health"),
        ColSpec("string", "band"),
        ColSpec("string", "drivers"),
    ]
    inputs = [
        ColSpec(AnyType(), column)  # type: ignore[no-untyped-call]
        for column in input_columns(bundle.choices)
    ] or [ColSpec("double", column) for column in bundle.model.columns]
    return ModelSignature(inputs=Schema(list(inputs)), outputs=Schema(list(returned)))


def _read(models: RegisteredModel, entry: Any) -> Version:
    folder = version_folder(models.tracker, models.name, str(entry.version))
    bundle = read_bundle(folder / "artifacts" / "bundle")
    kept = folder / "artifacts" / BASELINES
    beside = (
        {part.name: read_model(part) for part in sorted(kept.iterdir()) if part.is_dir()}
        if kept.is_dir()
        else {}
    )
    reseeded = beside.pop(RESEEDED, None)
    return Version(str(entry.version), bundle, beside, reseeded, "imported" in entry.tags)


def _log(
    models: RegisteredModel,
    bundle: Bundle,
    result: TrainingResult | None,
    rows: TrainingSet | None,
    folder: Path,
    experiment: str,
) -> None:
    import mlflow

    from pipeline.reports.plots import importance_figure, reliability_figure

    mlflow.log_params(
        {
            **models.params,
            "signals": len(bundle.model.signals),
            "model": bundle.model.name,
            "config_hash": bundle.facts.config_hash or "",
            "scale_version": bundle.scale.version,
        }
    )
    training = dict(bundle.model.training.recorded)
    mlflow.log_metrics(
        {k: float(v) for k, v in training.items() if isinstance(v, int | float) and v is not None}
    )
    mlflow.log_dict(
        {
            "training": json.loads(json.dumps(training, default=str)),
            "facts": bundle.facts.to_dict(),
        },
        "facts.json",
    )
    if result is None or rows is None:
        return
    chosen = bundle.model.training.settings.items()
    mlflow.log_params({f"chosen_{k}": str(v)[:250] for k, v in chosen if not isinstance(v, dict)})
    log_trials(result.trials, experiment)
    result.trials.to_csv(folder / "trials.csv", index=False)
    mlflow.log_artifact(str(folder / "trials.csv"))
    mlflow.log_figure(
        reliability_figure(result.validation["label"], result.validation["probability"]),
        "reliability.png",
    )
    mlflow.log_figure(importance_figure(bundle.model.at_decision, rows), "importance.png")
    log_training_rows(rows, f"features_{models.short_name}")
