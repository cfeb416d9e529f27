"""The model's own page: what it predicts, on what it was tested, how well, and where it stops."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pandas as pd
from markupsafe import Markup

from features.definition import Signal
from pipeline.reports.reliability import reliability_rows, reliability_svg
from pipeline.reports.render import render, script_and_policy, style

# key, name people know, whether the larger number is the better one, decimals
_METRICS = (
    ("log_loss", "Log loss", "lower is better", 4),
    ("brier", "Brier score", "lower is better", 4),
    ("auc", "AUC", "1 ranks perfectly, 0.5 not at all", 3),
    ("average_precision", "Average precision", "higher is better", 3),
    ("lift_top_decile", "Lift in the top tenth", "1 is no better than chance", 2),
    (
        "calibration_slope",
        "Calibration slope",
        "1 is right; below 1 the chances are too extreme, above 1 too timid",
        2,
    ),
    ("calibration_intercept", "Calibration intercept", "0 is right", 2),
    ("ece", "Calibration error", "0 is right", 4),
)
# Of the metrics above, those that also stand for accounts whose contract can end in the window.
_AMONG_LEAVABLE = ("log_loss", "auc", "lift_top_decile", "calibration_slope")
OWN, REFUSED = "this model", "the candidate model that was refused"


@dataclass(frozen=True)
class ModelCardInputs:
    """Everything the card is made of.

    Parameters
    ----------
    evaluation
        What `evaluate --json` prints: target, test, baselines.
    gates
        name, passed, reason of each gate, in order.
    model_info
        Facts shown as they are, in order: name -> text or number (version, method, training dates,
        calibrator, scale, seed, ...).
    signals
        The signals the model reads.
    band_table
        `models.health.band_table` of the test; empty where there is no scale.
    backtest
        Test scores with probability and label, for the picture; empty: none is drawn.
    limits
        Sentences.
    waivers
        What was waived, by whom and why, in sentences.
    is_of_refused
        The evaluation holds the figures of a candidate that was refused, not of the model that the
        card is about.
    """

    project: str
    target_words: str
    evaluation: Mapping[str, Any]
    gates: Sequence[Mapping[str, Any]]
    model_info: Mapping[str, Any]
    signals: Sequence[Signal]
    band_table: pd.DataFrame
    backtest: pd.DataFrame
    now: datetime
    limits: tuple[str, ...] = ()
    waivers: tuple[str, ...] = ()
    is_of_refused: bool = False


def model_card(inputs: ModelCardInputs) -> tuple[str, str]:
    """The card as one self-contained HTML page, and the same as Markdown."""
    test = dict(inputs.evaluation.get("test", {}))
    subject = REFUSED if inputs.is_of_refused else OWN
    view = {
        "project": inputs.project,
        "target_words": inputs.target_words,
        "now": inputs.now,
        "info": [(name, _fact(value)) for name, value in inputs.model_info.items()],
        "test": test,
        "metrics": metric_rows(inputs.evaluation),
        "leavable": inputs.evaluation.get("can_leave") or {},
        "leavable_metrics": leavable_rows(inputs.evaluation),
        "comparisons": comparison_rows(inputs.evaluation, subject),
        "borrowed": (
            f"The gates and test figures below belong to {subject}."
            if inputs.is_of_refused and test
            else ""
        ),
        "ages": [
            _cost_row(f"{each['age_days']} days old", each)
            for each in inputs.evaluation.get("age", ())
        ],
        "absences": absence_rows(inputs.evaluation),
        "segments": segment_rows(inputs.evaluation),
        "other_rows": other_rows(inputs.evaluation),
        "level": (inputs.evaluation.get("prior") or {}).get("words", ""),
        "gates": list(inputs.gates),
        "dimensions": signals_by_dimension(inputs.signals),
        "bands": band_rows(inputs.band_table, inputs.evaluation),
        "limits": (*_own_limits(test), *inputs.limits),
        "waivers": inputs.waivers,
        "reliability_rows": reliability_rows(inputs.backtest).to_dict("records"),
    }
    picture = Markup(reliability_svg(reliability_rows(inputs.backtest), event="had it"))  # noqa: S704 - numbers, own words
    _, policy = script_and_policy("filter.js")
    page = render("model_card.html.j2", style=style(), policy=policy, reliability=picture, **view)
    return page, render("model_card.md.j2", **view)


def metric_rows(evaluation: Mapping[str, Any]) -> list[dict[str, str]]:
    """Metrics of the test that exist: name, value, 95% interval, how to read it."""
    test = evaluation.get("test", {})
    rows = []
    for key, name, reading, decimals in _METRICS:
        if test.get(key) is not None:
            # Resampling adds noise to a calibration error, so its percentiles lie above it and are
            # no interval of it.
            low, high = (
                (None, None) if key == "ece" else (test.get(f"{key}_low"), test.get(f"{key}_high"))
            )
            interval = (
                "" if low is None or high is None else f"{low:.{decimals}f} to {high:.{decimals}f}"
            )
            rows.append(
                {
                    "name": name,
                    "value": f"{test[key]:.{decimals}f}",
                    "interval": interval,
                    "reading": reading,
                }
            )
    if test.get("ece") is not None and test.get("ece_expected") is not None:
        rows[-1]["reading"] += f"; sampling alone gives {test['ece_expected']:.4f}"
    return rows


def leavable_rows(evaluation: Mapping[str, Any]) -> list[dict[str, str]]:
    """Metrics among the scores whose contract ends inside the window; none where all can leave."""
    among = evaluation.get("can_leave") or {}
    return metric_rows({"test": {k: v for k, v in among.items() if k.startswith(_AMONG_LEAVABLE)}})


def comparison_rows(evaluation: Mapping[str, Any], subject: str = OWN) -> list[dict[str, str]]:
    """The model beside the constants and the baselines: log loss, AUC, and the paired difference of
    log loss.
    """
    test = evaluation.get("test", {})
    among = evaluation.get("can_leave") or {}
    ours = {"auc_can_leave": among.get("auc")}
    rows = [_comparison(subject, test.get("log_loss"), test.get("auc"), ours)]
    if test.get("log_loss_constant") is not None:
        rows.append(
            _comparison("one rate for all: the last known", test["log_loss_constant"], 0.5, {})
        )
    if test.get("log_loss_constant_hindsight") is not None:
        rows.append(
            _comparison(
                "one rate for all: the test's own", test["log_loss_constant_hindsight"], 0.5, {}
            )
        )
    for name, numbers in evaluation.get("baselines", {}).items():
        if name != "constant" or test.get("log_loss_constant") is None:
            spoken = f"{name.replace('_', ' ')} alone"
            rows.append(_comparison(spoken, numbers.get("log_loss"), numbers.get("auc"), numbers))
        else:
            rows[1] = _comparison(
                "one rate for all: the last known", numbers.get("log_loss"), 0.5, numbers
            )
    if not evaluation.get("baselines") and test.get("recency_auc") is not None:
        rows.append(_comparison("recency alone", None, test["recency_auc"], {}))
    return rows


def absence_rows(evaluation: Mapping[str, Any]) -> list[dict[str, str]]:
    """What is lost without each source, and with leading signals alone."""
    rows = [
        _cost_row("without " + ", ".join(each["without"]).replace("_", " "), each)
        for each in evaluation.get("without_sources", ())
    ]
    leading = evaluation.get("leading_alone")
    if leading:
        rows.append(
            _cost_row(
                f"leading signals alone, {leading['lagging']} lagging left out, fitted anew",
                leading,
            )
        )
    return rows


def band_rows(table: pd.DataFrame, evaluation: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rows of a band table, each with the share that had the event and its interval where the
    evaluation tells it.
    """
    rates = evaluation.get("bands") or {}
    return [
        {str(name): value for name, value in row.items()}
        | {"share": _share(rates.get(row["band"]))}
        for row in table.to_dict("records")
    ]


