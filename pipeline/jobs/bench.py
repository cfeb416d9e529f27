"""Compare every method on the features in the store, and keep the measured table."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa

from models.artifact import fingerprint
from models.bench import BenchResult, Money, compare
from models.contenders import SEGMENT, BenchSettings, Contender, contenders
from models.dataset import TrainingSet
from models.declared import ScorePart
from models.methods import Logistic
from models.model import Model
from models.splits import temporal_folds
from models.tuning import choose_l2
from pipeline.config.schema import Target
from pipeline.engine.duckdb import connected
from pipeline.jobs.bench_advice import NO_MODEL
from pipeline.jobs.portfolio import acting_costs, row_costs, row_segments
from pipeline.jobs.prepare import load_training
from pipeline.jobs.registry import load_version
from pipeline.jobs.stage import load_staged
from pipeline.staging.staged import StagedSource
from pipeline.tracking import CHALLENGER, CHAMPION
from pipeline.workspace import Workspace, describe_target, target_rule

MONTHLY_VALUE = "paid_per_month"
"""The signal of what an account pays; twelve of it are its value in the profit."""
DAY = np.timedelta64(1, "D")


def bench_target(
    workspace: Workspace,
    target: Target,
    on_method: Callable[[str, float], None] | None = None,
    own: Sequence[Contender] = (),
) -> BenchResult:
    """Measure all methods on the untouched test and write the table `bench`.

    Parameters
    ----------
    own
        Methods of the caller, measured after the others. The table is then left as it is: promotion
        reads it, and nobody could train what it may recommend.

    Raises
    ------
    ArtifactMismatch
        When the trained model was built on other signals than the features in the store.
    """
    rows, _, labels = load_training(workspace, target)
    rows, has_segments, notes = with_segments(workspace, rows)
    money = _money(workspace, target, rows.test)
    notes = (*notes, *_unknown_costs(money))
    model, line_l2 = _trained(workspace, target, rows)
    left_at = _left_at(rows, labels)
    settings = bench_settings(workspace, target)
    result = compare(
        rows,
        (
            *contenders(
                settings,
                model,
                _elapsed(rows, left_at, target),
                line_l2=line_l2,
                has_segments=has_segments,
            ),
            *own,
        ),
        clock=time.perf_counter,
        left_at=left_at,
        folds=workspace.project.training.folds,
        capacity=workspace.project.objective.capacity,
        money=money,
        seed=settings.seed,
        on_method=on_method,
    )
    result = replace(result, notes=(*result.notes, *notes))
    if not own:
        _keep(workspace, target, result, model)
    return result


def bench_settings(workspace: Workspace, target: Target) -> BenchSettings:
    """What the project declares, as the models package knows it."""
    project, bench = workspace.project, workspace.project.bench
    usage = {"frequency": bench.frequency, "breadth": bench.breadth, "depth": bench.depth}
    return BenchSettings(
        actions=project.actions,
        rules=project.rules,
        match=bench.match,
        weights=tuple(
            ScorePart(column, weight, (column,)) for column, weight in bench.weights.items()
        ),
        usage_parts={name: columns for name, columns in usage.items() if columns},
        clusters=bench.clusters,
        hybrid_share=bench.model_share,
        is_event_good=target_rule(target).is_good,
        target=describe_target(target),
        seed=project.training.seed,
        threads=project.training.threads,
    )


def with_segments(
    workspace: Workspace, rows: TrainingSet
) -> tuple[TrainingSet, bool, tuple[str, ...]]:
    """Return the rows with the segment of each as known on its date, whether there are at least
    two, and what to know of them.
    """
    with connected() as connection:
        staged = load_staged(workspace, connection)
        segments = row_segments(connection, staged, rows.keys)
    if segments.nunique() < 2:
        return rows, False, ()
    accounts = next(source for source in staged.values() if source.contract.table == "accounts")
    return replace(rows, keys=rows.keys.assign(**{SEGMENT: segments})), True, hindsight(accounts)


def hindsight(accounts: StagedSource) -> tuple[str, ...]:
    """Return a note where segments of the past are not known: today's may have changed because of
    the outcome.
    """
    if accounts.is_mapped("valid_from") or "segment" in accounts.settings.immutable:
        return ()
    return (
        (
            "accounts have no history (valid_from), so a segment is today's on every date: where it"
            " changed because of the outcome, methods that read it are flattered."
        ),
    )


def _trained(workspace: Workspace, target: Target, rows: TrainingSet) -> tuple[Model | None, float]:
    """The newest model with probabilities, and the strength of the straight line that was chosen
    with it.
    """
    for alias in (CHALLENGER, CHAMPION):
        version = load_version(workspace, target, alias)
        if version is None or version.bundle.model.basis != "calibrated":
            continue
        bundle, baselines = version.bundle, version.baselines
        bundle.model.check_signals(rows.signals)
        line = baselines["logistic"].members[0].method if "logistic" in baselines else None
        return bundle.model, line.l2 if isinstance(line, Logistic) else _line_l2(workspace, rows)
    return None, _line_l2(workspace, rows)


def _line_l2(workspace: Workspace, rows: TrainingSet) -> float:
    folds = temporal_folds(
        rows.keys, workspace.project.training.folds, np.where(rows.keys["is_test"], 0, rows.labels)
    )
    return choose_l2(
        [(rows.rows(block.train), rows.rows(block.validation)) for block in folds.tuning]
    )[0]


def _left_at(rows: TrainingSet, labels: pd.DataFrame) -> pd.Series:
    """Moment of the event per row."""
    dated = rows.keys[["account_id", "as_of"]].merge(
        labels[["account_id", "as_of", "event_at"]], on=["account_id", "as_of"], how="left"
    )
    return dated["event_at"]


def _elapsed(rows: TrainingSet, left_at: pd.Series, target: Target) -> pd.Series:
    """Share of the label window passed at the event; silence, which began before it, counts as its
    end.
    """
    as_of, until = rows.keys["as_of"].to_numpy(), rows.keys["label_until"].to_numpy()
    days = (left_at.to_numpy() - as_of) / DAY
    window = (
        (until - as_of) / DAY
        if target.horizon_days is None
        else float(target.gap_days + target.horizon_days)
    )
    # Silence began before the date: it counts as the whole window, as an unknown moment does.
    share = np.where(days > 0, np.minimum(days / window, 1.0), 1.0)
    return pd.Series(share, index=pd.MultiIndex.from_frame(rows.keys[["account_id", "as_of"]]))


def _money(workspace: Workspace, target: Target, test: TrainingSet) -> Money | None:
    """Value, save share and cost, where the project declares them and the value is known on each
    date; costs of accounts go first.
    """
    objective = workspace.project.objective
    if not target_rule(target).is_good:
        with connected() as connection:
            costs = row_costs(connection, load_staged(workspace, connection), test.keys)
        of_rows = acting_costs(costs, objective)
        if of_rows is not None:
            return Money(
                of_rows["if_missed"].to_numpy(), 1.0, of_rows["of_contact"].to_numpy(), True
            )
    if (
        objective.cost_per_contact is None
        or objective.save_share is None
        or MONTHLY_VALUE not in test.features
    ):
        return None
    value = 12.0 * test.features[MONTHLY_VALUE].to_numpy(dtype=np.float64)
    return Money(value, objective.save_share, objective.cost_per_contact)


def _unknown_costs(money: Money | None) -> tuple[str, ...]:
    if money is None or not money.is_by_row:
        return ()
    unknown = int(np.isnan(money.value - money.cost).sum())
    told = (
        "profit counts costs of each account: worked on are those whose chance times what is lost"
        " exceeds what a contact costs, most first."
    )
    if not unknown:
        return (told,)
    return (told, f"{unknown:,} test rows without a known cost are never worked on.")


def _keep(workspace: Workspace, target: Target, result: BenchResult, model: Model | None) -> None:
    """One row per method and metric: figures of the test, and of the validation dates as metric
    `validation_log_loss`.
    """
    gaps = [f"minus_{other}{end}" for other in ("best", "tuned") for end in ("", "_low", "_high")]
    validation = result.validation[["method", "log_loss", *gaps]].rename(
        columns={"log_loss": "value"}
    )
    validation = validation.assign(metric="validation_log_loss")
    costs = result.validation.melt(
        id_vars="method", value_vars=["seconds", "inputs"], var_name="metric"
    )
    table = pd.concat([result.figures, validation, costs], ignore_index=True)
    table["is_recommended"] = table["method"] == result.recommended
    # The newest bench of a target replaces the one before; promotion reads it (`bench_advice`).
    table = table.assign(
        target=target.name,
        benched_at=workspace.now,
        tuned_model=NO_MODEL if model is None else fingerprint(model)[:12],
    )
    rows = pa.Table.from_pandas(table, preserve_index=False)
    workspace.store.write(
        "bench", rows, replace=f"target = '{target.name}'", partition_by=["target"]
    )
