"""The model's own page: what it predicts, on what it was tested, how well, and where it stops."""

import base64
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pandas as pd
from markupsafe import Markup

from features.definition import Signal
from models.band_rates import BandRate
from models.by_cause import CauseQuality
from models.fairness import SegmentCheck
from models.gates import FEW_TEST_EVENTS
from models.metrics import Estimate, MetricValues
from models.robustness import Compared
from pipeline.evaluations import Accuracy, VersionEvaluation
from pipeline.reports.contributions import ContributionInputs
from pipeline.reports.reliability import reliability_rows, reliability_svg
from pipeline.reports.render import NO_SCRIPT, render, style

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
# Parts of the card that a test fills.
_NOT_TESTED = dict.fromkeys(
    (
        *("test", "metrics", "leavable", "leavable_metrics", "comparisons", "borrowed", "ages"),
        *("absences", "segments", "causes", "other_rows", "level", "gates"),
    ),
    (),
)
OWN, REFUSED = "this model", "the candidate model that was refused"


@dataclass(frozen=True)
class ModelCardInputs:
    """Everything the card is made of.

    Parameters
    ----------
    evaluation
        What the test said; None where there was none.
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
    evaluation: VersionEvaluation | None
    model_info: Mapping[str, Any]
    signals: Sequence[Signal]
    band_table: pd.DataFrame
    backtest: pd.DataFrame
    now: datetime
    limits: tuple[str, ...] = ()
    waivers: tuple[str, ...] = ()
    is_of_refused: bool = False
    contributions: ContributionInputs | None = None
    """What signals give to the scores of the test; None: nothing is shown of it."""
    assumptions: tuple[str, ...] = ()
    """What no table can show, in sentences."""


def model_card(inputs: ModelCardInputs) -> tuple[str, str]:
    """The card as one self-contained HTML page, and the same as Markdown."""
    evaluation = inputs.evaluation
    tested = reliability_rows(inputs.backtest)
    view = {
        "project": inputs.project,
        "target_words": inputs.target_words,
        "now": inputs.now,
        "info": [(name, _fact(value)) for name, value in inputs.model_info.items()],
        "dimensions": signals_by_dimension(inputs.signals),
        "bands": band_rows(inputs.band_table, {} if evaluation is None else evaluation.bands),
        "limits": (*_own_limits(evaluation), *inputs.limits),
        "waivers": inputs.waivers,
        "assumptions": inputs.assumptions,
        "contributions": inputs.contributions,
        "strongest": (
            []
            if inputs.contributions is None
            else inputs.contributions.strongest.to_dict("records")
        ),
        "reliability_rows": tested.to_dict("records"),
        **_NOT_TESTED,
        **({} if evaluation is None else _tested(evaluation, is_of_refused=inputs.is_of_refused)),
    }
    picture = Markup(reliability_svg(tested, event="had it"))  # noqa: S704 - numbers, own words
    page = render(
        "model_card.html.j2",
        style=style(),
        policy=f"{NO_SCRIPT}; img-src data:",
        reliability=picture,
        pictures=_pictures(inputs.contributions),
        **view,
    )
    return page, render("model_card.md.j2", **view)


def _pictures(contributions: ContributionInputs | None) -> list[tuple[str, str]]:
    """Pictures of contributions as addresses that hold them, each with its words."""
    if contributions is None:
        return []
    drawn = (
        (contributions.beeswarm, contributions.beeswarm_words),
        (contributions.dependence, contributions.dependence_words),
    )
    return [
        (f"data:image/png;base64,{base64.b64encode(png).decode()}", words) for png, words in drawn
    ]


def _tested(evaluation: VersionEvaluation, *, is_of_refused: bool) -> dict[str, Any]:
    """What the card says of the test."""
    subject = REFUSED if is_of_refused else OWN
    among = evaluation.can_leave
    return {
        "test": evaluation.test.counts,
        "metrics": metric_rows(evaluation.test.metrics, evaluation.test.ece_expected),
        "leavable": None if among is None else among.counts,
        "leavable_metrics": [] if among is None else metric_rows(among.metrics, of=_AMONG_LEAVABLE),
        "comparisons": comparison_rows(evaluation, subject),
        "borrowed": (
            f"The gates and test figures below belong to {subject}." if is_of_refused else ""
        ),
        "ages": [_cost_row(f"{each.age_days} days old", each.compared) for each in evaluation.age],
        "absences": absence_rows(evaluation),
        "segments": segment_rows(evaluation.segments),
        "causes": cause_rows(evaluation.causes),
        "other_rows": other_rows(evaluation),
        "level": "" if evaluation.prior is None else evaluation.prior.words,
        "gates": evaluation.gates,
    }


def metric_rows(
    figures: MetricValues, ece_expected: float = math.nan, of: Collection[str] = ()
) -> list[dict[str, str]]:
    """Metrics of the test that exist: name, value, 95% interval, how to read it; only those named
    in `of`, where it names some.
    """
    rows = []
    for key, name, reading, decimals in _METRICS:
        estimate: Estimate = getattr(figures, key)
        if math.isnan(estimate.value) or (of and key not in of):
            continue
        # Resampling adds noise to a calibration error, so its percentiles lie above it and are no
        # interval of it.
        has_interval = key != "ece" and not math.isnan(estimate.low + estimate.high)
        said = reading
        if key == "ece" and not math.isnan(ece_expected):
            said += f"; sampling alone gives {ece_expected:.4f}"
        rows.append(
            {
                "name": name,
                "value": f"{estimate.value:.{decimals}f}",
                "interval": (
                    f"{estimate.low:.{decimals}f} to {estimate.high:.{decimals}f}"
                    if has_interval
                    else ""
                ),
                "reading": said,
            }
        )
    return rows


def comparison_rows(evaluation: VersionEvaluation, subject: str = OWN) -> list[dict[str, str]]:
    """The model beside the constants and the baselines: log loss, AUC, and the paired difference of
    log loss.
    """
    test, among = evaluation.test, evaluation.can_leave
    own = test.metrics
    rows = [
        _comparison(
            subject,
            own.log_loss.value,
            own.auc.value,
            auc_can_leave=None if among is None else among.metrics.auc.value,
        )
    ]
    constant = evaluation.baselines.get("constant")
    if not math.isnan(test.log_loss_constant):
        rows.append(
            _comparison(
                "one rate for all: the last known",
                test.log_loss_constant if constant is None else constant.log_loss,
                0.5,
                None if constant is None else constant.difference,
                None if constant is None else constant.auc_can_leave,
            )
        )
    if not math.isnan(test.log_loss_constant_hindsight):
        hindsight = test.log_loss_constant_hindsight
        rows.append(_comparison("one rate for all: the test's own", hindsight, 0.5))
    for name, baseline in evaluation.baselines.items():
        # The constant stands above already, where its rate is known.
        if name != "constant" or math.isnan(test.log_loss_constant):
            rows.append(
                _comparison(
                    f"{name.replace('_', ' ')} alone",
                    baseline.log_loss,
                    baseline.auc,
                    baseline.difference,
                    baseline.auc_can_leave,
                )
            )
    if not evaluation.baselines and test.recency_auc is not None:
        rows.append(_comparison("recency alone", math.nan, test.recency_auc))
    return rows


def absence_rows(evaluation: VersionEvaluation) -> list[dict[str, str]]:
    """What is lost without each source, and with leading signals alone."""
    rows = [
        _cost_row("without " + ", ".join(each.without).replace("_", " "), each.compared)
        for each in evaluation.without_sources
    ]
    rows += [
        _cost_row(
            f"without {each.source.replace('_', ' ')}, by a model of its own"
            + (" (not used: it did not pass)" if each.refused else ""),
            each.compared,
        )
        for each in evaluation.fallbacks
        if each.has_own_model
    ]
    leading = evaluation.leading_alone
    if leading is not None:
        rows.append(
            _cost_row(
                f"leading signals alone, {leading.lagging} lagging left out, fitted anew",
                leading.compared,
            )
        )
    return rows


def band_rows(table: pd.DataFrame, rates: Mapping[str, BandRate]) -> list[dict[str, Any]]:
    """Rows of a band table, each with the share that had the event and its interval where the
    test tells it.
    """
    return [
        {str(name): value for name, value in row.items()}
        | {"share": _share(rates.get(row["band"]))}
        for row in table.to_dict("records")
    ]


def _share(rate: BandRate | None) -> str:
    if rate is None:
        return ""
    return f"{rate.rate:.1%} ({rate.rate_low:.1%} to {rate.rate_high:.1%})"


def cause_rows(causes: Sequence[CauseQuality]) -> list[dict[str, str]]:
    """Causes of a changed amount, each with how well it is ranked above no change."""
    return [
        {
            "name": each.cause + ("" if each.counts else " (does not count)"),
            "rows": f"{each.n:,}",
            "accounts": f"{each.accounts:,}",
            "chance": f"{each.mean_probability:.1%}",
            "auc": (
                "too few"
                if each.auc is None
                else f"{each.auc:.3f} ({each.auc_low:.3f} to {each.auc_high:.3f})"
            ),
        }
        for each in causes
    ]


def segment_rows(checks: Sequence[SegmentCheck]) -> list[dict[str, str]]:
    """Expected beside happened per segment, the gap in points of a hundred and the error; too small
    ones say so.
    """
    return [
        {
            "name": each.segment,
            "accounts": f"{each.accounts:,}",
            "leaving": f"{each.leaving_accounts:,}",
            "expected": f"{each.mean_probability:.1%}",
            "happened": f"{each.rate:.1%}",
            "gap": _judged(each.gap, each.gap_low, each.gap_high, "{:+.1f}", 100),
            "gain": _judged(each.gain, each.gain_low, each.gain_high, "{:+.4f}"),
            "log_loss": "not recorded" if math.isnan(each.error) else f"{each.error:.4f}",
        }
        for each in checks
    ]


def _judged(
    value: float, low: float | None, high: float | None, spoken: str, times: int = 1
) -> str:
    """A figure of a segment with its interval; no figure where too few accounts of it had the
    event.
    """
    if math.isnan(value):
        return "not recorded"
    if low is None or high is None:
        return "too few to judge"
    figure, from_, to = (spoken.format(times * each) for each in (value, low, high))
    return f"{figure} ({from_} to {to})"


def other_rows(evaluation: VersionEvaluation) -> list[dict[str, str]]:
    """The same model on rows nobody worked on, and with the accounts under notice that the test
    leaves out.
    """
    apart, notice = evaluation.untreated, evaluation.under_notice
    parts = []
    if apart is not None and apart.metrics is not None and apart.treated_share:
        name = f"without the {apart.treated_share:.0%} of scores whose account your team worked on"
        parts.append((name, _accuracy(apart.metrics.metrics)))
    if notice is not None:
        scores = "score" if notice.notice_rows == 1 else "scores"
        name = f"with {notice.notice_rows:,} {scores} of accounts that had given notice"
        parts.append((name, notice.with_them))
    if not parts:
        return []
    parts.insert(0, ("the test", _accuracy(evaluation.test.metrics)))
    return [
        {"name": name, "log_loss": _figure(each.log_loss, ".4f"), "auc": _figure(each.auc)}
        for name, each in parts
    ]


def _accuracy(figures: MetricValues) -> Accuracy:
    return Accuracy(figures.log_loss.value, figures.auc.value)


def _fact(value: Any) -> Any:
    """A fact as it is shown: counts with thousands apart, what is not known said to be so."""
    if value is None:
        return "not recorded"
    return f"{value:,}" if isinstance(value, int) else value


def _cost_row(name: str, compared: Compared) -> dict[str, str]:
    """What age or absence costs, as text; a cost above 0 is a loss."""
    return {
        "name": name,
        "log_loss": f"{compared.log_loss:.4f}",
        "auc": _figure(compared.auc),
        "cost": _gap(compared.difference),
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
    name: str,
    log_loss: float,
    auc: float,
    difference: Estimate | None = None,
    auc_can_leave: float | None = None,
) -> dict[str, str]:
    return {
        "name": name,
        "log_loss": _figure(log_loss, ".4f"),
        "auc": _figure(auc),
        "auc_can_leave": _figure(auc_can_leave),
        "difference": "" if difference is None else _gap(difference),
    }


def _gap(difference: Estimate) -> str:
    if math.isnan(difference.low):
        return f"{difference.value:+.4f}"
    return f"{difference.value:+.4f} ({difference.low:+.4f} to {difference.high:+.4f})"


def _figure(value: float | None, shown: str = ".3f") -> str:
    """A figure as text; empty where there is none."""
    return "" if value is None or math.isnan(value) else format(value, shown)


def _own_limits(evaluation: VersionEvaluation | None) -> list[str]:
    limits = []
    leaving = None if evaluation is None else evaluation.test.counts.leaving_accounts
    if leaving is None:
        limits.append("No test result was recorded for this model.")
    elif leaving < FEW_TEST_EVENTS:
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
