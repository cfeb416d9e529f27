"""MLflow: where runs, metrics and registered models are recorded."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from features.errors import NotFound

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient

    from models.dataset import TrainingSet

_TRIAL_METRICS = ("log_loss", "trees", "logistic_share")
CHAMPION, CHALLENGER = "champion", "challenger"


def client(root: Path, tracking_uri: str | None) -> "MlflowClient":
    """The MLflow client of a project: SQLite and artifacts below `root`/mlruns, or a server.

    Telemetry, the job runner and requirement look-ups are off unless the environment says
    otherwise.
    """
    for name, value in (
        ("MLFLOW_DISABLE_TELEMETRY", "true"),
        ("MLFLOW_SKIP_PIP_REQUIREMENTS_CHECK", "true"),
        ("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false"),
        ("GIT_PYTHON_REFRESH", "quiet"),
        ("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false"),
    ):
        os.environ.setdefault(name, value)
    import logging
    import warnings

    warnings.filterwarnings("ignore", module="mlflow")
    import mlflow

    # Its loggers announce every table of a new database; setting levels must follow the import.
    for name in (
        "mlflow",
        "mlflow.store.db.utils",
        "mlflow.tracking._model_registry.fluent",
        "alembic",
    ):
        logging.getLogger(name).setLevel(logging.ERROR)
    folder = (root / "mlruns").resolve()
    if tracking_uri is None:
        folder.mkdir(parents=True, exist_ok=True)
        tracking_uri = f"sqlite:///{folder}/mlflow.db"
    mlflow.set_tracking_uri(tracking_uri)
    return mlflow.MlflowClient(tracking_uri)


def experiment_id(of: "MlflowClient", name: str, root: Path, tracking_uri: str | None) -> str:
    """The experiment of that name, made with artifacts below `root`/mlruns where it is new."""
    found = of.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    location = None if tracking_uri else (root / "mlruns" / "artifacts").resolve().as_uri()
    return str(of.create_experiment(name, artifact_location=location))


def alias_version(of: "MlflowClient", model_name: str, alias: str) -> Any | None:
    """The registered version behind an alias, or None."""
    from mlflow.exceptions import MlflowException

    try:
        return of.get_model_version_by_alias(model_name, alias)
    except MlflowException:
        return None


def need_alias(of: "MlflowClient", model_name: str, alias: str, next_step: str) -> Any:
    """The registered version behind an alias.

    Raises
    ------
    NotFound
        When nothing carries the alias, with the next step.
    """
    version = alias_version(of, model_name, alias)
    if version is None:
        raise NotFound(f"target {model_name!r} has no {alias} model. {next_step}")
    return version


def log_trials(trials: "pd.DataFrame", experiment: str) -> None:
    """One nested run per trial of the search, in the experiment of the active run: left alone,
    MLflow takes `Default`.
    """
    import mlflow

    for trial in trials.to_dict("records"):
        with mlflow.start_run(
            run_name=f"trial {trial['trial']}", nested=True, experiment_id=experiment
        ):
            told = {
                str(name): value
                for name, value in trial.items()
                if value == value and value is not None
            }
            mlflow.log_metrics({name: float(told[name]) for name in _TRIAL_METRICS if name in told})
            mlflow.log_params(
                {name: value for name, value in told.items() if name not in _TRIAL_METRICS}
            )


def log_training_rows(rows: "TrainingSet", name: str) -> None:
    """Columns, counts and fingerprint of the rows that taught the model of the active run; not the
    rows.
    """
    import mlflow

    # Digests of over 36 characters are refused.
    dataset = mlflow.data.pandas_dataset.from_pandas(
        rows.features.assign(label=rows.labels),
        targets="label",
        name=name,
        digest=rows.fingerprint()[:32],
    )
    mlflow.log_input(dataset, context="training")
