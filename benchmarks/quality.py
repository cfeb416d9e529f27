"""Our models beside the baselines on every example with events, out of time, by each set's own
protocol.

    python -m benchmarks.quality [--json] [--data PATH] [--sets NAME ...] [--targets NAME ...]
    [--record] [--no-others] python -m benchmarks.quality --recorded [--json]

Each target of `examples/<set>/tenure.toml` is staged, built and trained in a temporary folder.
Every choice is made on validation dates; the test dates are read once, at the end, by
`models.evaluation`. Our model and the baselines see the same rows and signals and are calibrated on
the same dates. A difference is our log loss minus theirs with its 95% interval from resampling
accounts: below 0 is better for us. `signal` says whether we beat the constant beyond chance.

Two libraries take part from environments of their own, made on demand (`--no-others` leaves them
out). AutoGluon, no neural networks, gets the same rows and signals for as long as our training
took, at least a minute, and validates and calibrates as it sees fit; `--autogluon-folds accounts`
keeps the rows of an account together in its folds. BG/NBD, where accounts purchase repeatedly, gets
the purchase days known at each date; its log-odds are calibrated as ours are, and `raw` is what it
says by itself. What could not be measured is null, and `absent` says why.

`--record` keeps the figures in `quality_recorded.json`, which `--recorded` prints without running
anything.
"""

import argparse
import json
import math
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks._quality_others import Absent, Budget, Other, autogluon, bgnbd
from models import metrics
from models.dataset import TrainingSet
from models.evaluation import Evaluation, evaluate
from models.figures import side_by_side
from models.methods.base import Floats
from models.model import Model
from models.training import TrainingResult, train
from pipeline.config.schema import Target
from pipeline.engine.duckdb import connected
from pipeline.jobs.prepare import load_training, prepare_training
from pipeline.jobs.stage import stage_sources
from pipeline.jobs.train import plan_of
from pipeline.workspace import Workspace, describe_target, open_workspace

HERE = Path(__file__).resolve().parent
EXAMPLES = HERE.parent / "examples"
RECORDED = HERE / "quality_recorded.json"
DEFAULT_DATA = HERE.parent.parent / "shared" / "data"
SETS = ("online_retail_ii", "oss_contributors", "edtech_365", "oulad", "telco", "ravenstack")
# Names in our table -> names of the baselines that training fits.
METHODS = ("lightgbm", "logistic", "recency", "constant")
OTHERS = ("autogluon", "bgnbd")
# Sets of repeat purchases: what BG/NBD is a model of.
REPEAT_PURCHASE = ("online_retail_ii",)
LIBRARIES = ("duckdb", "lightgbm", "numpy", "optuna", "pandas", "scikit-learn")
# Normal intervals: 95% is 2 x 1.96 standard errors wide.
STANDARD_ERRORS = 3.92


@dataclass(frozen=True)
class Reference:
    """What the set's own README reports: one untuned LightGBM on generic signals."""

    auc: float
    log_loss: float | None = None
    log_loss_constant: float | None = None
    recency_auc: float | None = None


REFERENCES: Mapping[tuple[str, str], Reference] = {
    ("online_retail_ii", "inactive_90d"): Reference(0.771, 0.547, 0.626, 0.595),
    ("online_retail_ii", "inactive_90d_180"): Reference(0.771, 0.580, 0.670, 0.658),
    ("online_retail_ii", "published_6w"): Reference(0.748, 0.603, 0.693, 0.580),
    ("oss_contributors", "a_active_90d"): Reference(0.829, 0.480, 0.652, 0.730),
    ("oss_contributors", "b_active_365d"): Reference(0.817, 0.465, 0.642, 0.782),
    ("edtech_365", "activity_30d"): Reference(0.870, 0.368, 0.568, 0.747),
    ("edtech_365", "renewal"): Reference(0.584, 0.637, 0.642, 0.448),
    ("oulad", "unregister_60d"): Reference(0.699, 0.226, 0.240),
    ("ravenstack", "churn_event_90d"): Reference(0.61, 0.593, 0.595),
}


