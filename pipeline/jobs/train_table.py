"""Bring your own table: train, calibrate, judge, explain and register a model of a ready feature
table.
"""

import contextlib
import io
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from features.errors import ConfigError
from features.naming import slug
from models.artifact import write_model
from models.bundle import Bundle, Scored, score, write_bundle
from models.drivers import driver_table
from models.evaluation import evaluate
from models.gates import Gate, gates, stable, verdict
from models.health import band_table, propose_scale, scale_from_anchors, scale_problems
from models.health.scale import Scale
from models.leakage import LEAVERS_TO_AUDIT, LIMIT, LeakFinding
from models.plan import TrainingPlan
from models.table import TableOptions, TableRows, table_rows
from models.table_quality import quality_of_rows
from models.training import TrainingResult, train
from pipeline.config.schema import Project
from pipeline.jobs.evaluate import points_gate
from pipeline.jobs.read_table import read_table
from pipeline.jobs.table_in_use import (
    EVALUATION,
    TableInUse,
    beside_in_use,
    beside_words,
    table_facts,
    table_in_use,
)
from pipeline.jobs.train import signature
from pipeline.tracking import CHALLENGER, client, experiment_id, log_training_rows, log_trials

NOT_OUT_OF_TIME = (
    "not out of time: the table has no dates, so folds and test are other accounts of the same"
    " time. Expect less on later dates; name the column that dates the rows with --as-of to know"
    " how much."
)
CARD, CARD_MD, SCORES, DRIVERS = (
    "model_card.html",
    "model_card.md",
    "scores.parquet",
    "drivers.parquet",
)

Say = Callable[[str, str], None]


def _silent(step: str, text: str) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class TableJob:
    """What a command asks for: the table, its columns, where results go, how models are searched
    for.
    """

    file: Path
    options: TableOptions
    folder: Path
    """Project folder: `mlruns/` and `reports/` are below it."""
    now: datetime
    plan: TrainingPlan
    project: Project | None = None
    """What tenure.toml says, where there is one: its name, scale and tracking server."""

    @property
    def name(self) -> str:
        """Name of the registered model and of the folder of reports."""
        return table_model_name(self.project, self.options.label)

    @property
    def tracking_uri(self) -> str | None:
        """Where MLflow records; None: below the folder."""
        return None if self.project is None else self.project.mlflow.tracking_uri

    @property
    def experiment(self) -> str:
        """Name of the MLflow experiment: the project's, or the file's."""
        return self.file.name.split(".")[0] if self.project is None else self.project.name


@dataclass(frozen=True, eq=False)
class TrainedTable:
    """A registered candidate and everything that was found out about it."""

    bundle: Bundle
    rows: TableRows
    result: TrainingResult
    evaluation: Mapping[str, Any]
    scores: pd.DataFrame
    version: str
    files: tuple[Path, ...]


def table_model_name(project: Project | None, label: str) -> str:
    """Name of the registered model of a label; the project's name comes first, where there is a
    project.
    """
    own = f"table-{slug(label)}"
    return own if project is None else f"{project.name}-{own}".replace("/", "-").replace(":", "-")


def project_of(folder: Path) -> Project | None:
    """What the folder's tenure.toml says, or None: a table needs none."""
    from pipeline.config import read_project

    return read_project(folder) if (folder / "tenure.toml").is_file() else None


def table_job(
    file: Path,
    options: TableOptions,
    folder: Path,
    now: datetime,
    *,
    data_dir: Path | None = None,
    trials: int | None = None,
) -> TableJob:
    """Return the job for a file, with the settings of the folder's tenure.toml where there is
    one.
    """
    project = project_of(folder)
    plan = TrainingPlan()
    if project is not None:
        settings = project.training
        plan = TrainingPlan(
            trials=settings.trials,
            folds=settings.folds,
            seed=settings.seed,
            bags=settings.bags,
            max_trees=settings.max_trees,
            threads=settings.threads,
        )
    if trials is not None:
        plan = replace(plan, trials=trials)
    start = data_dir.resolve() if data_dir is not None else Path.cwd()
    return TableJob((start / file).resolve(), options, folder, now, plan, project)


