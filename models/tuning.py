"""The search: which trees, how many, and how much of a straight line beside them, judged on later
dates only.
"""

import math
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightgbm as lgb
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.calibration import losses_at_level
from models.dataset import TrainingSet
from models.methods import ContractCalendar
from models.methods.base import Floats
from models.methods.gradient_boosting import UNTUNED, BoostingSettings, binned_rows
from models.methods.logistic import Logistic
from models.plan import TrainingPlan
from models.splits import Block, Folds
from models.timing import apart

if TYPE_CHECKING:
    import optuna


CHECK_EVERY = 10
"""Trees between two looks at the validation loss."""
SEARCH_BINS = 63
PATIENCE = 30
"""Trees without a better block before a fit stops."""
L2_GRID = (3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 0.0003)
"""From strong to weak: each fit starts from the one before."""
CLOSE_TRIALS = 6
"""Places of the ranking from which members are taken."""
SHARES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""Weights of the linear member that are tried at every number of trees."""


@dataclass(frozen=True)
class BlendSettings:
    """Everything the search decides."""

    boosting: BoostingSettings = UNTUNED
    logistic_share: float = 0.0
    logistic_l2: float = 0.01
    half_life_days: float | None = None
    """Weight of a training row halves with this much age; None: all count alike."""


@dataclass(frozen=True, eq=False)
class TuningResult:
    """The chosen settings, and every trial.

    `trials` has one row per trial: `trial`, `state` (complete or pruned), `log_loss` (mean over
    tuning blocks at their level, weighted by rows), `trees`, `logistic_share` and
    the settings.
    """

    settings: BlendSettings
    members: tuple[BlendSettings, ...]
    """The best trials that fit the budget of trees together, the best first; averaged in log-odds.
    """
    trials: pd.DataFrame
    log_loss: float
    log_loss_first: float
    """Of the first trial: the untuned reference's trees, their number and the linear share chosen.
    """
    log_loss_logistic: float
    """Of the linear member alone, with the strength chosen."""


def never() -> bool:
    """No reason to stop."""
    return False


def row_weights(keys: pd.DataFrame, half_life_days: float | None) -> Floats | None:
    """Return 0.5 ** (age / half life) per row, with mean 1; age is counted from the latest row."""
    if half_life_days is None:
        return None
    age = (keys["as_of"].max() - keys["as_of"]).dt.total_seconds().to_numpy() / 86_400.0
    weight = 0.5 ** (age / half_life_days)
    return np.asarray(weight / weight.mean(), dtype=np.float64)


def tune(
    training_set: TrainingSet,
    folds: Folds,
    plan: TrainingPlan,
    *,
    journal: Path | None = None,
    stop: Callable[[], bool] = never,
    timing: ContractCalendar | None = None,
) -> TuningResult:
    """Search with Optuna's TPE for the blend with the smallest log loss on the tuning blocks.

    Trials are judged at the level of each block (`losses_at_level`). The first trial is the untuned
    reference, so the result is never worse than it on these blocks. A trial's number seeds its
    sampler: a search resumed from `journal` equals an uninterrupted one.

    Parameters
    ----------
    plan
        `trials` bounds the search; 0 tries the reference only.
    journal
        File that keeps the trials of an interrupted search.
    stop
        Asked before every trial but the first: True ends the search early.
    timing
        Stands beside trees and line, which then learn what is left.
    """
    blocks = _blocks(training_set, folds, plan, timing)
    study = _study(journal)
    # A killed process leaves a trial running for ever: it is failed here, and its number tried
    # again.
    for trial in _trials(study, "RUNNING"):
        study.tell(trial.number, state=trial.state.FAIL)
    for number in range(len(_finished(study)), max(1, plan.trials)):
        if number > 0 and stop():
            break
        _one_trial(study, number, blocks, training_set, plan)
    return _result(study, blocks, plan)


def help_tune(
    training_set: TrainingSet,
    folds: Folds,
    plan: TrainingPlan,
    journal: Path,
    stop: Callable[[], bool] = never,
    timing: ContractCalendar | None = None,
) -> None:
    """Add trials to a journal that other processes write to as well, until there are enough of
    them.

    `tune` with the same journal then finds them finished. Who sees whose trials depends on the
    clock, so a search with helpers does not give the same trials twice.
    """
    blocks = _blocks(training_set, folds, plan, timing)
    study = _study(journal)
    # Trials that others work on count as done: else helpers would start more than were asked for.
    while (
        len(_finished(study)) + len(_trials(study, "RUNNING")) < max(1, plan.trials) and not stop()
    ):
        _one_trial(study, len(_trials(study)), blocks, training_set, plan)


def _blocks(
    training_set: TrainingSet, folds: Folds, plan: TrainingPlan, timing: ContractCalendar | None
) -> list["_Prepared"]:
    blocks = [_prepare(training_set, block, plan, timing) for block in folds.tuning]
    _choose_logistic(blocks, plan, timing)
    return blocks


@dataclass(eq=False)
class _Prepared:
    """Arrays of a block, made once for all trials."""

    train: TrainingSet
    validation: TrainingSet
    values: Floats
    train_rows: lgb.Dataset
    """Binned once for all trials; only its weights change."""
    logistic_margin: Floats
    beside: Floats
    """What the contract calendar says of the validation rows; 0 without one."""
    logistic_l2: float = 0.01

    @cached_property
    def accounts(self) -> int:
        return int(self.validation.keys["account_id"].nunique())

    @property
    def size(self) -> int:
        return len(self.validation)


def _prepare(
    training_set: TrainingSet, block: Block, plan: TrainingPlan, timing: ContractCalendar | None
) -> _Prepared:
    train, validation = training_set.rows(block.train), training_set.rows(block.validation)
    parts = apart(train, timing)
    beside = np.zeros(len(validation)) + parts.beside(validation.features)
    rows = binned_rows(
        parts.rows.features,
        train.labels,
        training_set.signals,
        SEARCH_BINS,
        plan.seed,
        plan.threads,
        parts.offset,
    )
    return _Prepared(
        train,
        validation,
        validation.features.to_numpy(),
        rows,
        np.zeros(len(validation)),
        beside,
    )


def _choose_logistic(
    blocks: list[_Prepared], plan: TrainingPlan, timing: ContractCalendar | None
) -> None:
    """Find the L2 strength with the smallest log loss and keep its margins on every block."""
    l2, margins = choose_l2(
        [(block.train, block.validation) for block in blocks],
        is_event_good=plan.is_event_good,
        timing=timing,
    )
    for block, margin in zip(blocks, margins, strict=True):
        block.logistic_margin, block.logistic_l2 = margin, l2


def choose_l2(
    pairs: list[tuple[TrainingSet, TrainingSet]],
    *,
    signed: bool = False,
    is_event_good: bool = False,
    timing: ContractCalendar | None = None,
) -> tuple[float, list[Floats]]:
    """Return the L2 strength with the smallest validation log loss, and its margins per pair."""
    paths = []
    for train, validation in pairs:
        parts = apart(train, timing)
        fitted = Logistic.path(
            parts.rows.features,
            train.labels,
            train.signals,
            L2_GRID,
            signed=signed,
            is_event_good=is_event_good,
            offset=parts.offset,
        )
        beside = parts.beside(validation.features)
        paths.append([beside + method.margin(validation.features) for method in fitted])
    losses = sum(
        _losses(np.asarray(path), validation) * len(validation)
        for path, (_, validation) in zip(paths, pairs, strict=True)
    )
    best = int(np.argmin(losses))
    return L2_GRID[best], [path[best] for path in paths]


def _losses(margins: Floats, validation: TrainingSet) -> Floats:
    accounts = validation.keys["account_id"].nunique()
    return losses_at_level(margins, validation.labels, accounts)


def _study(journal: Path | None) -> "optuna.Study":
    import optuna
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = None
    if journal is not None:
        storage = optuna.storages.JournalStorage(JournalFileBackend(str(journal)))
    return optuna.create_study(
        study_name="tenure",
        storage=storage,
        load_if_exists=True,
        direction="minimize",
        pruner=optuna.pruners.MedianPruner(n_startup_trials=6, n_warmup_steps=0),
    )


def _trials(study: "optuna.Study", *states: str) -> list[Any]:
    """Trials of a study in the order they were asked for; all of them where no state is named."""
    import optuna

    return study.get_trials(
        deepcopy=False, states=tuple(optuna.trial.TrialState[s] for s in states) or None
    )


def _finished(study: "optuna.Study") -> list[Any]:
    return _trials(study, "COMPLETE", "PRUNED")


def _one_trial(
    study: "optuna.Study",
    number: int,
    blocks: list[_Prepared],
    training_set: TrainingSet,
    plan: TrainingPlan,
) -> None:
    """Ask, evaluate, tell. `number` counts finished trials, so a failed orphan does not shift the
    seeds.
    """
    import optuna

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study.sampler = optuna.samplers.TPESampler(
            seed=plan.seed * 100_003 + number, n_startup_trials=8
        )
    if number == 0 and not _trials(study, "WAITING"):
        study.enqueue_trial(_as_parameters(UNTUNED))
    trial = study.ask()
    boosting, half_life = _suggest(trial, blocks, training_set, plan)
    try:
        loss, trees, share = _evaluate(boosting, half_life, blocks, training_set, plan, trial)
    # A pruned trial is told as one: its partial loss steers the search away without competing.
    except optuna.TrialPruned:
        study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        return
    trial.set_user_attr("trees", trees)
    trial.set_user_attr("logistic_share", share)
    trial.set_user_attr("settings", asdict(replace(boosting, trees=max(trees, 1))))
    trial.set_user_attr("half_life_days", half_life)
    study.tell(trial, loss)


def _smallest_block(blocks: list[_Prepared]) -> int:
    return min(len(block.train) for block in blocks)


def _as_parameters(settings: BoostingSettings) -> dict[str, Any]:
    return {
        "learning_rate": settings.learning_rate,
        "leaves": settings.leaves,
        "depth": settings.depth,
        "min_rows_in_leaf": settings.min_rows_in_leaf,
        "feature_fraction": settings.feature_fraction,
        "bagging_fraction": settings.bagging_fraction,
        "l1": 1e-4,
        "l2": 1e-4,
        "min_gain": 0.0,
        "monotone": settings.monotone,
        "half_life": "none",
    }


def _suggest(
    trial: "optuna.Trial", blocks: list[_Prepared], training_set: TrainingSet, plan: TrainingPlan
) -> tuple[BoostingSettings, float | None]:
    most_rows = max(40, min(400, _smallest_block(blocks) // 20))
    has_opinions = any(signal.worse for signal in training_set.signals)
    boosting = BoostingSettings(
        trees=plan.max_trees,
        learning_rate=trial.suggest_float("learning_rate", 0.02, 0.15, log=True),
        leaves=trial.suggest_int("leaves", 4, 63, log=True),
        depth=trial.suggest_int("depth", 2, 8),
        min_rows_in_leaf=trial.suggest_int("min_rows_in_leaf", 5, most_rows, log=True),
        feature_fraction=trial.suggest_float("feature_fraction", 0.15, 1.0),
        bagging_fraction=trial.suggest_float("bagging_fraction", 0.5, 1.0),
        l1=trial.suggest_float("l1", 1e-4, 10.0, log=True),
        l2=trial.suggest_float("l2", 1e-4, 30.0, log=True),
        min_gain=trial.suggest_float("min_gain", 0.0, 1.0),
        bins=SEARCH_BINS,
        monotone=trial.suggest_categorical("monotone", [False, True] if has_opinions else [False]),
    )
    choice = trial.suggest_categorical("half_life", _half_lives(blocks))
    return boosting, None if choice == "none" else float(choice)


def _half_lives(blocks: list[_Prepared]) -> list[str]:
    """Half lives that the dates can tell apart: none where training spans less than half a year."""
    span = min(
        (block.train.keys["as_of"].max() - block.train.keys["as_of"].min()).days for block in blocks
    )
    return ["none"] + [str(days) for days in (182, 365, 730) if span >= days]


def _evaluate(
    boosting: BoostingSettings,
    half_life: float | None,
    blocks: list[_Prepared],
    training_set: TrainingSet,
    plan: TrainingPlan,
    trial: "optuna.Trial",
) -> tuple[float, int, float]:
    """Smallest mean log loss over numbers of trees and linear shares, with the two that gave it."""
    import optuna

    tables: list[NDArray[np.float64]] = []
    # The largest block first: what is hopeless there is given up before the others are fitted.
    for step, block in enumerate(sorted(blocks, key=lambda each: -each.size)):
        weights = row_weights(block.train.keys, half_life)
        staged = staged_losses(boosting, block, training_set, plan, weights)
        tables.append(staged * block.size)
        if len(blocks) > 1:
            trial.report(float(tables[-1].min() / block.size), step)
            if step + 1 < len(blocks) and trial.should_prune():
                raise optuna.TrialPruned
    longest = max(len(table) for table in tables)
    # A block that stopped early keeps its last loss: more trees were judged useless there.
    padded = [
        np.vstack([table, np.repeat(table[-1:], longest - len(table), axis=0)]) for table in tables
    ]
    mean = np.sum(padded, axis=0) / sum(block.size for block in blocks)
    stage, share = np.unravel_index(int(np.argmin(mean)), mean.shape)
    trees = min((int(stage) + 1) * CHECK_EVERY, _most_trees(boosting, plan))
    return float(mean[stage, share]), trees, SHARES[int(share)]


def _most_trees(boosting: BoostingSettings, plan: TrainingPlan) -> int:
    """Trees after which a learning rate has had its say: 9 / rate (180 at 0.05), within the
    budget.
    """
    return min(plan.max_trees, math.ceil(9.0 / boosting.learning_rate / CHECK_EVERY) * CHECK_EVERY)


def staged_losses(
    boosting: BoostingSettings,
    block: _Prepared,
    training_set: TrainingSet,
    plan: TrainingPlan,
    weights: Floats | None,
) -> Floats:
    """Return the validation loss after every `CHECK_EVERY` trees at each linear share, until that
    of the trees alone has stopped falling: shape (n_stages, n_shares).
    """
    parameters = boosting.parameters(
        training_set.signals, seed=plan.seed, threads=plan.threads, is_event_good=plan.is_event_good
    )
    block.train_rows.set_weight(weights)
    booster = lgb.Booster(parameters, block.train_rows)
    shares = np.asarray(SHARES)
    margin, losses = block.beside, []
    for _ in range(0, _most_trees(boosting, plan), CHECK_EVERY):
        first = booster.current_iteration()
        for _ in range(CHECK_EVERY):
            booster.update()
        margin = margin + np.asarray(
            booster.predict(
                block.values,
                raw_score=True,
                start_iteration=first,
                num_iteration=CHECK_EVERY,
                num_threads=plan.threads,
            )
        )
        blends = np.outer(1.0 - shares, margin) + np.outer(shares, block.logistic_margin)
        losses.append(losses_at_level(blends, block.validation.labels, block.accounts))
        alone = [loss[0] for loss in losses]
        if len(alone) - 1 - int(np.argmin(alone)) >= PATIENCE // CHECK_EVERY:
            break
    return np.asarray(losses)


def _settings(trial: Any, l2: float) -> BlendSettings:
    facts = trial.user_attrs
    return BlendSettings(
        boosting=BoostingSettings(**facts["settings"]),
        logistic_share=float(facts["logistic_share"]),
        logistic_l2=l2,
        half_life_days=facts["half_life_days"],
    )


def _members(
    finished: list[Any], best: BlendSettings, plan: TrainingPlan
) -> tuple[BlendSettings, ...]:
    """The best trials whose trees fit the budget together: the very best of twenty is best by luck
    as well.

    Only trials close to the best count (within `CLOSE_TRIALS` places); where one alone fills the
    budget it stands alone.
    """
    complete = sorted((t for t in finished if t.user_attrs), key=lambda t: (t.value, t.number))
    chosen: list[BlendSettings] = []
    budget = plan.max_trees
    for trial in complete[:CLOSE_TRIALS]:
        settings = _settings(trial, best.logistic_l2)
        if len(chosen) < plan.bags and settings.boosting.trees <= budget:
            chosen.append(settings)
            budget -= settings.boosting.trees
    return tuple(chosen) or (best,)


def _result(study: "optuna.Study", blocks: list[_Prepared], plan: TrainingPlan) -> TuningResult:
    finished = _finished(study)
    best = study.best_trial
    l2 = blocks[0].logistic_l2
    rows = []
    for number, trial in enumerate(finished):
        facts = trial.user_attrs
        rows.append(
            {
                "trial": number,
                "state": trial.state.name.lower(),
                "log_loss": trial.value if facts else np.nan,
                "trees": facts.get("trees"),
                "logistic_share": facts.get("logistic_share"),
                **trial.params,
            }
        )
    settings = _settings(best, l2)
    return TuningResult(
        settings,
        _members(finished, settings, plan),
        pd.DataFrame(rows),
        float(study.best_value),
        float(finished[0].value),
        _log_loss_of_lines(blocks),
    )


def _log_loss_of_lines(blocks: list[_Prepared]) -> float:
    losses = [_losses(block.logistic_margin[None, :], block.validation)[0] for block in blocks]
    return float(np.average(losses, weights=[block.size for block in blocks]))