def measured(
    data: Path, sets: tuple[str, ...], targets: tuple[str, ...], budget: Budget | None = None
) -> Iterator[dict[str, Any]]:
    """One entry per set and target, in the order of the examples; without a budget no other library
    takes part.
    """
    for name in sets:
        with tempfile.TemporaryDirectory(prefix="tenure-quality-") as folder:
            place = Path(folder)
            shutil.copy(EXAMPLES / name / "tenure.toml", place)
            workspace = open_workspace(place, data / name, datetime.now(UTC).replace(tzinfo=None))
            for target in workspace.project.targets:
                if not targets or target.name in targets:
                    yield _one(name, workspace, target, budget)


def _one(name: str, workspace: Workspace, target: Target, budget: Budget | None) -> dict[str, Any]:
    started = time.monotonic()
    with connected() as connection:
        stage_sources(workspace, connection)
        prepare_training(workspace, connection, target)
    rows, _, _ = load_training(workspace, target)
    training = time.monotonic()
    result = train(rows, plan_of(workspace, target), target=describe_target(target))
    training_seconds = time.monotonic() - training
    evaluation = evaluate(result, None, rows)
    entry = summary(
        name, target.name, evaluation, _intervals(result.model, result.baselines, rows.test)
    )
    seconds = round(time.monotonic() - started)
    beside = dict.fromkeys(OTHERS) | {
        "absent": dict.fromkeys(_takes_part(name), "left out by --no-others")
    }
    if budget is not None:
        beside = others(
            _contest(name, workspace, target, rows, result, training_seconds, budget),
            result.model.probability(rows.test.features),
            rows.test,
        )
    return {
        **entry,
        **beside,
        "notes": list(result.notes),
        "seconds": seconds,
        "training_seconds": round(training_seconds),
    }


def _takes_part(set_name: str) -> tuple[str, ...]:
    return OTHERS if set_name in REPEAT_PURCHASE else ("autogluon",)


def _contest(
    name: str,
    workspace: Workspace,
    target: Target,
    rows: TrainingSet,
    result: TrainingResult,
    training_seconds: float,
    budget: Budget,
) -> dict[str, Callable[[], Other]]:
    """The other libraries that take part in a set, each as a run that has not begun."""

    def repeat_purchases() -> Other:
        with connected() as connection:
            return bgnbd(workspace, connection, target, rows, result)

    runs = {
        "autogluon": lambda: autogluon(rows, result, training_seconds, budget),
        "bgnbd": repeat_purchases,
    }
    return {library: runs[library] for library in _takes_part(name)}


def others(
    runs: Mapping[str, Callable[[], Other]], ours: Floats, test: TrainingSet
) -> dict[str, Any]:
    """What other libraries reach on the test rows beside our probabilities; null, and why in
    `absent`, where a run failed.
    """
    entry: dict[str, Any] = dict.fromkeys(OTHERS) | {"absent": {}}
    for name, run in runs.items():
        try:
            entry[name] = _other(run(), ours, test)
        except Absent as reason:
            entry["absent"][name] = str(reason)
    return entry


def _other(other: Other, ours: Floats, test: TrainingSet) -> dict[str, Any]:
    """One library's figures and the facts of its run."""
    raw = {} if other.raw is None else {"raw": _beside(other.raw, ours, test)}
    return {**_beside(other.probability, ours, test), **raw, **other.facts}


def _beside(theirs: Floats, ours: Floats, test: TrainingSet) -> dict[str, Any]:
    """Figures of their probabilities, paired with ours as the baselines are."""
    losses = metrics.log_losses(test.labels, ours), metrics.log_losses(test.labels, theirs)
    paired = metrics.paired_difference(*losses, test.keys["account_id"])
    difference = {
        "difference": paired.value,
        "difference_low": paired.low,
        "difference_high": paired.high,
    }
    return _method(_interval(test, theirs, theirs), difference)