def parse_waivers(texts: Sequence[str]) -> dict[str, str]:
    """Return column -> reason of `COLUMN=REASON` texts.

    Raises
    ------
    ConfigError
        When a text has no reason: it is recorded with the model and read by others.
    """
    waivers: dict[str, str] = {}
    for text in texts:
        column, _, reason = text.partition("=")
        if not column.strip() or not reason.strip():
            raise ConfigError(
                f"--waive {text!r} must be COLUMN=REASON; the reason is recorded with the model."
            )
        waivers[column.strip()] = reason.strip()
    return waivers


def train_table(job: TableJob, say: Say = _silent) -> TrainedTable:
    """Train on a table, judge the model on its held-out rows, register it as challenger, and write
    its reports.

    `say` is told the story of the run, in about a dozen lines.

    Raises
    ------
    LeakageError
        When a column names accounts, or nearly tells the label alone.
    ConfigError
        When file, columns or label cannot work as asked.
    """
    table = read_table(
        job.file, tuple(filter(None, (job.options.account,))), lambda text: say("note", text)
    )
    rows = table_rows(table, job.options, advice=_advice)
    _tell_rows(say, job, rows, len(table))
    plan = replace(job.plan, waivers={**job.plan.waivers, **rows.signal_waivers()})
    result = train(rows.training_set, plan, target=_target(job))
    in_use = table_in_use(client(job.folder, job.tracking_uri), job.name)
    bundle = _bundle(job, rows, result, in_use)
    _tell_training(say, rows, result, bundle)
    test = rows.training_set.test
    scored = score(bundle, test.features)
    found = _evaluation(job, rows, result, bundle, in_use)
    _tell_evaluation(say, found)
    scores, drivers = _scores(rows, scored), _drivers(rows, bundle, scored)
    version = _register(job, bundle, result, rows, found)
    found |= {
        "registered_model": job.name,
        "registered_version": version,
        "model_version": bundle.model_version,
    }
    files = _write(job, rows, bundle, found, scores, drivers)
    say(
        "model",
        f"{job.name} version {version} is the candidate ({CHALLENGER}); model"
        f" {bundle.model_version}; next: tenure promote --label {_quoted(job.options.label)}",
    )
    say("look", f"{files[0]}  {'  '.join(path.name for path in files[1:])}")
    return TrainedTable(bundle, rows, result, found, scores, version, files)


def quality_of_table(
    file: Path,
    label: str,
    *,
    positive: str | None = None,
    account: str | None = None,
    drop: Sequence[str] = (),
    waivers: Mapping[str, str] | None = None,
    plan: TrainingPlan | None = None,
    folds: int = 5,
) -> dict[str, Any]:
    """Return `models.table_quality.quality_of_rows` of a file: figures of ours and simple models,
    by cross-validation.
    """
    options = TableOptions(label, positive, account, drop=tuple(drop), waivers=dict(waivers or {}))
    return quality_of_rows(
        read_table(file, tuple(filter(None, (account,)))), options, plan, folds=folds
    )


def _tell_rows(say: Say, job: TableJob, rows: TableRows, rows_read: int) -> None:
    made = rows.training_set
    whose = f"accounts ({job.options.account})" if job.options.account else "distinct rows"
    say(
        "table",
        f"{job.file.name}: {rows_read:,} rows read, {len(made):,} used,"
        f" {made.keys['account_id'].nunique():,} {whose}; {made.labels.mean():.1%} with"
        f" {job.options.label}; {len(made.signals)} signals of {len(rows.codes)} columns",
    )
    for note in [*([] if rows.has_dates else [NOT_OUT_OF_TIME]), *rows.notes]:
        say("note", note)


def _tell_training(say: Say, rows: TableRows, result: TrainingResult, bundle: Bundle) -> None:
    training = bundle.model.training
    say(
        "train",
        f"{bundle.model.name}, {len(result.trials)} trials, {training['rows']:,} rows, "
        f"{training['leaving_accounts']:,} accounts with the event; top columns: "
        + ", ".join(_top_columns(rows, bundle)),
    )
    for note in _training_notes(rows, result):
        say("note", note)


