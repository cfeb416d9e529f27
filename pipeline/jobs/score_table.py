"""Score a new table with the model that was trained on one, and publish scores and drivers."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from features.errors import ArtifactMismatch, ConfigError
from models.bundle import Bundle, Scored, score
from models.drivers import OTHER_CUSTOMERS, OTHERS, driver_table
from models.health.standing import MEMBER, UNKNOWN, standing
from models.table import row_dates
from models.table_input import TableRoles, codes_of, table_accounts, table_input
from pipeline.actions.worklist import write_worklist_csv
from pipeline.config import config_hash
from pipeline.config.schema import Project, StoreSettings
from pipeline.jobs.driver_rows import DRIVERS
from pipeline.jobs.promote import label_models
from pipeline.jobs.read_table import WRITINGS, Writing, read_table
from pipeline.jobs.registry import RegisteredModel, project_of
from pipeline.jobs.retention import Retention
from pipeline.jobs.score import SCORES, published_table
from pipeline.ledger import RunRow, append_run, open_ledger, published_hashes
from pipeline.storage import Store, content_hash
from pipeline.tracking import CHALLENGER, CHAMPION
from pipeline.workspace import store_of

SCORES_CSV, DRIVERS_CSV = "scores.csv", "drivers.csv"


@dataclass(frozen=True)
class TableScoring:
    """What a command asks for: the rows, the model, and where results go."""

    file: Path
    label: str
    folder: Path
    now: datetime
    clock: Callable[[], datetime]
    """Tells when the scores are published."""
    account: str | None = None
    """Column that names the accounts; None: the one of the training table."""
    date_column: str | None = None
    """Column that dates the rows; None: the one of the training table."""
    as_of: date | None = None
    """Date of all rows, where no column dates them; None: the day of the command."""
    use_candidate: bool = False
    csv_folder: Path | None = None


@dataclass(frozen=True, eq=False)
class ScoredTable:
    """Published scores and drivers of a table's rows."""

    models: RegisteredModel
    version: str
    run: RunRow
    scores: pd.DataFrame
    drivers: pd.DataFrame
    notes: tuple[str, ...]
    files: tuple[Path, ...]
    """The same as CSV, where that was asked for."""


def score_table(job: TableScoring) -> ScoredTable:
    """Score the rows of a file and publish them in the store under a run of their own.

    Raises
    ------
    NoModel
        When no model of the label is in use.
    ArtifactMismatch
        When a column is missing or cannot be read, or an account has several rows of one date.
    """
    project = project_of(job.folder)
    models = label_models(job.folder, project, job.label)
    version = models.need(
        CHALLENGER if job.use_candidate else CHAMPION,
        f"Run `tenure table promote --label {job.label}`, or score with --candidate.",
    )
    bundle = version.bundle
    roles = TableRoles.of(bundle.choices)
    account, dated = job.account or roles.account, job.date_column or roles.as_of
    notes: list[str] = []
    table = _rows(job, bundle, account, notes)
    accounts = table_accounts(table, account)
    days = _days(job, table, dated)
    _refuse_repeats(accounts, days, account)
    as_read = table_input(table, bundle.choices, days)
    keys = pd.DataFrame({"account_id": accounts, "as_of": days}).reset_index(drop=True)
    features = as_read.features.reset_index(drop=True)
    run = _run(job, project, models, bundle, keys, features)
    scores, drivers = _scored(bundle, keys, features, run)
    counts = {str(band): int(n) for band, n in standing(scores).value_counts().items()}
    run = replace(run, counts=json.dumps(counts, sort_keys=True))
    settings = StoreSettings() if project is None else project.store
    store = store_of(job.folder, settings)
    with store.writing():
        run = _publish(store, run, scores, drivers, job.clock)
        retention = Retention(store, settings, job.folder / "reports", job.now, job.clock)
        retention.tidy(models, models.name, run.as_of)
    files = _write_csv(job.csv_folder, scores, drivers)
    return ScoredTable(
        models, version.number, run, scores, drivers, (*notes, *as_read.notes), files
    )


def _rows(job: TableScoring, bundle: Bundle, account: str | None, notes: list[str]) -> pd.DataFrame:
    """The file's rows, its columns of text read as those of the training file were."""
    as_text = [code.column for code in codes_of(bundle.choices) if code.kind == "category"]
    writings = {name: Writing(**each) for name, each in bundle.choices.get(WRITINGS, {}).items()}
    names = (*as_text, *filter(None, (account,)))
    rows = read_table(job.file, names, notes.append, writings).rows
    if rows.empty:
        raise ConfigError(f"{job.file} holds no rows, so there is nothing to score.")
    return rows


def _days(job: TableScoring, table: pd.DataFrame, dated: str | None) -> pd.Series:
    """Midnight of the date that each row speaks about."""
    named = {str(column).lower(): column for column in table.columns}
    if dated is not None and dated.lower() in named and job.as_of is None:
        column = named[dated.lower()]
        return row_dates(table[column], str(column))
    if dated is not None and job.as_of is None:
        raise ArtifactMismatch(
            f"the table has no column {dated!r}, which dated the rows of the training table. Name"
            " another with --date COLUMN, or say one date for all rows with --as-of DATE."
        )
    return pd.Series(pd.Timestamp(job.as_of or job.now.date()), index=table.index).astype(
        "datetime64[us]"
    )