def _intervals(
    model: Model, baselines: Mapping[str, Model], test: TrainingSet
) -> dict[str, dict[str, metrics.Estimate]]:
    """Log loss and AUC of every method, each with its interval from resampling accounts."""
    return {
        name: _interval(test, method.probability(test.features), method.margin(test.features))
        for name, method in {"ours": model, **baselines}.items()
    }


def _interval(test: TrainingSet, probability: Floats, score: Floats) -> dict[str, metrics.Estimate]:
    every = metrics.intervals(
        test.labels, probability, test.keys["account_id"], score=score, replicates=400
    )
    return {"log_loss": every.log_loss, "auc": every.auc}


def summary(
    set_name: str,
    target: str,
    evaluation: Evaluation,
    intervals: Mapping[str, Mapping[str, metrics.Estimate]],
) -> dict[str, Any]:
    """What is printed of one evaluation; baselines that do not exist for a set are null."""
    test = side_by_side(evaluation.test)
    reference = REFERENCES.get((set_name, target))
    methods: dict[str, dict[str, Any] | None] = {"ours": _method(intervals["ours"], None)}
    for name in METHODS:
        beside = evaluation.baselines.get(name)
        methods[name] = None if beside is None else _method(intervals[name], side_by_side(beside))
    constant_high = evaluation.baselines["constant"].difference.high
    return {
        "set": set_name,
        "target": target,
        "signal": constant_high < 0,
        "test": {
            key: test[key]
            for key in (
                "n",
                "accounts",
                "events",
                "leaving_accounts",
                "rate",
                "log_loss_constant",
                "log_loss_constant_hindsight",
                "calibration_slope",
                "calibration_slope_low",
                "calibration_slope_high",
                "ece",
                "ece_expected",
            )
        }
        | {"as_of": _ends(test["as_of"])},
        **methods,
        "reference": None if reference is None else asdict(reference),
        "model": evaluation.model,
    }


def _ends(dates: list[str]) -> list[str]:
    return dates if len(dates) <= 2 else [dates[0], dates[-1]]


def _method(
    intervals: Mapping[str, metrics.Estimate], beside: Mapping[str, Any] | None
) -> dict[str, Any]:
    loss, auc = intervals["log_loss"], intervals["auc"]
    found: dict[str, float | None] = {
        "log_loss": loss.value,
        "log_loss_low": loss.low,
        "log_loss_high": loss.high,
        "auc": auc.value,
        "auc_se": (auc.high - auc.low) / STANDARD_ERRORS,
    }
    found |= {
        key: beside[key] if beside else None
        for key in ("difference", "difference_low", "difference_high")
    }
    return {
        key: None if value is None or not math.isfinite(value) else round(value, 5)
        for key, value in found.items()
    }


# --- the table
# -------------------------------------------------------------------------------------


def table_text(report: Mapping[str, Any]) -> str:
    """The report as people read it."""
    lines = [
        (
            f"measured {report['measured']};"
            f" {', '.join(f'{k} {v}' for k, v in report['versions'].items())}"
        ),
        "",
    ]
    for entry in report["sets"]:
        lines += [*_entry_lines(entry), ""]
    return "\n".join(lines).rstrip()


def _entry_lines(entry: Mapping[str, Any]) -> Iterator[str]:
    test, reference = entry["test"], entry["reference"]
    yield (
        f"{entry['set']} / {entry['target']}: {test['n']:,} test rows, {test['accounts']:,}"
        " accounts, "
        f"{test['events']:,} events ({test['rate']:.1%}), {' to '.join(test['as_of'])}"
        f"{'' if entry['signal'] else '; NO SIGNAL beyond the constant'}"
    )
    absent = entry.get("absent", {})
    for name in ("ours", *METHODS, *OTHERS):
        if entry.get(name) is not None:
            yield _method_line(name, entry[name])
            if "raw" in entry[name]:
                yield _method_line("  as it is", entry[name]["raw"])
        elif name in absent:
            yield f"  {name:<10} not measured: {absent[name]}"
    if reference is not None:
        loss = "" if reference["log_loss"] is None else f"{reference['log_loss']:.4f}"
        yield f"  {'README':<10} log loss {loss:<24} AUC {reference['auc']:.3f}"
    yield (
        f"  calibration slope {_number(test['calibration_slope'])}"
        f" ({_number(test['calibration_slope_low'])} to {_number(test['calibration_slope_high'])});"
        f" expected error {test['ece']:.3f}, by chance alone {test['ece_expected']:.3f}"
    )


