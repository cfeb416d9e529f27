"""What stops a bad model, in words a person understands."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from models.evaluation import Beside, Evaluation, TestFigures
from models.fairness import SegmentCheck, worst
from models.leakage import LeakFinding, advice, leaks_in_words
from models.methods.cohort import LEAVERS_PER_SEGMENT
from models.metrics import Estimate
from models.training_facts import TrainingFacts

FEW_TEST_EVENTS = 100
"""With fewer leaving accounts in the test an interval is wider than any real gain; point estimates
decide.
"""
FEWEST_TEST_EVENTS = 10
"""With fewer even a point estimate is luck: whoever ranks two or three accounts well wins. So
nothing passes.
"""
LOOK = "Look at the accounts with `tenure changes`, raise"
CALIBRATED = "calibrated"
"""The gate that newer labels can put right."""
NEARLY_CERTAIN = 0.95
"""AUC that honest data hardly reach."""
SLOPE_RANGE = (0.5, 2.0)
RATE_TOLERANCE = 0.20
WORSE_BY = 0.01
"""A log loss that is higher by this share than that of the model in use is worse; what lies below
it is what another seed gives.
"""
NO_WORSE, STABLE = "no worse than the model in use", "stable against the model in use"
SEGMENT_TOLERANCE = 0.30
"""A segment's mean may be off by this share of its rate before it stops a model, if beyond chance.
"""


@dataclass(frozen=True)
class Gate:
    """One question a model has to pass, the answer, and why; one that does not apply to the model
    stops nothing.
    """

    name: str
    passed: bool
    reason: str
    applies: bool = True
    may_be_accepted: bool = False
    """Whether a person may let the model pass all the same, with a reason."""

    @property
    def verdict(self) -> str:
        """`passed`, `REFUSED` or `not applicable`."""
        if not self.applies:
            return "not applicable"
        return "passed" if self.passed else "REFUSED"


def gates(evaluation: Evaluation) -> tuple[Gate, ...]:
    """Return the gates a model passes or fails on its untouched test, in order.

    Beating the constant needs, with 100 leaving accounts and more, the whole paired interval below
    zero; beating recency needs the better log loss. With fewer events both need the better log
    loss, and the reason says that no gain beyond chance is claimed. With fewer than 10 neither
    these nor calibration can be judged, and the model is refused. Neither the contract calendar nor
    a scorecard with its health turned into probabilities may be better beyond chance.
    """
    test, baselines = evaluation.test, evaluation.baselines
    return (
        _finite(test),
        _beats_constant(test, baselines.get("constant")),
        _beats_recency(test, baselines.get("recency")),
        _holds_against_calendar(test, baselines.get("contract_calendar")),
        _holds_against_scorecard(test, baselines.get("scorecard")),
        _calibrated(test),
    )


def untouched(training: TrainingFacts, first_test: date) -> Gate:
    """Whether a model that was trained elsewhere says it learned from nothing the test asks."""
    name, last = "learned before the test", training.last_as_of
    words = (
        f"it was trained elsewhere, on rows until {last or 'an unknown date'}; the test begins"
        f" {first_test}."
    )
    if last is not None and last < first_test:
        return Gate(name, True, words)
    return Gate(
        name, False, f"{words} What it learned by heart would pass for knowledge: train here."
    )


def told_apart(
    suspects: Sequence[LeakFinding], evaluation: Evaluation, *, certain: float = NEARLY_CERTAIN
) -> Gate:
    """Whether any signal knows the outcome on the test dates, where history is newest and most
    often rewritten.

    Parameters
    ----------
    suspects
        What the leakage audit says of the test rows, waived or not.
    certain
        AUC of model or baseline from which it is said, even where no single signal carries it.
    """
    name = "no signal knows the outcome"
    refused = [each for each in suspects if each.waived is None]
    aucs = {
        "the model": evaluation.test.metrics.auc.value,
        **{f"{each} alone": beside.auc for each, beside in evaluation.baselines.items()},
    }
    high = [f"{who} {value:.3f}" for who, value in aucs.items() if value >= certain]
    strengths = f" AUC on the test: {', '.join(high)}." if high else ""
    if refused:
        words = f"on the test dates {leaks_in_words(refused)}."
        return Gate(name, False, f"{words}{strengths} {advice(refused)}")
    if high:
        return Gate(
            name,
            True,
            f"no single signal does.{strengths} Few outcomes can be told so well: make sure that"
            " what counts most was known on the date.",
        )
    return Gate(name, True, "no single signal nearly tells it on the test dates.")


def _finite(test: TestFigures) -> Gate:
    needed = {
        "log_loss": test.metrics.log_loss.value,
        "brier": test.metrics.brier.value,
        "probability_min": test.probability_min,
        "probability_max": test.probability_max,
    }
    absent = [name for name, value in needed.items() if not math.isfinite(value)]
    if absent:
        return Gate(
            "finite outputs",
            False,
            f"{', '.join(absent)} of the test are not numbers; train again.",
        )
    return Gate(
        "finite outputs",
        True,
        f"all {test.counts.n} probabilities of the test are numbers, from "
        f"{test.probability_min:.1%} to {test.probability_max:.1%}.",
    )


def _beats_constant(test: TestFigures, constant: Beside | None) -> Gate:
    name = "beats the constant out of time"
    if constant is None:
        return Gate(
            name,
            False,
            "there is no constant rate to compare the model with, so nothing shows that it knows"
            " anything.",
        )
    rate = test.constant_rate
    figures = (
        f"log loss {test.metrics.log_loss.value:.4f} against {constant.log_loss:.4f}, difference"
        f" {_interval(constant.difference)}; {test.counts.leaving_accounts} accounts with the event"
    )
    if test.counts.leaving_accounts < FEWEST_TEST_EVENTS:
        return Gate(
            name, False, _too_few(test, "whether the model beats one rate for everybody", figures)
        )
    is_many = test.counts.leaving_accounts >= FEW_TEST_EVENTS
    high = constant.difference.high
    where, everybody = (
        "on the untouched test the model does",
        f"predicting {_percent(rate)} for everybody",
    )
    if constant.difference.value >= 0:
        return Gate(name, False, f"{where} no better than {everybody} ({figures}).")
    if is_many and not high < 0:
        return Gate(
            name,
            False,
            f"{where} no better than {everybody}; the gain could be chance ({figures}).",
        )
    is_sure = high < 0
    return Gate(
        name,
        True,
        f"{where} better than {everybody} ({figures})."
        + ("" if is_many or is_sure else _no_claim()),
    )


def _beats_recency(test: TestFigures, recency: Beside | None) -> Gate:
    name = "beats recency out of time"
    if recency is None:
        return Gate(
            name,
            True,
            "no signal counts days since something happened, so there is no recency rule to"
            " compare with.",
            applies=False,
        )
    figures = (
        f"log loss {test.metrics.log_loss.value:.4f} against {recency.log_loss:.4f}, difference"
        f" {_interval(recency.difference)}"
    )
    if test.counts.leaving_accounts < FEWEST_TEST_EVENTS:
        return Gate(
            name,
            False,
            _too_few(test, "whether it beats the date of last activity alone", figures),
        )
    if recency.difference.value < 0:
        high = recency.difference.high
        is_sure = test.counts.leaving_accounts >= FEW_TEST_EVENTS or high < 0
        return Gate(
            name,
            True,
            f"the model does better than the date of last activity alone ({figures})."
            + ("" if is_sure else _no_claim()),
        )
    return Gate(
        name,
        False,
        f"the date of last activity alone does as well as the model ({figures}). Use that rule, or"
        " add signals that say more.",
    )


def _holds_against_calendar(test: TestFigures, calendar: Beside | None) -> Gate:
    """Whether length of term and days to its end alone are better beyond chance.

    Knowing when accounts decide is most of a chance within some months. A model on a par with it
    still tells accounts of one date apart, so only a loss beyond chance refuses it; but no gain is
    claimed.
    """
    name = "no worse than the contract calendar"
    if calendar is None:
        return Gate(
            name,
            True,
            "this target does not end contracts, or no end is known ahead, so there is no contract"
            " calendar to compare with.",
            applies=False,
        )
    figures = (
        f"log loss {test.metrics.log_loss.value:.4f} against {calendar.log_loss:.4f}, difference"
        f" {_interval(calendar.difference)}"
    )
    rule = "the contract calendar (term length and days to its end)"
    low, high = calendar.difference.low, calendar.difference.high
    if low > 0:
        return Gate(
            name,
            False,
            f"{rule} does better than the model by more than chance ({figures}). Use that rule, or"
            " add signals that say more.",
        )
    if high < 0:
        return Gate(name, True, f"the model does better than {rule} ({figures}).")
    side = "a little better" if calendar.difference.value < 0 else "no better"
    return Gate(
        name,
        True,
        f"the model does {side} than {rule}, and the difference could be chance ({figures}): it may"
        " know no more than when contracts end.",
    )


def _holds_against_scorecard(test: TestFigures, scorecard: Beside | None) -> Gate:
    """Whether the scorecard, which needs no history, is better beyond chance: then nobody needs the
    model.
    """
    name = "no worse than the scorecard"
    if scorecard is None:
        return Gate(
            name,
            True,
            "no signal says which direction is worse, so there is no scorecard to compare with.",
            applies=False,
        )
    figures = (
        f"log loss {test.metrics.log_loss.value:.4f} against {scorecard.log_loss:.4f}, difference"
        f" {_interval(scorecard.difference)}"
    )
    low = scorecard.difference.low
    if low > 0:
        return Gate(
            name,
            False,
            f"the scorecard does better than the model by more than chance ({figures}). Keep the"
            " scorecard, or add signals that say more.",
        )
    return Gate(
        name, True, f"the model is not worse than the scorecard by more than chance ({figures})."
    )


def _calibrated(test: TestFigures) -> Gate:
    """The slope and the mean are asked; a value is wrong only where it is far off beyond doubt.

    With few events a sound model's slope of 2.3 (1.2 to 4.1) is nothing rare, so there the whole
    interval must lie far off.
    """
    name = CALIBRATED
    slope = test.metrics.calibration_slope
    if math.isnan(slope.value):
        return Gate(
            name,
            False,
            "all chances or all outcomes of the test are equal, so calibration cannot be judged.",
        )
    mean, rate = test.metrics.mean_probability.value, test.metrics.rate.value
    figures = (
        f"slope {slope.value:.2f} ({_number(slope.low)} to {_number(slope.high)}), {mean:.1%}"
        f" expected and {rate:.1%} happened; expected error {test.metrics.ece.value:.3f} where"
        f" chance gives {test.ece_expected:.3f}"
    )
    if test.counts.leaving_accounts < FEWEST_TEST_EVENTS:
        return Gate(name, False, _too_few(test, "whether the chances come true", figures))
    is_few = test.counts.leaving_accounts < FEW_TEST_EVENTS
    slope_ok, mean_ok = (_slope_may_hold, _mean_may_hold) if is_few else (_slope_holds, _mean_holds)
    wrong = []
    if not slope_ok(test):
        wrong.append(
            "the chances are too extreme" if slope.value < 1 else "the chances are too timid"
        )
    if not mean_ok(test):
        wrong.append(
            "the model expects too many events"
            if mean > rate
            else "the model expects too few events"
        )
    if not wrong:
        said = _what_held(test, is_few=is_few)
        return Gate(name, True, f"{said}: {figures}.")
    return Gate(
        name,
        False,
        f"{' and '.join(wrong)}: {figures}. Move the training dates closer to today, or correct the"
        " level with newer outcomes: `tenure recalibrate` (with --candidate for a candidate).",
    )


def _what_held(test: TestFigures, *, is_few: bool) -> str:
    """What chances that pass may be praised for: an error that is allowed is named all the same."""
    if is_few:
        return (
            f"with fewer than {FEW_TEST_EVENTS} accounts with the event only a large error would"
            " show, and none does"
        )
    mean, rate = test.metrics.mean_probability.value, test.metrics.rate
    slope = test.metrics.calibration_slope
    off = []
    if not rate.low <= mean <= rate.high:
        off.append("too high" if mean > rate.value else "too low")
    if not slope.low <= 1.0 <= slope.high:
        off.append("too extreme" if slope.value < 1 else "too timid")
    if not off:
        return "the chances came true on the test"
    return f"the chances are {' and '.join(off)}, by more than luck but less than would refuse them"


def _slope_holds(test: TestFigures) -> bool:
    """The slope lies in the range, or 1 in its interval."""
    slope = test.metrics.calibration_slope
    return SLOPE_RANGE[0] <= slope.value <= SLOPE_RANGE[1] or slope.low <= 1.0 <= slope.high


def _mean_holds(test: TestFigures) -> bool:
    """The mean lies in the interval of the rate, or within the tolerance of it."""
    mean, rate = test.metrics.mean_probability.value, test.metrics.rate
    is_within = rate.low <= mean <= rate.high
    return is_within or abs(mean - rate.value) <= RATE_TOLERANCE * rate.value


def _slope_may_hold(test: TestFigures) -> bool:
    """Some of the slope's interval lies in the range."""
    slope = test.metrics.calibration_slope
    is_possible = slope.low <= SLOPE_RANGE[1] and slope.high >= SLOPE_RANGE[0]
    return _slope_holds(test) or is_possible


