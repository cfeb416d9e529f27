"""Bring your own table: read, code and audit it; from there it goes the way of every target."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from features.errors import ConfigError
from models.bundle import Bundle, BundleFacts, Scored
from models.costs import SAVINGS_FACT, Savings, savings
from models.drivers import driver_table
from models.gates import Gate
from models.health import band_table
from models.health.words import anchor_words
from models.leakage import LEAVERS_TO_AUDIT, LIMIT, LeakFinding
from models.metrics import Estimate
from models.table import TableOptions, TableRows, column_named, roles_of, table_rows
from models.table_input import COLUMNS, TableRoles
from models.training import TrainingResult
from pipeline.config.schema import Objective, Project, ScaleAnchors, Training
from pipeline.evaluations import OfTable, TableFacts, VersionEvaluation
from pipeline.jobs.evaluate import judge
from pipeline.jobs.in_use import InUse
from pipeline.jobs.read_table import WRITINGS, Writing, read_table
from pipeline.jobs.registry import (
    EVALUATION,
    RegisteredModel,
    Version,
    project_of,
    registered_table,
)
from pipeline.jobs.run_record import CARD, CARD_MD, record_evaluation
from pipeline.jobs.table_in_use import NOT_OUT_OF_TIME, table_facts, table_in_use
from pipeline.jobs.train import (
    LearningTask,
    Trained,
    candidate_of,
    inputs_digest,
    learn,
    nothing_changed,
    register_learned,
    training_plan,
)
from pipeline.tracking import CHALLENGER

SCORES, DRIVERS = "scores.parquet", "drivers.parquet"

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
    training: Training
    project: Project | None = None
    """What tenure.toml says, where there is one."""
    decimal: str | None = None
    """The mark before decimals, where the numbers themselves leave it open."""
    is_again: bool = False
    """Whether a model is trained even where nothing changed since the last."""

    @property
    def models(self) -> RegisteredModel:
        """The registered model of the label; its name is that of the folder of reports, too."""
        return registered_table(
            self.folder,
            self.project,
            self.options.label,
            experiment=self.file.name.split(".")[0],
            params={
                "table": self.file.name,
                "label": self.options.label,
                "positive": str(self.options.positive),
                "account": str(self.options.account),
                "date": str(self.options.as_of),
            },
        )


@dataclass(frozen=True, eq=False)
class TrainedTable:
    """A registered candidate and everything that was found out about it."""

    bundle: Bundle
    rows: TableRows
    evaluation: VersionEvaluation
    scores: pd.DataFrame
    version: str
    files: tuple[Path, ...]


def table_job(
    file: Path,
    options: TableOptions,
    folder: Path,
    now: datetime,
    *,
    data_dir: Path | None = None,
    trials: int | None = None,
    decimal: str | None = None,
    is_again: bool = False,
) -> TableJob:
    """Return the job for a file, with the settings of the folder's tenure.toml where there is
    one.
    """
    project = project_of(folder)
    training = Training() if project is None else project.training
    if trials is not None:
        training = replace(training, trials=trials)
    start = data_dir.resolve() if data_dir is not None else Path.cwd()
    return TableJob(
        (start / file).resolve(), options, folder, now, training, project, decimal, is_again
    )


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
    """Train on a table, register the model as the candidate, judge it on its held-out rows, and
    write its reports.

    `say` is told the story of the run, in about a dozen lines.

    Raises
    ------
    LeakageError
        When a column names accounts, or nearly tells the label alone.
    ConfigError
        When file, columns or label cannot work as asked.
    """
    file = read_table(
        job.file,
        tuple(filter(None, (job.options.account,))),
        lambda text: say("note", text),
        decimal=job.decimal,
    )
    table = file.rows
    options = with_declared_waivers(job, table)
    rows = table_rows(table, options, advice=next_step_of_leaks)
    _tell_rows(say, job, rows, len(table))
    task, facts = table_task(job, rows), table_facts(job.file.name, options, rows)
    choices = _choices(rows, options, table, file.writings)
    in_use = table_in_use(task.models, facts, rows)
    candidate = _candidate(say, job, task, rows, choices, in_use)
    judged = judge(
        task,
        candidate,
        rows.training_set,
        in_use,
        first_gates=(_audit_gate(rows),),
        look="Raise",  # `tenure changes` looks at runs, which a table has none of
    )
    bundle = candidate.bundle
    evaluation = _of_table(judged.evaluation, task, rows, bundle, facts)
    _tell_evaluation(say, evaluation)
    scores = _scores(rows, judged.scored)
    card = _card(job, rows, bundle, evaluation, scores)
    record_evaluation(task.models, candidate.number, evaluation, scores, card)
    drivers = _drivers(rows, bundle, judged.scored)
    files = _write(job.folder / "reports" / task.models.name, evaluation, card, scores, drivers)
    say(
        "model",
        f"{task.models.name} version {candidate.number} is the candidate ({CHALLENGER}); model"
        f" {bundle.model_version}; next: tenure table promote --label"
        f" {_quoted(options.label)}",
    )
    say("look", f"{files[0]}  {'  '.join(path.name for path in files[1:])}")
    return TrainedTable(bundle, rows, evaluation, scores, candidate.number, files)


def _candidate(
    say: Say,
    job: TableJob,
    task: LearningTask,
    rows: TableRows,
    choices: Mapping[str, Any],
    in_use: InUse | None,
) -> Version:
    """The candidate there is, where the same rows and settings made it; else one trained now."""
    inputs = inputs_digest(task, rows.training_set, choices)
    same = None if job.is_again else candidate_of(task.models, inputs)
    if same is not None:
        say("train", nothing_changed(same))
        return same
    learned = learn(task, rows.training_set, in_use)
    trained = register_learned(
        task,
        learned,
        rows.training_set,
        choices,
        replace(_bundle_facts(task, rows, learned.result), inputs=inputs),
    )
    _tell_training(say, rows, trained)
    return Version(trained.version, trained.bundle, trained.baselines, trained.result.reseeded)


def _choices(
    rows: TableRows, options: TableOptions, table: pd.DataFrame, writings: Mapping[str, Writing]
) -> dict[str, Any]:
    """What another table needs to be read as this one was: codes, roles and writings of columns."""
    roles = TableRoles(
        *(None if n is None else column_named(table, n) for n in (options.account, options.as_of))
    )
    read = {code.column for code in rows.codes}
    return {
        COLUMNS: [code.to_dict() for code in rows.codes],
        **roles.to_choices(),
        WRITINGS: {name: asdict(w) for name, w in writings.items() if name in read},
    }


def table_task(job: TableJob, rows: TableRows) -> LearningTask:
    """What is to be learned from a table, by the settings of tenure.toml where there is one.

    `[training] cohorts` names an attribute of the project's accounts, which a table does not have.
    """
    project = job.project
    return LearningTask(
        models=job.models,
        facts={
            "name": job.options.label,
            "kind": "table",
            "positive": job.options.positive,
            "horizon_days": job.options.horizon_days,
            "table": job.file.name,
        },
        plan=training_plan(job.training, waivers=rows.signal_waivers()),
        training=job.training,
        objective=Objective() if project is None else project.objective,
        scale=ScaleAnchors() if project is None else project.scale,
        cohorts=None,
        # Without tenure.toml moves are said, and nothing is asked.
        band_change_budget=None if project is None else job.training.band_change_budget,
    )


def with_declared_waivers(job: TableJob, table: pd.DataFrame) -> TableOptions:
    """The options with the waivers of tenure.toml for columns of the table that the command says
    nothing about.
    """
    options = job.options
    named = {name.lower() for name in roles_of(options)}
    others = {str(column).lower() for column in table.columns} - named
    declared = {
        name: reason for name, reason in job.training.waivers.items() if name.lower() in others
    }
    return replace(options, waivers={**declared, **options.waivers})


def _tell_rows(say: Say, job: TableJob, rows: TableRows, rows_read: int) -> None:
    used = rows.training_set
    whose = f"accounts ({job.options.account})" if job.options.account else "distinct rows"
    say(
        "table",
        f"{job.file.name}: {rows_read:,} rows read, {len(used):,} used,"
        f" {used.keys['account_id'].nunique():,} {whose}; {used.labels.mean():.1%} with"
        f" {job.options.label}; {len(used.signals)} signals of {len(rows.codes)} columns",
    )
    for note in [*([] if rows.has_dates else [NOT_OUT_OF_TIME]), *rows.notes]:
        say("note", note)


def _tell_training(say: Say, rows: TableRows, trained: Trained) -> None:
    bundle, result, training = trained.bundle, trained.result, trained.bundle.model.training
    say(
        "train",
        f"{bundle.model.name}, {len(result.trials)} trials, {training.rows:,} rows, "
        f"{training.leaving_accounts:,} accounts with the event; top columns: "
        + ", ".join(_top_columns(rows, bundle)),
    )
    for note in _training_notes(rows, result):
        say("note", note)


def _tell_evaluation(say: Say, evaluation: VersionEvaluation) -> None:
    counts, figures = evaluation.test.counts, evaluation.test.metrics
    say(
        "test",
        f"{counts.n:,} rows held out, {counts.events:,} with the event;"
        f" AUC {_with_interval(figures.auc, '.3f')},"
        f" log loss {_with_interval(figures.log_loss, '.4f')}",
    )
    for name, part in evaluation.baselines.items():
        say(
            "beside",
            f"{name}: log loss {part.log_loss:.4f}, AUC {part.auc:.3f}; ours minus theirs "
            f"{_with_interval(part.difference, '+.4f')}",
        )
    if evaluation.in_use is not None:
        say("beside", evaluation.in_use.words)
    say(
        "test",
        f"calibration slope {_with_interval(figures.calibration_slope, '.2f')};"
        f" {figures.mean_probability.value:.1%} expected, {figures.rate.value:.1%} happened;"
        f" expected error {figures.ece.value:.3f} where chance gives"
        f" {evaluation.test.ece_expected:.3f}",
    )
    if evaluation.of_table is not None and evaluation.of_table.savings is not None:
        say("costs", evaluation.of_table.savings.words)
    for gate in evaluation.gates:
        if gate.verdict != "passed":
            say("gate", f"{gate.verdict}  {gate.name}: {gate.reason}")
    passed = [gate.name for gate in evaluation.gates if gate.verdict == "passed"]
    say("gate", f"passed: {', '.join(passed) or 'none'}")


def _with_interval(estimate: Estimate, shown: str) -> str:
    value, low, high = estimate.value, estimate.low, estimate.high
    if math.isnan(value):
        return "not defined"
    if math.isnan(low) or math.isnan(high):
        return format(value, shown)
    return f"{value:{shown}} ({low:{shown}} to {high:{shown}})"


def next_step_of_leaks(findings: Sequence[LeakFinding]) -> str:
    """Return what to type next, for the columns found."""
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


def _bundle_facts(task: LearningTask, rows: TableRows, result: TrainingResult) -> BundleFacts:
    return BundleFacts(
        notes=(
            *(() if rows.has_dates else (NOT_OUT_OF_TIME,)),
            *rows.notes,
            *_training_notes(rows, result),
        ),
        project=task.models.name,
        is_out_of_time=rows.has_dates,
        table=str(task.facts["table"]),
    )


def _training_notes(rows: TableRows, result: TrainingResult) -> list[str]:
    # The fold plan explains folds by account by too few dates; a table without dates has its own
    # note.
    return [note for note in result.notes if rows.has_dates or "not out of time" not in note]


def _of_table(
    evaluation: VersionEvaluation,
    task: LearningTask,
    rows: TableRows,
    bundle: Bundle,
    facts: TableFacts,
) -> VersionEvaluation:
    """The evaluation with what is special about a table: without dates nothing is out of time."""
    test, gates = evaluation.test, evaluation.gates
    if not rows.has_dates:
        test = replace(test, counts=replace(test.counts, as_of=()))
        gates = tuple(
            replace(gate, name=gate.name.replace("out of time", "on other accounts"))
            for gate in gates
        )
    of_table = OfTable(
        registered_model=task.models.name,
        is_out_of_time=rows.has_dates,
        notes=bundle.facts.notes,
        top_columns=tuple(_top_columns(rows, bundle)),
        table=facts,
        savings=_savings(rows, bundle),
    )
    return replace(
        evaluation, target=str(task.facts["name"]), test=test, gates=gates, of_table=of_table
    )


def _savings(rows: TableRows, bundle: Bundle) -> Savings | None:
    """What acting on the test by chance and cost saves; None without costs."""
    costs = rows.source.costs
    if costs is None:
        return None
    test, some = rows.training_set.test, costs[rows.is_test]
    return savings(
        test.labels,
        bundle.model.probability(test.features),
        some["if_missed"].to_numpy(),
        some["of_contact"].to_numpy(),
        test.keys["account_id"],
        constant=bundle.model.training.latest_rate,
    )


def _audit_gate(rows: TableRows) -> Gate:
    train = ~rows.training_set.keys["is_test"].to_numpy(dtype=bool)
    leaving = rows.training_set.leaving_accounts(np.flatnonzero(train))
    waived = "; ".join(f"{each.column} waived: {each.waived}" for each in rows.findings)
    words = f"{len(rows.codes)} columns asked alone, none reaches an AUC of {LIMIT}"
    if leaving < LEAVERS_TO_AUDIT:
        words = (
            f"only {leaving} accounts with the event (under {LEAVERS_TO_AUDIT}), so columns could"
            " be looked through for identifiers, not for the outcome in disguise: look yourself"
        )
    return Gate("leakage audit", True, words + (f", but for {waived}." if waived else "."))


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


def _card(
    job: TableJob,
    rows: TableRows,
    bundle: Bundle,
    evaluation: VersionEvaluation,
    scores: pd.DataFrame,
) -> tuple[str, str]:
    """The model card as a page and as Markdown."""
    from pipeline.reports.model_card import ModelCardInputs, model_card

    return model_card(
        ModelCardInputs(
            project=job.models.name,
            target_words=_words(job),
            evaluation=evaluation,
            model_info=_info(job, rows, bundle, evaluation),
            signals=bundle.model.signals,
            band_table=band_table(bundle.scale, scores["probability"], scores["label"]),
            backtest=scores,
            now=job.now,
            limits=(*bundle.facts.notes, *bundle.facts.scale_problems),
            waivers=tuple(f"{each.column}: {each.waived}" for each in rows.findings),
        )
    )


def _write(
    folder: Path,
    evaluation: VersionEvaluation,
    card: tuple[str, str],
    scores: pd.DataFrame,
    drivers: pd.DataFrame,
) -> tuple[Path, ...]:
    """Write card, scores, drivers and evaluation, each aside first and then swapped."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = {
        CARD: card[0],
        CARD_MD: card[1],
        EVALUATION: json.dumps(evaluation.to_dict(), indent=1, sort_keys=True) + "\n",
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
    job: TableJob, rows: TableRows, bundle: Bundle, evaluation: VersionEvaluation
) -> dict[str, Any]:
    training = bundle.model.training
    dates = (
        f"{training.first_as_of} to {training.last_as_of}"
        if rows.has_dates
        else "none: not out of time"
    )
    settings, beside = training.settings, evaluation.in_use
    saved = None if evaluation.of_table is None else evaluation.of_table.savings
    return {
        "version": bundle.model_version,
        "method": bundle.model.name,
        "calibrator": bundle.calibrator_version,
        "scale": anchor_words(bundle.scale),
        "table": job.file.name,
        "label": job.options.label,
        "accounts named by": job.options.account or "nothing: each distinct row is one",
        "dates": dates,
        "training rows": training.rows,
        "training accounts": training.accounts,
        "accounts with the event": training.leaving_accounts,
        "settings": json.dumps(settings, default=str) if settings else "no search",
        "training data": training.fingerprint[:16],
        **({} if saved is None else {SAVINGS_FACT: saved.words}),
        **({} if beside is None else {"beside": beside.words}),
    }