def _method_line(name: str, figures: Mapping[str, Any]) -> str:
    spread = f"({figures['log_loss_low']:.4f} to {figures['log_loss_high']:.4f})"
    line = (
        f"  {name:<10} log loss {figures['log_loss']:.4f} {spread:<18} AUC {figures['auc']:.3f} "
        f"+- {figures['auc_se'] or 0:.3f}"
    )
    if figures["difference"] is None:
        return line
    return (
        f"{line}   ours minus this {figures['difference']:+.4f} "
        f"({figures['difference_low']:+.4f} to {figures['difference_high']:+.4f})"
    )


def _number(value: float | None) -> str:
    return "?" if value is None else f"{value:.2f}"


# --- command
# ---------------------------------------------------------------------------------------


def recorded() -> dict[str, Any]:
    """The figures of the last recorded runs; no entries where none was recorded."""
    if not RECORDED.exists():
        return _report([])
    found: dict[str, Any] = json.loads(RECORDED.read_text(encoding="utf-8"))
    return found


def _report(entries: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "measured": datetime.now(UTC).date().isoformat(),
        "versions": {name: version(name) for name in LIBRARIES},
        "sets": entries,
    }


def merged(old: Mapping[str, Any], new: list[dict[str, Any]]) -> dict[str, Any]:
    """The recorded report with the entries just measured in place of their former selves."""
    kept = {(e["set"], e["target"]): e for e in [*old["sets"], *new]}
    order = {name: position for position, name in enumerate(SETS)}
    return _report(sorted(kept.values(), key=lambda e: order.get(e["set"], len(SETS))))


def main() -> None:
    """Measure, or read what was measured, and print it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, default=DEFAULT_DATA, help="folder that holds the sets"
    )
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--targets", nargs="+", default=[])
    parser.add_argument(
        "--recorded", action="store_true", help="print the recorded figures, run nothing"
    )
    parser.add_argument(
        "--record", action="store_true", help="keep the figures in quality_recorded.json"
    )
    parser.add_argument("--no-others", action="store_true", help="without AutoGluon and BG/NBD")
    parser.add_argument(
        "--presets", default=Budget.presets, help="AutoGluon's presets (default: %(default)s)"
    )
    parser.add_argument(
        "--autogluon-folds",
        choices=("own", "accounts"),
        default=Budget.folds,
        help="how AutoGluon validates: as it would, or with the rows of an account together",
    )
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    report = recorded() if asked.recorded else _run(asked)
    print(json.dumps(report, indent=1) if asked.json else table_text(report))


def _run(asked: argparse.Namespace) -> dict[str, Any]:
    if not asked.data.is_dir():
        raise SystemExit(
            f"{asked.data} is no folder. Name the one that holds the sets with --data PATH, or"
            " print the last figures with --recorded."
        )
    entries: list[dict[str, Any]] = []
    budget = None if asked.no_others else Budget(asked.presets, asked.autogluon_folds)
    for entry in measured(asked.data, tuple(asked.sets), tuple(asked.targets), budget):
        print("\n".join(_entry_lines(entry)), file=sys.stderr, flush=True)
        entries.append(entry)
        if asked.record:
            # After each: a run of all sets takes an hour, and what is measured should not be lost.
            RECORDED.write_text(
                json.dumps(merged(recorded(), entries), indent=1) + "\n", encoding="utf-8"
            )
    return _report(entries)


if __name__ == "__main__":
    main()