def _mean_may_hold(test: TestFigures) -> bool:
    """Some of the rate's interval lies within the tolerance of the mean."""
    mean, rate = test.metrics.mean_probability.value, test.metrics.rate
    is_possible = rate.low <= mean * (1 + RATE_TOLERANCE) and rate.high >= mean * (
        1 - RATE_TOLERANCE
    )
    return _mean_holds(test) or is_possible


def fair(checks: Sequence[SegmentCheck]) -> Gate:
    """Whether the probabilities hold in every segment large enough to be judged; the worst gap is
    named.
    """
    name = "holds in every segment"
    worst_one = worst(checks)
    if worst_one is None:
        return Gate(
            name,
            True,
            f"no segment has {LEAVERS_PER_SEGMENT} accounts with the event in the test, so none can"
            " be judged.",
            applies=False,
        )
    words = (
        f"the worst is {worst_one.segment}: {worst_one.mean_probability:.1%} expected,"
        f" {worst_one.rate:.1%} happened, gap {worst_one.gap:+.3f} ({worst_one.gap_low:+.3f} to"
        f" {worst_one.gap_high:+.3f}), {worst_one.leaving_accounts} accounts with the event"
    )
    off = [
        each
        for each in checks
        # The floor keeps a segment comparable that nobody left: any gap is large beside 0.
        if each.is_off and abs(each.gap) > SEGMENT_TOLERANCE * max(each.rate, 1e-9)
    ]
    if off:
        which = ", ".join(each.segment for each in off)
        return Gate(
            name,
            False,
            f"the chances are wrong by more than luck for {which}; {words}. Add signals that tell"
            " these segments apart, or train on them alone.",
        )
    judged = sum(each.is_judged for each in checks)
    return Gate(
        name, True, f"{judged} of {len(checks)} segments are large enough to judge; {words}."
    )


