"""From a training set to a calibrated model: fold, search, calibrate on the last dates, fit once
more on all.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import pandas as pd

from features.errors import ContractError
from models import leakage
from models.calibration import (
    Bent,
    Interval,
    Platt,
    ScoredPeriod,
    after_drift,
    at_level,
    bent_if_better,
    fit_interval,
    fit_platt,
    period_sd,
    straightened,
)
from models.dataset import TrainingSet
from models.methods import (
    MODEST,
    WORTH_TELLING,
    Constant,
    ContractCalendar,
    DeclaredPoints,
    GradientBoosting,
    Logistic,
    Method,
    Recency,
    Rules,
    Scorecard,
    fit_season,
    is_contractual,
    leaving_window,
    recency_signals,
    season_columns,
    season_spread,
)
from models.methods.base import Floats, mean_log_loss
from models.methods.gradient_boosting import binned_rows
from models.model import ChanceAtDecision, Member, Model, at_decision, decides, references
from models.plan import TrainingPlan
from models.splits import Block, Folds, searched, temporal_folds, thinned
from models.target_words import TARGET_WORDS
from models.timing import CYCLE_AUC, TimingApart, apart, timing_of
from models.training_facts import TrainingFacts
from models.tuning import (
    BlendSettings,
    TuningResult,
    choose_l2,
    help_tune,
    never,
    row_weights,
    tune,
)

RESEEDED = 7_919
"""Added to the seed for the twin whose moves are noise."""
ENOUGH_EVENTS = 200
"""Events in the calibration block from which its sigmoid stands on its own feet."""


@dataclass(frozen=True, eq=False)
class TrainingResult:
    """What a training run found.

    Attributes
    ----------
    model
        The calibrated blend, fitted on all rows before the test.
    baselines
        `constant`, `logistic`, `lightgbm` (untuned), `recency`, `contract_calendar` and
        `scorecard` (where target and signals allow), each fitted and calibrated on the same rows
        as the model.
    scorecard
        What is published if no model earns it; None where no card has an opinion.
    reseeded
        The same model from another seed: how far it moves accounts is noise, not news.
    validation
        Out-of-time predictions of the calibration rows: account_id, as_of, label_until, label,
        margin, probability.
    trials
        One row per trial of the search; empty where nothing was tuned.
    """

    model: Model
    baselines: Mapping[str, Model]
    scorecard: Model | None
    folds: Folds
    trials: pd.DataFrame
    validation: pd.DataFrame
    notes: tuple[str, ...]
    findings: tuple[leakage.LeakFinding, ...] = ()
    reseeded: Model | None = None


Recipe = Callable[[TrainingSet, int], tuple[Member, ...]]
"""Rows and a seed give fitted members."""


def train(
    training_set: TrainingSet,
    plan: TrainingPlan | None = None,
    *,
    target: Mapping[str, Any] | None = None,
    journal: Path | None = None,
    stop: Callable[[], bool] = never,
) -> TrainingResult:
    """Return the model for these rows, with its baselines and what must be known about them.

    Test rows (`is_test`) are never looked at. Same rows, same plan: same model, to the byte.

    Parameters
    ----------
    target
        Plain facts about what is predicted, kept in the model.
    journal
        File for the search's trials, so that an interrupted search can go on.
    stop
        Asked between trials: True ends the search early, which a note then says.

    Raises
    ------
    ContractError
        When there are too few leavers or stayers to learn anything.
    LeakageError
        When a column nearly tells the label alone and is not waived.
    """
    plan = plan or TrainingPlan()
    folds = folds_of(training_set, plan)
    leakage.audit_folds(training_set.keys, folds)
    findings = leakage.audit(training_set.rows(folds.final), plan.waivers)
    training_set, untold = _with_worthy_season(training_set, folds)
    notes = [*folds.notes, *untold]
    notes += [
        f"{each.column} stays in although the leakage audit objects (AUC {each.figure:.3f}):"
        f" {each.waived}."
        for each in findings
    ]
    is_few = not is_tuned(folds, plan)
    timing = _timing(training_set, folds, plan, target)
    notes += _cycle_notes(timing, training_set)
    if is_few:
        recipe, trials, facts = _few_events_recipe(training_set, folds, plan, timing)
        notes.append(
            f"only {folds.leaving_accounts} accounts {_past(target)} in the training data, too few"
            f" to tune a model with (that takes {plan.few_events_below}). Of"
            f" {len(facts['candidates'])} simple methods, {facts['chosen']} did best."
        )
    else:
        tuned = tune(training_set, folds, plan, journal=journal, stop=stop, timing=timing)
        if len(tuned.trials) < plan.trials:
            notes.append(
                f"the search ran out of time after {len(tuned.trials)} of {plan.trials} trials, so"
                " the same data may give another model next time."
            )
        recipe, trials, facts = (
            _blend_recipe(tuned.members, plan, timing),
            tuned.trials,
            _tuning_facts(tuned),
        )
    if plan.mixture is not None:
        recipe = _mixed(recipe, plan)
        notes.append(f"the score mixes {plan.mixture.words} in log-odds, as declared.")
    # A line beside the contract calendar was chosen for another task than a line alone.
    is_alone = "settings" in facts and timing is None
    line_l2 = float(facts["settings"]["logistic_l2"]) if is_alone else None
    builder = _Builder(training_set, folds, plan, target or {})
    notes += builder.notes(is_few)
    model, validation = builder.build(recipe, facts, notes)
    return TrainingResult(
        model,
        builder.baselines(line_l2),
        builder.scorecard(),
        folds,
        trials,
        validation,
        tuple(notes),
        findings,
        builder.reseeded(recipe, facts),
    )


def baselines_of(
    training_set: TrainingSet, plan: TrainingPlan, target: Mapping[str, Any]
) -> dict[str, Model]:
    """The methods a model that was trained elsewhere is compared with, fitted on these rows."""
    folds = folds_of(training_set, plan)
    return _Builder(training_set, folds, plan, target).baselines(None)


def help_search(
    training_set: TrainingSet,
    plan: TrainingPlan,
    journal: Path,
    stop: Callable[[], bool] = never,
    *,
    target: Mapping[str, Any] | None = None,
) -> None:
    """Add trials to the journal of a search, beside other processes; `train` with this journal goes
    on from them.
    """
    folds = folds_of(training_set, plan)
    if is_tuned(folds, plan):
        rows = _with_worthy_season(training_set, folds)[0]
        help_tune(rows, folds, plan, journal, stop, _timing(rows, folds, plan, target))


def folds_of(training_set: TrainingSet, plan: TrainingPlan) -> Folds:
    """The blocks of a training run."""
    # The untouched rows leave here: nothing that trains can see their labels.
    folds = temporal_folds(training_set.keys, plan.folds, _labels_without_test(training_set))
    folds = thinned(folds, training_set.keys, plan.max_rows)
    return searched(folds, training_set.keys, plan.search_rows) if is_tuned(folds, plan) else folds


def _with_worthy_season(training_set: TrainingSet, folds: Folds) -> tuple[TrainingSet, list[str]]:
    """Rows without the time of year where it does not show in the training dates, and what is said
    of it.

    Whatever has a value of its own on each date can be learned by heart, and no validation date
    would tell.
    """
    columns = season_columns(training_set.signals)
    if columns is None:
        return training_set, []
    others = tuple(signal for signal in training_set.signals if signal.column not in columns)
    if not others:
        return training_set, []
    untold = TrainingSet(
        training_set.keys,
        training_set.features[[s.column for s in others]],
        training_set.labels,
        others,
    )
    rows = untold.rows(folds.final)
    line = Logistic().fit(rows.features, rows.labels, rows.signals)
    spread = season_spread(line.margin(rows.features), rows.labels, rows.keys)
    if spread >= WORTH_TELLING:
        return training_set, []
    return untold, [
        "the time of year is left out: it hardly matters here (dates differ by"
        f" {spread:.2f} log-odds; it would count from {WORTH_TELLING})."
    ]


def _past(target: Mapping[str, Any] | None) -> str:
    """What accounts with the event did; a table says only that they had it."""
    return TARGET_WORDS.get(str((target or {}).get("kind")), TARGET_WORDS["event"]).past


def _timing(
    rows: TrainingSet, folds: Folds, plan: TrainingPlan, target: Mapping[str, Any] | None
) -> ContractCalendar | None:
    """The contract calendar that others learn beside, where the plan asks for it."""
    return timing_of(rows.rows(folds.final), target or {}) if plan.beside_calendar else None


def _cycle_notes(timing: ContractCalendar | None, rows: TrainingSet) -> list[str]:
    """What is said of signals that are calendars in disguise."""
    calendar = {s.column for s in rows.signals if s.is_calendar}
    cycles = [] if timing is None else [c for c in timing.hidden if c not in calendar]
    if not cycles:
        return []
    return [
        "not read as behaviour, because they mainly tell when a term ends (AUC"
        f" {CYCLE_AUC:g} and more among terms of one length): {', '.join(cycles)}."
    ]


def is_tuned(folds: Folds, plan: TrainingPlan) -> bool:
    """Whether there are leavers enough for a search."""
    return folds.leaving_accounts >= plan.few_events_below


def fitted_again(
    training_set: TrainingSet,
    plan: TrainingPlan,
    recipe: Recipe,
    *,
    half_life_days: float | None = None,
    target: Mapping[str, Any] | None = None,
    with_interval: bool = False,
) -> Model:
    """Return the model of a recipe already chosen: folds and calibration as in `train`, nothing
    searched.

    Parameters
    ----------
    target
        What the model predicts, as it says later; default: nothing.
    with_interval
        Whether it says how sure its probabilities are.
    """
    builder = _Builder(training_set, folds_of(training_set, plan), plan, target or {})
    if not with_interval:
        return builder.again(recipe, half_life_days)
    settings = {} if half_life_days is None else {"settings": {"half_life_days": half_life_days}}
    return builder.build(recipe, settings, [])[0]


def _labels_without_test(training_set: TrainingSet) -> np.ndarray[Any, np.dtype[np.int8]]:
    return np.where(training_set.keys["is_test"], 0, training_set.labels).astype(np.int8)


def _tuning_facts(tuned: TuningResult) -> dict[str, Any]:
    return {
        "settings": asdict(tuned.settings),
        "members": [asdict(each) for each in tuned.members],
        "log_loss_tuning": tuned.log_loss,
        "log_loss_tuning_first_trial": tuned.log_loss_first,
        "log_loss_tuning_logistic": tuned.log_loss_logistic,
    }


def _blend_recipe(
    chosen: tuple[BlendSettings, ...], plan: TrainingPlan, timing: ContractCalendar | None
) -> Recipe:
    """The members of the blend: trees of each chosen setting, one seed each, and a straight line;
    all of them beside the contract calendar, where there is one.
    """
    trees_in_all = sum(each.boosting.trees for each in chosen)
    # What the chosen leave of the budget goes to more seeds of each.
    bags = max(1, min(plan.bags // len(chosen), plan.max_trees // trees_in_all))
    line_share = sum(each.logistic_share for each in chosen) / len(chosen)

    def fit(rows: TrainingSet, seed: int) -> tuple[Member, ...]:
        parts = apart(rows, timing)
        members = _calendar_member(parts)
        binned: dict[int, lgb.Dataset] = {}
        for number, each in enumerate(chosen):
            if each.logistic_share < 1.0:
                bins = each.boosting.bins
                if bins not in binned:
                    binned[bins] = binned_rows(
                        parts.rows.features,
                        rows.labels,
                        rows.signals,
                        bins,
                        seed,
                        plan.threads,
                        parts.offset,
                    )
                trees = GradientBoosting(
                    each.boosting, bags=bags, threads=plan.threads, is_event_good=plan.is_event_good
                )
                trees.fit(
                    parts.rows.features,
                    rows.labels,
                    rows.signals,
                    seed=seed + 1_000 * number,
                    weights=row_weights(rows.keys, each.half_life_days),
                    offset=parts.offset,
                    binned=binned[bins],
                )
                members.append(Member(trees, (1.0 - each.logistic_share) / len(chosen)))
        if line_share > 0.0:
            line = Logistic(chosen[0].logistic_l2, is_event_good=plan.is_event_good)
            line.fit(parts.rows.features, rows.labels, rows.signals, offset=parts.offset)
            members.append(Member(line, line_share))
        return tuple(members)

    return fit


def _mixed(learned: Recipe, plan: TrainingPlan) -> Recipe:
    """Declared points beside what is learned, each with its share."""
    assert plan.mixture is not None
    mixture, good = plan.mixture, plan.is_event_good

    def fit(rows: TrainingSet, seed: int) -> tuple[Member, ...]:
        share = mixture.model_share
        points: Method = (
            Rules(mixture.rules, match=mixture.match, is_event_good=good)
            if mixture.rules
            else Scorecard(is_event_good=good)
        )
        declared = DeclaredPoints(points).fit(rows.features, rows.labels, rows.signals, seed=seed)
        members = [replace(each, weight=share * each.weight) for each in learned(rows, seed)]
        return (*members, Member(declared, 1.0 - share))

    return fit


def _calendar_member(parts: TimingApart) -> list[Member]:
    return [] if parts.calendar is None else [Member(parts.calendar, 1.0)]


def _beside_calendar(
    make: Callable[[], Logistic | GradientBoosting], timing: ContractCalendar | None
) -> Recipe:
    """One method, beside the contract calendar where there is one."""

    def fit(rows: TrainingSet, seed: int) -> tuple[Member, ...]:
        parts = apart(rows, timing)
        method = make().fit(
            parts.rows.features, rows.labels, rows.signals, seed=seed, offset=parts.offset
        )
        return (*_calendar_member(parts), Member(method, 1.0))

    return fit


def _single(make: Callable[[], Method]) -> Recipe:
    def fit(rows: TrainingSet, seed: int) -> tuple[Member, ...]:
        return (Member(make().fit(rows.features, rows.labels, rows.signals, seed=seed), 1.0),)

    return fit


def _few_events_recipe(
    training_set: TrainingSet, folds: Folds, plan: TrainingPlan, timing: ContractCalendar | None
) -> tuple[Recipe, pd.DataFrame, dict[str, Any]]:
    """The best of three modest candidates on the pooled blocks; none of them has anything to
    overfit with.
    """
    blocks = (
        folds.tuning
        if folds.tuning[0] is folds.calibration[0]
        else folds.tuning + folds.calibration
    )
    pairs = [
        (training_set.rows(block.train), training_set.rows(block.validation)) for block in blocks
    ]
    l2, _ = choose_l2(pairs, signed=True, is_event_good=plan.is_event_good, timing=timing)
    candidates: dict[str, Recipe] = {
        "signed logistic": _beside_calendar(
            lambda: Logistic(max(l2, 0.01), signed=True, is_event_good=plan.is_event_good), timing
        ),
        "small LightGBM": _beside_calendar(
            lambda: GradientBoosting(
                MODEST, threads=plan.threads, is_event_good=plan.is_event_good
            ),
            timing,
        ),
    }
    if _has_scorecard(training_set.rows(folds.final)):
        candidates["scorecard"] = _single(lambda: Scorecard(is_event_good=plan.is_event_good))
    losses = {
        name: _pooled_calibrated_loss(recipe, pairs, plan.seed)
        for name, recipe in candidates.items()
    }
    chosen = min(losses, key=lambda name: (losses[name], name))
    trials = pd.DataFrame(
        {
            "trial": range(len(losses)),
            "state": "complete",
            "log_loss": list(losses.values()),
            "method": list(losses),
        }
    )
    return candidates[chosen], trials, {"chosen": chosen, "candidates": losses}


def _pooled_calibrated_loss(
    recipe: Recipe, pairs: list[tuple[TrainingSet, TrainingSet]], seed: int
) -> float:
    """Log loss after one sigmoid for all blocks, since a scorecard's margin has no scale of its
    own.
    """
    members = [recipe(train, seed) for train, _ in pairs]
    margin = np.concatenate(
        [_margin(part, later.features) for part, (_, later) in zip(members, pairs, strict=True)]
    )
    labels = np.concatenate([later.labels for _, later in pairs])
    calibrator = fit_platt(margin, labels, is_log_odds=_is_log_odds(members[0]))
    return mean_log_loss(calibrator.logit(margin), labels)


def _margin(members: tuple[Member, ...], features: pd.DataFrame) -> Floats:
    return np.asarray(
        sum(each.weight * each.method.margin(features) for each in members), dtype=np.float64
    )


def _is_log_odds(members: tuple[Member, ...]) -> bool:
    return all(member.method.name != "scorecard" for member in members)


def _has_scorecard(rows: TrainingSet) -> bool:
    # Asked by trying: which signals can count is known to the scorecard alone.
    try:
        Scorecard().fit(rows.features, rows.labels, rows.signals)
    except ContractError:
        return False
    return True


class _Builder:
    """Turns recipes into calibrated models on the same folds."""

    def __init__(
        self, training_set: TrainingSet, folds: Folds, plan: TrainingPlan, target: Mapping[str, Any]
    ) -> None:
        self.rows = training_set
        self.folds = folds
        self.plan = plan
        self.target = dict(target)
        self.final = training_set.rows(folds.final)
        self.blocks = self._calibration_blocks()
        # The rows that teach are taken out of the table when a recipe is fitted, and dropped again:
        # they are most of it.
        self.later = [training_set.rows(block.validation) for block in self.blocks]
        self.later_labels = np.concatenate([part.labels for part in self.later])
        self.later_keys = pd.concat([part.keys for part in self.later], ignore_index=True)
        self.latest_rate = _latest_rate(self.later_labels)
        self.earlier = self._earlier_block()

    def _calibration_blocks(self) -> tuple[Block, ...]:
        """The last block; with few events in it, all blocks pooled (rolling origins)."""
        is_few = self.folds.leaving_accounts < self.plan.few_events_below
        if is_few and self.folds.tuning[0] is not self.folds.calibration[0]:
            return self.folds.tuning + self.folds.calibration
        return self.folds.calibration

    def _earlier_block(self) -> Block | None:
        """The block before the calibration block, if that many left in it that it could show a
        bend.
        """
        last = self.folds.tuning[-1]
        is_other = self.folds.is_temporal and last is not self.folds.calibration[0]
        if not is_other or last.leaving_accounts < ENOUGH_EVENTS:
            return None
        return last

    def notes(self, is_few: bool) -> list[str]:
        events = int(self.later_keys["account_id"][self.later_labels == 1].nunique())
        if events >= ENOUGH_EVENTS:
            return []
        pooled = ", all validation dates taken together" if is_few and len(self.blocks) > 1 else ""
        return [
            "calibration: a sigmoid, shrunk towards no correction because only"
            f" {events} accounts {_past(self.target)}{pooled} (it takes {ENOUGH_EVENTS})."
        ]

    def build(
        self, recipe: Recipe, facts: Mapping[str, Any], notes: list[str]
    ) -> tuple[Model, pd.DataFrame]:
        """Calibrate a recipe out of time, fit it on all rows, and return it with its validation
        table.
        """
        margin, calibrator, decision = self._calibrate(recipe)
        if isinstance(calibrator, Bent):
            notes.append(
                "calibration: a curve with bends, because bends found on earlier dates beat a plain"
                " sigmoid by more than chance."
            )
        table = fit_interval(
            margin,
            self.later_labels,
            self.later_keys["account_id"],
            calibrator,
            seed=self.plan.seed,
        )
        validation = self.later_keys[["account_id", "as_of", "label_until"]].assign(
            label=self.later_labels, margin=margin, probability=calibrator.calibrate(margin)
        )
        half_life = facts.get("settings", {}).get("half_life_days")
        return (
            self._model(
                recipe,
                calibrator,
                table,
                {**facts, "notes": list(notes)},
                half_life,
                decision=decision,
            ),
            validation,
        )

    def reseeded(self, recipe: Recipe, facts: Mapping[str, Any]) -> Model:
        """The model as another seed would have made it, calibrated in the same way."""
        seed = self.plan.seed + RESEEDED
        half_life = facts.get("settings", {}).get("half_life_days")
        _, calibrator, decision = self._calibrate(recipe, seed)
        return self._model(recipe, calibrator, None, {}, half_life, seed, decision=decision)

    def again(self, recipe: Recipe, half_life_days: float | None) -> Model:
        """Return the calibrated model of a recipe, without its interval."""
        _, calibrator, decision = self._calibrate(recipe)
        return self._model(recipe, calibrator, None, {}, half_life_days, decision=decision)

    def baselines(self, line_l2: float | None) -> dict[str, Model]:
        """Fit the methods every model must be compared with; `line_l2` is the strength already
        chosen, if any.
        """
        if line_l2 is None:
            pairs = [
                (self.rows.rows(block.train), self.rows.rows(block.validation))
                for block in self.folds.tuning
            ]
            line_l2 = choose_l2(pairs)[0]
        strength = line_l2
        recipes: dict[str, Recipe] = {"logistic": _single(lambda: Logistic(strength))}
        recipes["lightgbm"] = _single(lambda: GradientBoosting(threads=self.plan.threads))
        if recency_signals(self.final.signals):
            recipes["recency"] = _single(Recency)
        if is_contractual(self.target, self.final.signals):
            window = leaving_window(self.target)
            recipes["contract_calendar"] = _single(lambda: ContractCalendar(window))
        if _has_scorecard(self.final):
            recipes["scorecard"] = _single(lambda: Scorecard(is_event_good=self.plan.is_event_good))
        fitted = {"constant": self._constant()}
        for name, recipe in recipes.items():
            fitted[name] = self._model(
                recipe, self._calibrate(recipe)[1], None, {}, with_season=False
            )
        return fitted

    def scorecard(self) -> Model | None:
        """Return the scorecard over all training rows, without a calibrator."""
        if not _has_scorecard(self.final):
            return None
        return self._model(
            _single(lambda: Scorecard(is_event_good=self.plan.is_event_good)), None, None, {}
        )

    def _constant(self) -> Model:
        """The latest matured rate: what a sensible person without a model would say."""
        method = Constant()
        method.rate_, method.signals_ = self.latest_rate, len(self.final.signals)
        return Model(
            (Member(method, 1.0),), self.final.signals, Platt(), None, self.target, self._facts()
        )

    def _calibrate(
        self, recipe: Recipe, seed: int | None = None
    ) -> tuple[Floats, Platt, ChanceAtDecision | None]:
        """Out-of-time margins, their calibrator, and that of health where contracts end."""
        seed = self.plan.seed if seed is None else seed
        members = [recipe(self.rows.rows(block.train), seed) for block in self.blocks]
        parts = [
            _margin(part, validation.features)
            for part, validation in zip(members, self.later, strict=True)
        ]
        rows = _scored(np.concatenate(parts), self.later_labels, self.later_keys)
        straight = fit_platt(
            rows.margin, rows.labels, rows.weights, is_log_odds=_is_log_odds(members[0])
        )
        decision = self._decision(members)
        if self.earlier is None or rows.leaving < ENOUGH_EVENTS:
            return rows.margin, straight, decision
        before, judged = (
            recipe(self.rows.rows(self.earlier.train), seed),
            self.rows.rows(self.earlier.validation),
        )
        earlier = _scored(_margin(before, judged.features), judged.labels, judged.keys)
        return rows.margin, bent_if_better(straight, rows, earlier), decision

    def _decision(self, members: list[tuple[Member, ...]]) -> ChanceAtDecision | None:
        """The calibrator and the interval of health: of rows that stand where their contract
        decides, read at the decision. None without a contract calendar.
        """
        if not any(isinstance(each.method, ContractCalendar) for each in members[0]):
            return None
        some = [
            decides(part, later.features) for part, later in zip(members, self.later, strict=True)
        ]
        if not any(each.any() for each in some):
            return None
        margin = np.concatenate(
            [
                _margin(at_decision(part), later.features)[inside]
                for part, later, inside in zip(members, self.later, some, strict=True)
            ]
        )
        inside = np.concatenate(some)
        keys = self.later_keys[inside]
        rows = _scored(margin, self.later_labels[inside], keys)
        calibrator = fit_platt(rows.margin, rows.labels, rows.weights)
        interval = fit_interval(
            rows.margin, rows.labels, keys["account_id"], calibrator, seed=self.plan.seed
        )
        return ChanceAtDecision(calibrator, interval)

    def _decision_at_level(
        self, decision: ChanceAtDecision, members: tuple[Member, ...], weights: Floats | None
    ) -> ChanceAtDecision:
        """The decision's calibrator at the level of the final rows that stand where their contract
        decides, and its interval with how periods differ.
        """
        inside = decides(members, self.final.features)
        some = self.final.rows(inside)
        margin = _margin(at_decision(members), some.features)
        calibrator = at_level(
            decision.calibrator, margin, some.labels, None if weights is None else weights[inside]
        )
        table = decision.interval_table
        if table is not None and self.folds.is_temporal:
            spread = period_sd(calibrator.logit(margin), some.labels, some.keys)
            table = replace(table, period_sd=spread)
        return ChanceAtDecision(calibrator, table)

    def _model(
        self,
        recipe: Recipe,
        calibrator: Platt | None,
        table: Interval | None,
        facts: Mapping[str, Any],
        half_life_days: float | None = None,
        seed: int | None = None,
        *,
        with_season: bool = True,
        decision: ChanceAtDecision | None = None,
    ) -> Model:
        """Fit a recipe on all rows before the test; the calibrator keeps its slope and takes the
        level these rows have.
        """
        members = recipe(self.final, self.plan.seed if seed is None else seed)
        drift = 0.0
        if calibrator is not None:
            weights = row_weights(self.final.keys, half_life_days)
            calibrator = at_level(
                calibrator, _margin(members, self.final.features), self.final.labels, weights
            )
            if with_season and season_columns(self.final.signals) is not None:
                members = (*members, self._season(members, calibrator))
                calibrator = at_level(
                    calibrator, _margin(members, self.final.features), self.final.labels, weights
                )
            if self.folds.is_temporal:
                newest = self.later[-1]
                accounts = newest.keys["account_id"].nunique()
                level = calibrator.intercept
                calibrator = after_drift(
                    calibrator, _margin(members, newest.features), newest.labels, accounts
                )
                drift = calibrator.intercept - level
                if table is not None:
                    logit = calibrator.logit(_margin(members, self.final.features))
                    table = replace(
                        table, period_sd=period_sd(logit, self.final.labels, self.final.keys)
                    )
            if decision is not None:
                # What moved the level of chances lately moved that of decisions as well.
                decision = self._decision_at_level(decision, members, weights).moved(drift)
        return Model(
            members=members,
            decision=decision,
            signals=self.final.signals,
            calibrator=calibrator,
            interval_table=table,
            target=self.target,
            training=self._facts().with_facts(**facts),
            references=references(self.final.features, self.final.labels),
        )

    def _season(self, members: tuple[Member, ...], calibrator: Platt) -> Member:
        """What the time of year adds to these members, in their margin: as calibrated log-odds over
        the slope.
        """
        columns = season_columns(self.final.signals)
        assert columns is not None
        margin = _margin(members, self.final.features)
        season = fit_season(calibrator.logit(margin), self.final.labels, self.final.keys, columns)
        season.values_ = season.values_ / straightened(calibrator, margin).slope
        return Member(season, 1.0)

    def _facts(self) -> TrainingFacts:
        as_of = self.final.keys["as_of"]
        facts = {
            "rows": len(self.final),
            "accounts": int(self.final.keys["account_id"].nunique()),
            "leaving_accounts": self.folds.leaving_accounts,
            "events": int(self.final.labels.sum()),
            "first_as_of": f"{as_of.min():%Y-%m-%d}",
            "last_as_of": f"{as_of.max():%Y-%m-%d}",
            "rows_purged": self.folds.purged,
            "is_out_of_time": self.folds.is_temporal,
            "latest_rate": self.latest_rate,
            "calibration_rows": len(self.later_labels),
            "calibration_events": int(self.later_labels.sum()),
            "calibration_from": f"{self.later_keys['as_of'].min():%Y-%m-%d}",
            "calibration_until": f"{self.later_keys['as_of'].max():%Y-%m-%d}",
            "fingerprint": self.final.fingerprint(),
            "plan": self.plan.facts(),
        }
        return TrainingFacts(facts)


def _scored(
    margin: Floats, labels: np.ndarray[Any, np.dtype[np.int8]], keys: pd.DataFrame
) -> ScoredPeriod:
    # Rows of one account repeat each other: together they count as one.
    weights = np.full(len(margin), keys["account_id"].nunique() / len(margin))
    return ScoredPeriod(margin, labels, keys["account_id"], weights)


def _latest_rate(labels: np.ndarray[Any, np.dtype[np.int8]]) -> float:
    """Rate of the latest matured rows, half a row added to each class so that it is never 0
    or 1.
    """
    return float((labels.sum() + 0.5) / (len(labels) + 1.0))