def _tell_evaluation(say: Say, found: Mapping[str, Any]) -> None:
    test = found["test"]
    say(
        "test",
        f"{test['n']:,} rows held out, {test['events']:,} with the event; AUC"
        f" {_with_interval(test, 'auc', 3)}, log loss {_with_interval(test, 'log_loss', 4)}",
    )
    for name, part in found["baselines"].items():
        say(
            "beside",
            f"{name}: log loss {part['log_loss']:.4f}, AUC {part['auc']:.3f}; ours minus theirs "
            f"{_with_interval(part, 'difference', 4, sign=True)}",
        )
    if found["champion"] is not None:
        say("beside", beside_words(found["champion"]))
    say(
        "test",
        f"calibration slope {_with_interval(test, 'calibration_slope', 2)};"
        f" {test['mean_probability']:.1%} expected, {test['rate']:.1%} happened; expected error"
        f" {test['ece']:.3f} where chance gives {test['ece_expected']:.3f}",
    )
    for gate in found["gates"]:
        if verdict(gate) != "passed":
            say("gate", f"{verdict(gate)}  {gate['name']}: {gate['reason']}")
    passed = [gate["name"] for gate in found["gates"] if verdict(gate) == "passed"]
    say("gate", f"passed: {', '.join(passed) or 'none'}")


def _with_interval(part: Mapping[str, Any], name: str, decimals: int, *, sign: bool = False) -> str:
    shown = f"{'+' if sign else ''}.{decimals}f"
    ends = (part.get(f"{name}_low"), part.get(f"{name}_high"))
    value = part.get(name)
    if value is None:
        return "not defined"
    return format(value, shown) + (
        "" if None in ends else f" ({ends[0]:{shown}} to {ends[1]:{shown}})"
    )


def _advice(findings: Sequence[LeakFinding]) -> str:
    """What to type next, for the columns found."""
    named = [finding.column for finding in findings if finding.kind == "identifier"]
    others = [finding.column for finding in findings if finding.kind != "identifier"]
    parts = []
    if named:
        parts.append(f"If it names the accounts, say --account {_quoted(named[0])}.")
    drops = " ".join(f"--drop {_quoted(column)}" for column in (*named, *others))
    parts.append(f"To leave out: {drops}.")
    parts.append("To keep one that is known before the outcome: --waive COLUMN=REASON.")
    return " ".join(parts)


def _quoted(column: str) -> str:
    return column if column.replace("_", "").replace("-", "").isalnum() else f"'{column}'"


def _target(job: TableJob) -> dict[str, Any]:
    return {
        "name": job.options.label,
        "kind": "table",
        "positive": job.options.positive,
        "horizon_days": job.options.horizon_days,
        "table": job.file.name,
    }


def _notes(rows: TableRows, result: TrainingResult) -> list[str]:
    return [
        *([] if rows.has_dates else [NOT_OUT_OF_TIME]),
        *rows.notes,
        *_training_notes(rows, result),
    ]


def _training_notes(rows: TableRows, result: TrainingResult) -> list[str]:
    # The fold plan explains folds by account by too few dates; a table without dates has its own
    # note.
    return [note for note in result.notes if rows.has_dates or "not out of time" not in note]


def _bundle(
    job: TableJob, rows: TableRows, result: TrainingResult, in_use: TableInUse | None
) -> Bundle:
    scale, problems = _scale(job, rows, result, in_use)
    facts = {
        "notes": _notes(rows, result),
        "scale_problems": list(problems),
        "project": job.name,
        "currency": "",
        "train_dates": [],
        "test_dates": [],
        "is_out_of_time": rows.has_dates,
        "table": job.file.name,
    }
    # No scorecard: nothing says of a foreign column which direction is worse.
    return Bundle(
        result.model, None, scale, {"table_columns": [code.to_dict() for code in rows.codes]}, facts
    )


