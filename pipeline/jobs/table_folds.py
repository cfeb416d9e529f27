"""Repeat a published protocol on a table: every fold the test once, repetition by repetition."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from models.table_folds import (
    FOLD_FIGURES,
    JudgedByFolds,
    MethodByFolds,
    folds_at_random,
    folds_of_columns,
    judge_by_folds,
)
from pipeline.jobs.read_table import read_table
from pipeline.jobs.train import training_plan
from pipeline.jobs.train_table import TableJob, next_step_of_leaks, with_declared_waivers

FOLDS_CSV, FOLD_SCORES = "folds.csv", "fold_scores.parquet"


@dataclass(frozen=True)
class FoldsWanted:
    """Columns that name folds, one per repetition; without any so many parts of accounts, so often
    dealt anew.
    """

    columns: tuple[str, ...] = ()
    parts: int = 5
    repeats: int = 1


def folds_of_table(
    job: TableJob, wanted: FoldsWanted, say: Callable[[str, str], None]
) -> tuple[JudgedByFolds, tuple[Path, ...]]:
    """Judge by folds, and write figures of each fold and the probability of each row below
    `reports/`; nothing is registered.

    Raises
    ------
    LeakageError
        When a column names accounts, or nearly tells the label alone.
    ConfigError
        When file, columns or folds cannot work as asked.
    """
    file = read_table(
        job.file,
        tuple(filter(None, (job.options.account,))),
        lambda text: say("note", text),
        decimal=job.decimal,
    )
    options = with_declared_waivers(job, file.rows)
    cut = (
        folds_of_columns(file.rows, options, wanted.columns)
        if wanted.columns
        else folds_at_random(file.rows, options, parts=wanted.parts, repeats=wanted.repeats)
    )
    folds = [len(set(fold_of)) for fold_of in cut.repetitions.values()]
    say(
        "table",
        f"{job.file.name}: {len(cut.source.labels):,} rows,"
        f" {cut.source.labels.mean():.1%} with {options.label};"
        f" {sum(folds)} models, {' and '.join(str(each) for each in sorted(set(folds)))} folds in"
        f" {len(folds)} repetition{'s' if len(folds) > 1 else ''}",
    )
    judged = judge_by_folds(
        cut,
        training_plan(job.training),
        advice=next_step_of_leaks,
        on_fold=lambda repetition, fold, auc, loss: say(
            "fold", f"{repetition} / {fold}: AUC {auc:.3f}, log loss {loss:.4f}"
        ),
    )
    for note in judged.notes:
        say("note", note)
    for line in fold_lines(judged):
        say("folds", line)
    folder = job.folder / "reports" / job.models.name
    folder.mkdir(parents=True, exist_ok=True)
    paths = folder / FOLDS_CSV, folder / FOLD_SCORES
    judged.folds.to_csv(folder / f".{FOLDS_CSV}", index=False)
    judged.scores.to_parquet(folder / f".{FOLD_SCORES}", index=False)
    for path in paths:
        (folder / f".{path.name}").replace(path)
    say("look", "  ".join(str(path) for path in paths))
    return judged, paths


def fold_lines(judged: JudgedByFolds) -> list[str]:
    """A line per method, with the spread over folds, and over repetitions where there are some."""
    lines = []
    for name, method in judged.methods.items():
        parts = [
            _spread(method, "auc", "AUC", ".3f"),
            _spread(method, "log_loss", "log loss", ".4f"),
        ]
        if np.isfinite(method.mean["saved"]):
            parts.append(_spread(method, "saved", "saved", ".1%"))
        line = f"{name}: {', '.join(parts)}"
        if method.difference is not None:
            gap = method.difference
            line += (
                f"; ours minus this {gap.value:+.4f} ({gap.low:+.4f} to {gap.high:+.4f}, accounts"
                " resampled)"
            )
        lines.append(line)
    return lines


def _spread(method: MethodByFolds, figure: str, name: str, shown: str) -> str:
    said = f"{name} {method.mean[figure]:{shown}} (sd over folds {method.sd[figure]:{shown}}"
    between = method.sd_of_repetitions[figure]
    return f"{said}, between repetitions {between:{shown}})" if np.isfinite(between) else f"{said})"


def folds_json(judged: JudgedByFolds) -> Mapping[str, Any]:
    """What was judged as plain values: the summary of each method, and the figures of each fold."""
    return {
        **{
            name: getattr(judged, name)
            for name in ("rows", "accounts", "events", "signals", "trials", "notes")
        },
        "figures": FOLD_FIGURES,
        "methods": {name: asdict(method) for name, method in judged.methods.items()},
        "folds": judged.folds.to_dict("records"),
    }