def _share(rate: Mapping[str, Any] | None) -> str:
    if rate is None:
        return ""
    return f"{rate['rate']:.1%} ({rate['rate_low']:.1%} to {rate['rate_high']:.1%})"


def segment_rows(evaluation: Mapping[str, Any]) -> list[dict[str, str]]:
    """Expected beside happened per segment, the gap in points of a hundred and the error; too small
    ones say so.
    """
    return [
        {
            "name": str(each["segment"]),
            "accounts": f"{each['accounts']:,}",
            "leaving": f"{each['leaving_accounts']:,}",
            "expected": f"{each['mean_probability']:.1%}",
            "happened": f"{each['rate']:.1%}",
            "gap": _judged(each, "gap", "{:+.1f}", 100),
            "gain": _judged(each, "gain", "{:+.4f}"),
            "log_loss": f"{each['error']:.4f}" if "error" in each else "not recorded",
        }
        for each in evaluation.get("segments") or ()
    ]


def _judged(check: Mapping[str, Any], name: str, spoken: str, times: int = 1) -> str:
    """A figure of a segment with its interval; no figure where too few accounts of it had the
    event.
    """
    low, high = check.get(f"{name}_low"), check.get(f"{name}_high")
    if low is None or high is None:
        return "too few to judge" if name in check else "not recorded"
    return (
        f"{spoken.format(times * check[name])} ({spoken.format(times * low)} to"
        f" {spoken.format(times * high)})"
    )


