"""Registered versions of a target's model, and their runs, that nothing can go back to any more."""

from collections.abc import Sequence

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.evaluations import EVALUATIONS
from pipeline.jobs.registry import MODEL_VERSION, RegisteredModel
from pipeline.ledger import KEPT_STATES, current_run, run_rows
from pipeline.storage import Store
from pipeline.tracking import CHALLENGER, CHAMPION, remove_run


def drop_old_versions(
    store: Store, models: RegisteredModel, target: str, until: pd.Timestamp
) -> list[str]:
    """Remove versions registered before a moment, and with them their runs, files and evaluations;
    returns their numbers.

    The version in use, the candidate, and those that scored the current run or one published since
    stay: `rollback`, `replay` and `explain` ask them.

    Parameters
    ----------
    target
        As the runs in the store name it.
    """
    needed = {models.number_of(CHAMPION), models.number_of(CHALLENGER)}
    scored = _scored_since(store, target, until)
    dropped, runs, kept = [], set(), scored.copy()
    entries = models.tracker.search_model_versions(f"name='{models.name}'")
    old_runs = _runs_until(models, [entry.tags.get("run_id") for entry in entries], until)
    for entry in entries:
        number, model = str(entry.version), entry.tags.get(MODEL_VERSION)
        is_old = pd.Timestamp(entry.creation_timestamp, unit="ms") < until
        # Versions of earlier releases do not say which model they are: they stay.
        if is_old and number not in needed and model is not None and model not in scored:
            models.tracker.delete_model_version(models.name, number)
            dropped.append(number)
        else:
            runs.add(entry.tags.get("run_id"))
            kept |= {model} if model else set()
    # Not only those of the versions dropped now: a kill leaves runs without a version.
    for run_id in old_runs:
        if run_id not in runs:
            remove_run(models.tracker, run_id, is_own=models.tracking_uri is None)
    if dropped:
        _drop_evaluations(store, target, kept, until)
    for journal in (models.folder / "mlruns" / "searches").glob(f"{models.short_name}-*.log"):
        if pd.Timestamp(journal.stat().st_mtime, unit="s") < until:
            journal.unlink()
    return dropped


def _scored_since(store: Store, target: str, until: pd.Timestamp) -> set[str]:
    """Models of the current run and of those that were published since."""
    runs, current = run_rows(store), current_run(store, target)
    mine = runs[(runs["target"] == target) & runs["state"].isin(KEPT_STATES)]
    recent = set(mine["model_version"][mine["published_at"] >= until])
    return recent | ({str(current.model_version)} if current is not None else set())


def _runs_until(
    models: RegisteredModel, of_versions: Sequence[str | None], until: pd.Timestamp
) -> list[str]:
    """Runs that registered versions of the model, or tried to, before a moment: a table's are in
    the experiment that its file gave them.
    """
    named = models.tracker.get_experiment_by_name(models.experiment)
    experiments = set() if named is None else {named.experiment_id}
    for run_id in filter(None, of_versions):
        experiments.add(models.tracker.get_run(run_id).info.experiment_id)
    if not experiments:
        return []
    runs = models.tracker.search_runs(
        sorted(experiments),
        f"attributes.run_name = '{models.run_name}'"
        f" and attributes.start_time < {int(until.timestamp() * 1000)}",
        max_results=50_000,
    )
    return [run.info.run_id for run in runs]


def _drop_evaluations(store: Store, target: str, kept: set[str], until: pd.Timestamp) -> None:
    if store.exists(EVALUATIONS):
        is_old = pc.field("evaluated_at") < pa.scalar(until.to_pydatetime(), pa.timestamp("us"))
        is_kept = pc.field(MODEL_VERSION).isin([*kept])
        store.erase(EVALUATIONS, (pc.field("target") == target) & is_old & ~is_kept)