def _refuse_repeats(accounts: pd.Series, days: pd.Series, account: str | None) -> None:
    repeated = pd.DataFrame({"account": accounts, "day": days}).duplicated()
    if repeated.any():
        raise ArtifactMismatch(
            f"{int(repeated.sum()):,} rows repeat an account of {account!r} on one date, such as"
            f" {accounts[repeated].iloc[0]!r}: so it is unclear which score counts. Keep one"
            " row of each, or name the column that dates them with --date COLUMN."
        )


def _run(
    job: TableScoring,
    project: Project | None,
    models: RegisteredModel,
    bundle: Bundle,
    keys: pd.DataFrame,
    features: pd.DataFrame,
) -> RunRow:
    """The row of `runs`: the same table and model give the same id."""
    content = pd.concat([keys, features], axis=1)
    facts: dict[str, Any] = {
        "as_of": pd.Timestamp(keys["as_of"].max()).to_pydatetime(),
        "target": models.name,
        "basis": bundle.basis,
        "model_version": bundle.model_version,
        "calibrator_version": bundle.calibrator_version,
        "scale_version": bundle.scale.version,
        "config_hash": "" if project is None else config_hash(project),
        "input_fingerprints": json.dumps(
            {"features": content_hash(content, ["account_id", "as_of"])}
        ),
    }
    run_id = hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()
    at = pd.Timestamp(job.now)
    return RunRow.of(
        {
            **facts,
            "run_id": run_id[:16],
            "as_of": pd.Timestamp(facts["as_of"]),
            "horizon_days": bundle.model.target.get("horizon_days"),
            "state": "published",
            "counts": "{}",
            "started_at": at,
            "published_at": at,
        }
    )


def _scored(
    bundle: Bundle, keys: pd.DataFrame, features: pd.DataFrame, run: RunRow
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Scores of all rows, and drivers of those that hold anything."""
    common = {"target": run.target, "horizon_days": run.horizon_days, "run_id": run.run_id}
    known = features.notna().any(axis=1)
    now = features[known]
    scored = score(bundle, now) if known.any() else None
    scores = keys.join(scored.table if scored is not None else pd.DataFrame(index=keys.index[:0]))
    scores = scores.reindex(columns=[*keys, *(n for n, _ in SCORES if n not in keys)])
    scores["band_reason"] = scores["band_reason"].astype(object).mask(~known, "no data")
    scores["state"] = known.map({True: MEMBER, False: UNKNOWN})
    scores = scores.assign(
        **common,
        basis=bundle.basis,
        model_version=bundle.model_version,
        calibrator_version=bundle.calibrator_version,
        scale_version=bundle.scale.version,
        scored_at=run.started_at,
    )
    if scored is None:
        return scores, pd.DataFrame(columns=[name for name, _ in DRIVERS])
    scores["base_points"] = pd.Series(scored.base, index=scores.index).where(known)
    scores["base_displayed"] = pd.Series(scored.base_displayed, index=scores.index).where(known)
    return scores, _drivers(bundle, keys[known], now, scored).assign(**common)


def _drivers(
    bundle: Bundle, keys: pd.DataFrame, features: pd.DataFrame, scored: Scored
) -> pd.DataFrame:
    places = [str(place) for place in range(len(keys))]
    drivers = driver_table(
        places,
        features.reset_index(drop=True),
        None,
        scored.points,
        bundle.published.signals,
        bundle.published.reference_values,
        scored.table["health"].to_numpy(),
        scored.base_displayed,
        others=OTHER_CUSTOMERS if bundle.scale.good_event else OTHERS,
        twins=bundle.twins,
    )
    place = drivers["account_id"].astype("int64").to_numpy()
    # Nothing is known of foreign columns that would make one of them a reason of our list.
    return drivers.assign(
        account_id=keys["account_id"].to_numpy()[place],
        as_of=keys["as_of"].to_numpy()[place],
        reason=None,
        nature=None,
    )


def _publish(
    store: Store,
    run: RunRow,
    scores: pd.DataFrame,
    drivers: pd.DataFrame,
    clock: Callable[[], datetime],
) -> RunRow:
    """Scores and drivers first, then the row in `runs` that makes them current."""
    open_ledger(store)
    where = f"target = '{run.target}' and run_id = '{run.run_id}'"
    parts = ["target", "as_of"]
    tables: tuple[tuple[str, pa.Table], ...] = (
        ("drivers", published_table(drivers, DRIVERS)),
        ("scores", published_table(scores, SCORES)),
    )
    for name, rows in tables:
        store.write(name, rows, replace=where, partition_by=parts)
    hashes = published_hashes(store, run.run_id)
    return append_run(store, replace(run, table_hashes=hashes, published_at=pd.Timestamp(clock())))


def _write_csv(
    folder: Path | None, scores: pd.DataFrame, drivers: pd.DataFrame
) -> tuple[Path, ...]:
    if folder is None:
        return ()
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"--csv {folder} is a file; name a folder.")
    folder.mkdir(parents=True, exist_ok=True)
    files = (folder / SCORES_CSV, folder / DRIVERS_CSV)
    shown = drivers.drop(columns=["reason", "nature", "value_before"])
    for file, rows in zip(files, (scores, shown), strict=True):
        write_worklist_csv(rows, file)
    return files