def _scale(
    job: TableJob, rows: TableRows, result: TrainingResult, in_use: TableInUse | None
) -> tuple[Scale, tuple[str, ...]]:
    """The anchors declared in tenure.toml, those in use, or a proposal from probabilities of rows
    the model had not seen.
    """
    latest = result.validation.sort_values(["account_id", "as_of"]).drop_duplicates(
        "account_id", keep="last"
    )
    probability = latest["probability"].to_numpy(dtype=np.float64)
    phi_0, _ = result.model.contributions(rows.training_set.features.head(1))
    assert result.model.calibrator is not None
    base = float(result.model.calibrator.calibrate(np.array([phi_0]))[0])
    declared = job.project.scale if job.project is not None else None
    if declared is not None and declared.p_at_risk is not None and declared.p_healthy is not None:
        scale = scale_from_anchors(
            declared.p_at_risk,
            declared.p_healthy,
            at_risk_until=declared.at_risk_until,
            stable_until=declared.stable_until,
        )
        return scale, scale_problems(scale, probability, base)
    if in_use is not None and in_use.predicts(table_facts(job.file.name, job.options, rows)):
        # Anchors are fixed when first chosen: a retrain must not move what 40 means.
        return in_use.bundle.scale, scale_problems(in_use.bundle.scale, probability, base)
    proposal = propose_scale(probability, None, base)
    return proposal.scale, proposal.problems


def _evaluation(
    job: TableJob,
    rows: TableRows,
    result: TrainingResult,
    bundle: Bundle,
    in_use: TableInUse | None,
) -> dict[str, Any]:
    """The shape of `evaluate --json`, with the label as target."""
    found = evaluate(result, None, rows.training_set, seed=job.plan.seed)
    facts = table_facts(job.file.name, job.options, rows)
    found["champion"] = (
        None
        if in_use is None
        else beside_in_use(in_use, rows, facts, bundle, result.reseeded, seed=job.plan.seed)
    )
    passed = (
        _audit_gate(rows),
        *gates(found),
        points_gate(bundle, rows.training_set.test),
        *_stable_gate(job, found["champion"]),
    )
    found["target"] = job.options.label
    if not rows.has_dates:
        found["test"]["as_of"] = []
        passed = tuple(
            replace(gate, name=gate.name.replace("out of time", "on other accounts"))
            for gate in passed
        )
    found["gates"] = [gate.to_dict() for gate in passed]
    found["is_out_of_time"] = rows.has_dates
    found["notes"] = list(bundle.facts["notes"])
    found["table"] = facts
    found["top_columns"] = _top_columns(rows, bundle)
    return found


def _stable_gate(job: TableJob, beside: Mapping[str, Any] | None) -> tuple[Gate, ...]:
    """As for a project's model. The budget is the project's: without tenure.toml moves are told,
    and nothing is asked.
    """
    if job.project is None or beside is None or beside["note"] is not None:
        return ()
    return (
        stable(
            beside["band_changes"],
            beside["reseeded"],
            job.project.training.band_change_budget,
            look="Raise",
        ),
    )


def _audit_gate(rows: TableRows) -> Gate:
    train = ~rows.training_set.keys["is_test"].to_numpy(dtype=bool)
    leaving = rows.training_set.leaving_accounts(np.flatnonzero(train))
    waived = "; ".join(f"{each.column} waived: {each.waived}" for each in rows.findings)
    found = f"{len(rows.codes)} columns asked alone, none reaches an AUC of {LIMIT}"
    if leaving < LEAVERS_TO_AUDIT:
        found = (
            f"only {leaving} accounts with the event (under {LEAVERS_TO_AUDIT}), so columns could"
            " be looked through for identifiers, not for the outcome in disguise: look yourself"
        )
    return Gate("leakage audit", True, found + (f", but for {waived}." if waived else "."))


def _top_columns(rows: TableRows, bundle: Bundle, most: int = 5) -> list[str]:
    """Columns of the table by the mean size of what they add to the log-odds of test rows."""
    _, phi = bundle.model.contributions(rows.training_set.test.features)
    owner = [code.column for code in rows.codes for _ in code.signals]
    size = pd.Series(np.abs(phi).mean(axis=0)).groupby(owner).sum().sort_values(ascending=False)
    return [str(column) for column in size.index[:most]]


