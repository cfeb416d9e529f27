"""MLflow: where runs, metrics and registered models are recorded."""

import json
import os
import re
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from features.errors import StoreError

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient

    from models.dataset import TrainingSet

_TRIAL_METRICS = ("log_loss", "trees", "logistic_share")
_ALIAS_UNKNOWN = re.compile(r"alias .* not found", re.IGNORECASE)
# Where MLflow's database names files by their whole path.
_PLACES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "storage_location"),
)
_LOCAL_ARTIFACTS = re.compile(r"file://.*/mlruns/artifacts")
WAIT_SECONDS = 15
"""How long a locked database is waited for."""
LONGEST_DIGEST = 32
"""Letters of a fingerprint that MLflow is given; it refuses more than 36."""
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
        # A server that is gone is told within half a minute, not within five.
        ("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3"),
        ("MLFLOW_HTTP_REQUEST_TIMEOUT", "30"),
    ):
        os.environ.setdefault(name, value)
    import logging
    import warnings

    warnings.filterwarnings("ignore", module="mlflow")
    import mlflow

    # Its loggers announce every table of a new database; setting levels must follow the import.
    for name in ("mlflow", "mlflow.tracking._model_registry.fluent", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    # It writes the traceback of each error of the database, which it raises as well.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    folder = (root / "mlruns").resolve()
    if tracking_uri is None:
        folder.mkdir(parents=True, exist_ok=True)
        refuse_damaged(folder)
        settle(folder)
        tracking_uri = f"sqlite:///{folder}/mlflow.db"
    mlflow.set_tracking_uri(tracking_uri)
    return mlflow.MlflowClient(tracking_uri)


def refuse_damaged(folder: Path) -> None:
    """Look at MLflow's database before MLflow does, which would try for an hour.

    Raises
    ------
    StoreError
        It is no database, is gone while its artifacts are there, or stays locked.
    """
    database = folder / "mlflow.db"
    if not database.exists():
        artifacts = folder / "artifacts"
        if artifacts.is_dir() and any(artifacts.iterdir()):
            raise StoreError(
                f"{database} is gone while {artifacts} holds models: which of them is in use cannot"
                " be told. Put it back from a copy, or move the folder mlruns aside and run"
                " `tenure run`."
            )
        return
    try:
        with closing(sqlite3.connect(database, timeout=WAIT_SECONDS)) as connection:
            (tables,) = connection.execute("select count(*) from sqlite_master").fetchone()
    except sqlite3.Error as error:
        is_locked = "locked" in str(error)
        raise StoreError(
            f"{database} is locked by another program; waited for {WAIT_SECONDS} seconds. Wait for"
            " it to end and run the command again."
            if is_locked
            else f"{database} cannot be used ({error}). Put it back from a copy, or move the folder"
            " mlruns aside and run `tenure run`."
        ) from error
    if database.stat().st_size == 0 or not tables:
        raise StoreError(
            f"{database} is empty, so no model can be found. Put it back from a copy, or move the"
            " folder mlruns aside and run `tenure run`."
        )


def settle(folder: Path) -> None:
    """Have MLflow's records name the files beside them.

    MLflow writes whole paths. In a copied or moved project they name the files of the original,
    which training would write into.

    Raises
    ------
    StoreError
        The records name another folder and cannot be written.
    """
    database, here = folder / "mlflow.db", _artifacts(folder)
    if not database.exists():
        return
    with closing(sqlite3.connect(database, timeout=WAIT_SECONDS)) as connection:
        named = connection.execute("select distinct artifact_location from experiments").fetchall()
        elsewhere = [place for (place,) in named if _is_copied_from(place, here)]
        if not elsewhere:
            return
        try:
            with connection:
                for place in elsewhere:
                    for table, column in _PLACES:
                        connection.execute(
                            f"update {table} set {column} = ? || substr({column}, ?)"
                            f" where {column} = ? or substr({column}, 1, ?) = ?",
                            (here, len(place) + 1, place, len(place) + 1, f"{place}/"),
                        )
        except sqlite3.Error as error:
            raise StoreError(
                f"{database} names the models of another folder ({elsewhere[0]}), as after a copy,"
                f" and cannot be set right ({error}). Give the project's folder write access."
            ) from error


def _artifacts(folder: Path) -> str:
    return (folder / "artifacts").resolve().as_uri()


def _is_copied_from(place: str | None, here: str) -> bool:
    """Whether records of this product name a folder of another project."""
    return place is not None and place != here and bool(_LOCAL_ARTIFACTS.fullmatch(place))


def experiment_id(of: "MlflowClient", name: str, root: Path, tracking_uri: str | None) -> str:
    """The experiment of that name, made with artifacts below `root`/mlruns where it is new."""
    experiment = of.get_experiment_by_name(name)
    if experiment is not None:
        return str(experiment.experiment_id)
    location = None if tracking_uri else _artifacts(root / "mlruns")
    return str(of.create_experiment(name, artifact_location=location))


def alias_version(of: "MlflowClient", model_name: str, alias: str) -> Any | None:
    """The registered version behind an alias, or None.

    Raises
    ------
    StoreError
        MLflow does not answer: that is no answer to whether a model is in use.
    """
    from mlflow.exceptions import MlflowException

    try:
        return of.get_model_version_by_alias(model_name, alias)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST" or _ALIAS_UNKNOWN.search(str(error)):
            return None
        raise  # the command line says what to do


def remove_run(of: "MlflowClient", run_id: str, *, is_own: bool) -> None:
    """Remove a run with its trials and logged models.

    Parameters
    ----------
    is_own
        Whether runs are kept in the project's folder: their files go before their records, so that
        what a kill leaves is found again. A server marks them for its own `mlflow gc`.
    """
    run = of.get_run(run_id)
    within = [run.info.experiment_id]
    trials = of.search_runs(within, f"tags.`mlflow.parentRunId` = '{run_id}'", max_results=50_000)
    store = of._tracking_client.store
    for model in of.search_logged_models(within, f"source_run_id = '{run_id}'"):
        if is_own:
            _remove_files(model.artifact_location)
            store._hard_delete_logged_model(model.model_id)
        else:
            of.delete_logged_model(model.model_id)
    for each in (*trials, run):
        if is_own:
            _remove_files(each.info.artifact_uri)
            store._hard_delete_run(each.info.run_id)
        else:
            of.delete_run(each.info.run_id)


def _remove_files(location: str) -> None:
    """Remove a folder `.../ID/artifacts` of the project with the one that is named for its ID."""
    shutil.rmtree(_path_of(location).parent, ignore_errors=True)


def _path_of(location: str) -> Path:
    """The folder that a `file:` address names."""
    return Path(url2pathname(urlsplit(location).path))


def version_folder(of: "MlflowClient", name: str, number: str) -> Path:
    """The folder with the files of a registered version: where they are, or a copy of a server's.

    MLflow's own download writes into the folder it reads.
    """
    import mlflow

    place = of.get_model_version_download_uri(name, number)
    if place.startswith("file:"):
        return _path_of(place)
    return Path(mlflow.artifacts.download_artifacts(f"models:/{name}/{number}"))


def log_trials(trials: "pd.DataFrame", experiment: str) -> None:
    """One nested run per trial of the search, in the experiment of the active run: left alone,
    MLflow takes `Default`.
    """
    import mlflow

    for trial in trials.to_dict("records"):
        with mlflow.start_run(
            run_name=f"trial {trial['trial']}", nested=True, experiment_id=experiment
        ):
            logged = {
                str(name): value
                for name, value in trial.items()
                if value == value and value is not None
            }
            mlflow.log_metrics(
                {name: float(logged[name]) for name in _TRIAL_METRICS if name in logged}
            )
            mlflow.log_params(
                {name: value for name, value in logged.items() if name not in _TRIAL_METRICS}
            )


def log_training_rows(rows: "TrainingSet", name: str) -> None:
    """Columns, counts and fingerprint of the rows that taught the model of the active run; not the
    rows.
    """
    import mlflow
    from mlflow.entities import Dataset, DatasetInput, InputTag
    from mlflow.types import ColSpec, Schema
    from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT

    # Handed a frame, MLflow would look at every value on its own to learn what is known here.
    columns = [
        ColSpec("double", signal.column, required=not rows.features[signal.column].hasnans)
        for signal in rows.signals
    ]
    schema = Schema([*columns, ColSpec("integer", "label")])
    dataset = Dataset(
        name=name,
        digest=rows.fingerprint()[:LONGEST_DIGEST],
        source_type="code",
        source=json.dumps({"tags": {}}),
        schema=json.dumps({"mlflow_colspec": schema.to_dict()}),
        profile=json.dumps({"num_rows": len(rows), "num_elements": len(rows) * len(schema.inputs)}),
    )
    active = mlflow.active_run()
    assert active is not None
    mlflow.MlflowClient().log_inputs(
        active.info.run_id,
        datasets=[DatasetInput(dataset, [InputTag(MLFLOW_DATASET_CONTEXT, "training")])],
    )