def no_worse_than_in_use(log_loss: float, in_use: float, difference: Estimate) -> Gate:
    """Whether the candidate holds its own against the model in use on the same accounts and dates.

    Parameters
    ----------
    log_loss, in_use
        Of the candidate and of the model in use.
    difference
        The first less the second, paired.
    """
    figures = f"log loss {log_loss:.4f} against {in_use:.4f}, difference {_interval(difference)}"
    if difference.low > 0:
        return Gate(
            NO_WORSE,
            False,
            f"the model in use does better than the candidate by more than chance ({figures})."
            " Where it knew what it should not have, accept the candidate with --acknowledge"
            " REASON.",
            may_be_accepted=True,
        )
    if difference.value > WORSE_BY * in_use:
        return Gate(
            NO_WORSE,
            False,
            f"the model in use does better than the candidate, though it may be chance ({figures})."
            " Train on more history, or accept it with --acknowledge REASON.",
            may_be_accepted=True,
        )
    side = "better" if difference.high < 0 else "no worse"
    return Gate(NO_WORSE, True, f"the candidate does {side} than the model in use ({figures}).")


def not_compared(words: str) -> Gate:
    """The same gate where the two were not judged on the same rows; `words` say why."""
    return Gate(
        NO_WORSE,
        False,
        f"{words} So nothing shows that the candidate is as good. Accept it with --acknowledge"
        " REASON.",
        may_be_accepted=True,
    )