def _scores(rows: TableRows, scored: Scored) -> pd.DataFrame:
    """Held-out rows: row (position in the file), account_id, as_of (with dates), label,
    probability, score, band.
    """
    is_test = rows.training_set.keys["is_test"].to_numpy(dtype=bool)
    keys = rows.training_set.keys.loc[is_test].reset_index(drop=True)
    table = pd.DataFrame({"row": rows.row[is_test], "account_id": keys["account_id"]})
    if rows.has_dates:
        table["as_of"] = keys["as_of"]
    table["label"] = rows.training_set.labels[is_test].astype("int64")
    shown = scored.table[
        ["probability", "probability_low", "probability_high", "health", "health_exact", "band"]
    ]
    table = pd.concat([table, shown.reset_index(drop=True)], axis=1)
    return table.sort_values("row", kind="stable").reset_index(drop=True)


def _drivers(rows: TableRows, bundle: Bundle, scored: Scored) -> pd.DataFrame:
    """Why each held-out row scores what it does; `row` as in the scores."""
    test = rows.training_set.test
    references = {k: float("nan") if v is None else v for k, v in bundle.model.references.items()}
    row = rows.row[rows.training_set.keys["is_test"].to_numpy(dtype=bool)]
    table = driver_table(
        [str(each) for each in row],
        test.features,
        None,
        scored.points,
        bundle.model.signals,
        references,
        scored.table["health"],
        scored.base_displayed,
        twins=bundle.twins,
    )
    table.insert(0, "row", table["account_id"].astype("int64"))
    table["account_id"] = table["row"].map(dict(zip(row, test.keys["account_id"], strict=True)))
    # Nothing is known of foreign columns that would make one of them a reason of our list.
    return table.drop(columns=["value_before", "reason", "nature"])


def _register(
    job: TableJob, bundle: Bundle, result: TrainingResult, rows: TableRows, found: Mapping[str, Any]
) -> str:
    """Record a run in MLflow and register the bundle as a new version with the alias challenger."""
    uri = job.tracking_uri
    tracker = client(job.folder, uri)
    import mlflow

    experiment = experiment_id(tracker, job.experiment, job.folder, uri)
    with (
        mlflow.start_run(experiment_id=experiment, run_name=f"train {job.options.label}") as run,
        tempfile.TemporaryDirectory() as aside,
    ):
        folder = Path(aside)
        write_bundle(bundle, folder / "bundle")
        for name, baseline in result.baselines.items():
            write_model(baseline, folder / "baselines" / name)
        _log(job, bundle, result, rows, found, experiment)
        # MLflow announces each registration on standard error, in the middle of the story; errors
        # still raise.
        with contextlib.redirect_stderr(io.StringIO()):
            logged = mlflow.pyfunc.log_model(
                name=slug(job.options.label),
                python_model=str(Path(__file__).parent.parent / "serving.py"),
                artifacts={
                    "bundle": str(folder / "bundle"),
                    "baselines": str(folder / "baselines"),
                },
                pip_requirements=["tenure"],
                registered_model_name=job.name,
                signature=signature(bundle),
            )
        version = str(logged.registered_model_version)
        tracker.set_model_version_tag(job.name, version, "run_id", run.info.run_id)
        tracker.set_model_version_tag(
            job.name, version, "is_out_of_time", str(rows.has_dates).lower()
        )
    tracker.set_registered_model_alias(job.name, CHALLENGER, version)
    return version