def other_rows(evaluation: Mapping[str, Any]) -> list[dict[str, str]]:
    """The same model on rows nobody worked on, and with the accounts under notice that the test
    leaves out.
    """
    treated, notice = evaluation.get("untreated") or {}, evaluation.get("under_notice") or {}
    parts = []
    if treated.get("metrics") and treated["treated_share"]:
        parts.append(
            (
                f"without the {treated['treated_share']:.0%} of scores whose account your team"
                " worked on",
                treated["metrics"],
            )
        )
    if notice:
        count = notice["notice_rows"]
        parts.append(
            (
                (
                    f"with {count:,} {'score' if count == 1 else 'scores'} of accounts that had"
                    " given notice"
                ),
                notice["with"],
            )
        )
    if not parts:
        return []
    parts.insert(0, ("the test", evaluation.get("test", {})))
    return [
        {
            "name": name,
            "log_loss": f"{each['log_loss']:.4f}",
            "auc": "" if each["auc"] is None else f"{each['auc']:.3f}",
        }
        for name, each in parts
    ]


def _fact(value: Any) -> Any:
    """A fact as it is shown: counts with thousands apart, what is not known said to be so."""
    if value is None:
        return "not recorded"
    return f"{value:,}" if isinstance(value, int) else value


def _cost_row(name: str, numbers: Mapping[str, Any]) -> dict[str, str]:
    """What age or absence costs, as text; a cost above 0 is a loss."""
    low, high = numbers["difference_low"], numbers["difference_high"]
    interval = "" if low is None or high is None else f" ({low:+.4f} to {high:+.4f})"
    auc = "" if numbers["auc"] is None else f"{numbers['auc']:.3f}"
    return {
        "name": name,
        "log_loss": f"{numbers['log_loss']:.4f}",
        "auc": auc,
        "cost": f"{numbers['difference']:+.4f}{interval}",
    }


def signals_by_dimension(signals: Sequence[Signal]) -> list[dict[str, Any]]:
    """Dimensions with the measures the model reads: meaning, windows, source, which way is
    worse.
    """
    dimensions: dict[str, dict[str, dict[str, Any]]] = {}
    for signal in signals:
        measure = dimensions.setdefault(signal.dimension, {}).setdefault(
            signal.driver,
            {
                "driver": signal.driver,
                "meaning": signal.meaning,
                "source": signal.source,
                "windows": [],
                "worse": (
                    {"up": "more is worse", "down": "less is worse"}.get(signal.worse or "", "")
                ),
                "leading": "leading" if signal.is_leading else "lagging",
            },
        )
        if signal.window_days is not None:
            measure["windows"].append(signal.window_days)
    return [
        {"dimension": name, "measures": list(measures.values())}
        for name, measures in dimensions.items()
    ]


def _comparison(
    name: str, log_loss: float | None, auc: float | None, numbers: Mapping[str, Any]
) -> dict[str, str]:
    low, high, gap = (
        numbers.get(key) for key in ("difference_low", "difference_high", "difference")
    )
    difference = (
        ""
        if gap is None
        else f"{gap:+.4f}" + ("" if low is None else f" ({low:+.4f} to {high:+.4f})")
    )
    return {
        "name": name,
        "log_loss": "" if log_loss is None else f"{log_loss:.4f}",
        "auc": "" if auc is None else f"{auc:.3f}",
        "auc_can_leave": _figure(numbers.get("auc_can_leave")),
        "difference": difference,
    }


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _own_limits(test: Mapping[str, Any]) -> list[str]:
    limits = []
    leaving = test.get("leaving_accounts", test.get("events"))
    if not test:
        limits.append("No test result was recorded for this model.")
    elif leaving is not None and leaving < 100:
        limits.append(
            f"Only {leaving} accounts had the event in the test, so intervals are wide and small"
            " gains do not show."
        )
    limits.append(
        "Work on accounts because of their score changes what happens next, which can make the"
        " model look worse or better than it is."
    )
    limits.append("Signals say what the model reads, not what causes the outcome.")
    return limits