def stable(
    changed: float,
    noise: float | None,
    budget: float,
    *,
    is_stabilised: bool = False,
    look: str = LOOK,
) -> Gate:
    """Whether the candidate moves few enough accounts to other bands than the model in use, on the
    same inputs.

    Parameters
    ----------
    changed, noise
        Share of accounts (0-1) that change band against the model in use, and against the
        candidate's own twin from another seed.
    look
        Where a refusal sends the reader, as a sentence's beginning.
    """
    name = STABLE
    beside = "" if noise is None else f"; retraining from another seed alone moves {noise:.1%}"
    how = " after averaging with the model in use" if is_stabilised else ""
    figures = (
        f"{changed:.1%} of accounts change band on the same inputs{how}, {100 * budget:g}% are"
        f" allowed{beside}"
    )
    if changed <= budget:
        return Gate(name, True, f"{figures}.")
    return Gate(
        name, False, f"{figures}. {look} training.band_change_budget, or train on more history."
    )


def _too_few(test: TestFigures, question: str, figures: str) -> str:
    return (
        f"{test.counts.leaving_accounts} accounts with the event in the test are too few to tell"
        f" {question} ({figures}); it takes {FEWEST_TEST_EVENTS}. Hold out more dates, or bring"
        " more history."
    )


def _no_claim() -> str:
    return (
        f" With fewer than {FEW_TEST_EVENTS} accounts with the event, the better value decides; the"
        " gain may still be chance."
    )


def _interval(difference: Estimate) -> str:
    if math.isnan(difference.low):
        return f"{difference.value:+.4f}"
    return f"{difference.value:+.4f} (95% {difference.low:+.4f} to {difference.high:+.4f})"


def _percent(rate: float) -> str:
    """Whole percent from 10% on, one decimal below: 0.4% must not read 0%."""
    if math.isnan(rate):
        return "the same"
    return f"{rate:.0%}" if rate >= 0.1 else f"{rate:.1%}"


def _number(value: float) -> str:
    return "?" if math.isnan(value) else f"{value:.2f}"