def _log(
    job: TableJob,
    bundle: Bundle,
    result: TrainingResult,
    rows: TableRows,
    found: Mapping[str, Any],
    experiment: str,
) -> None:
    import mlflow

    from pipeline.reports.plots import importance_figure, lift_figure, reliability_figure

    mlflow.log_params(
        {
            "table": job.file.name,
            "label": job.options.label,
            "positive": str(job.options.positive),
            "account": str(job.options.account),
            "as_of": str(job.options.as_of),
            "model": bundle.model.name,
            "signals": len(bundle.model.signals),
            "is_out_of_time": rows.has_dates,
        }
    )
    numbers = {
        name: value for name, value in found["test"].items() if isinstance(value, int | float)
    }
    mlflow.log_metrics({f"test_{name}": float(value) for name, value in numbers.items()})
    mlflow.log_dict(dict(found), EVALUATION)
    mlflow.log_text(result.trials.to_csv(index=False), "trials.csv")
    log_trials(result.trials, experiment)
    log_training_rows(rows.training_set, job.file.name)
    held = rows.training_set.test
    probability = bundle.model.probability(held.features)
    mlflow.log_figure(reliability_figure(held.labels, probability), "reliability.png")
    mlflow.log_figure(
        lift_figure(
            pd.DataFrame({"label": held.labels, "probability": probability}), found["test"]
        ),
        "lift.png",
    )
    mlflow.log_figure(importance_figure(bundle.model, rows.training_set), "importance.png")


def _write(
    job: TableJob,
    rows: TableRows,
    bundle: Bundle,
    found: Mapping[str, Any],
    scores: pd.DataFrame,
    drivers: pd.DataFrame,
) -> tuple[Path, ...]:
    """Write card, scores, drivers and evaluation, each aside first and then swapped."""
    from pipeline.reports.model_card import ModelCardInputs, model_card

    page, markdown = model_card(
        ModelCardInputs(
            project=job.name,
            target_words=_words(job),
            evaluation=found,
            gates=found["gates"],
            model_info=_info(job, rows, bundle, found),
            signals=bundle.model.signals,
            band_table=band_table(bundle.scale, scores["probability"], scores["label"]),
            backtest=scores,
            now=job.now,
            limits=(*bundle.facts["notes"], *bundle.facts["scale_problems"]),
            waivers=tuple(f"{each.column}: {each.waived}" for each in rows.findings),
        )
    )
    folder = job.folder / "reports" / job.name
    folder.mkdir(parents=True, exist_ok=True)
    texts = {
        CARD: page,
        CARD_MD: markdown,
        EVALUATION: json.dumps(found, indent=1, sort_keys=True) + "\n",
    }
    for name, text in texts.items():
        (folder / f".{name}").write_text(text, encoding="utf-8")
    for name, table in ((SCORES, scores), (DRIVERS, drivers)):
        table.to_parquet(folder / f".{name}", index=False)
    names = (CARD, CARD_MD, SCORES, DRIVERS, EVALUATION)
    for name in names:
        (folder / f".{name}").replace(folder / name)
    return tuple(folder / name for name in names)


def _words(job: TableJob) -> str:
    value = f" = {job.options.positive}" if job.options.positive is not None else ""
    when = f" within {job.options.horizon_days} days" if job.options.horizon_days else ""
    return f"Will it be {job.options.label}{value}{when}?"


def _info(
    job: TableJob, rows: TableRows, bundle: Bundle, found: Mapping[str, Any]
) -> dict[str, Any]:
    training = bundle.model.training
    dates = (
        f"{training['first_as_of']} to {training['last_as_of']}"
        if rows.has_dates
        else "none: not out of time"
    )
    settings = training.get("settings")
    return {
        "version": bundle.model_version,
        "method": bundle.model.name,
        "calibrator": bundle.calibrator_version,
        "scale": f"{bundle.scale.p_at_risk:.1%} at 40|41, {bundle.scale.p_healthy:.1%} at 70|71",
        "table": job.file.name,
        "label": job.options.label,
        "accounts named by": job.options.account or "nothing: each distinct row is one",
        "dates": dates,
        "training rows": training["rows"],
        "training accounts": training["accounts"],
        "accounts with the event": training["leaving_accounts"],
        "settings": json.dumps(settings, default=str) if settings else "no search",
        "training data": str(training["fingerprint"])[:16],
        **({} if found["champion"] is None else {"beside": beside_words(found["champion"])}),
    }
