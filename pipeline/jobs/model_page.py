"""The model card of a target: what bundle, evaluation and test scores say, gathered for the
page.
"""

import json
from typing import Any

import pandas as pd

from models.bundle import Bundle
from models.costs import SAVINGS_FACT
from models.declared import COUNTED_IN_WORDS
from models.health.words import AT_DECISION, anchor_words
from models.target_words import TARGET_WORDS
from pipeline.checking.assumptions import assumptions
from pipeline.config.schema import Target
from pipeline.evaluations import VersionEvaluation
from pipeline.jobs.bench_advice import bench_advice
from pipeline.jobs.stage import staged_facts
from pipeline.reports.contributions import ContributionInputs
from pipeline.reports.model_card import ModelCardInputs, model_card
from pipeline.workspace import Workspace, purpose_of, target_rule

"""Beside a published scorecard, which is never judged itself."""


def target_card(
    workspace: Workspace,
    target: Target,
    bundle: Bundle,
    evaluation: VersionEvaluation | None,
    tested: pd.DataFrame,
    bands: pd.DataFrame,
    pictures: ContributionInputs | None = None,
) -> tuple[str, str]:
    """The card as one self-contained HTML page, and the same as Markdown.

    Parameters
    ----------
    tested
        Scores of the untouched test dates with probability and label; empty where there are none.
    bands
        `models.health.band_table` of them.
    pictures
        What signals give to the scores of the test.
    """
    return model_card(
        ModelCardInputs(
            project=workspace.project.name,
            target_words=target_words(target),
            evaluation=evaluation,
            model_info=_objective(workspace, target)
            | _model_info(bundle, health_event_words(target, bundle))
            | _bench(workspace, target, bundle)
            | _savings(evaluation),
            signals=bundle.published.signals,
            band_table=bands,
            backtest=tested,
            now=workspace.now,
            limits=limits_of(bundle),
            waivers=tuple(f"{k}: {v}" for k, v in workspace.project.training.waivers.items()),
            is_of_refused=bundle.basis != "calibrated",
            assumptions=assumptions(staged_facts(workspace)),
            contributions=pictures,
        )
    )


def target_words(target: Target) -> str:
    """The question that is answered, and what does not count."""
    rule = target_rule(target)
    when = "at its next renewal" if target.horizon else f"within {target.horizon_days} days"
    gap = f", not counting the first {rule.gap_days} days" if rule.gap_days else ""
    grace = f" A pause of up to {rule.grace_days} days is not leaving." if rule.grace_days else ""
    return f"Will the account {TARGET_WORDS[rule.kind].question} {when}{gap}?{grace}"


def health_event_words(target: Target, bundle: Bundle) -> str:
    """What a health is the chance of: `leaving`, or `leaving when their contract comes up`."""
    gerund = TARGET_WORDS[target.kind].gerund
    return gerund if bundle.published.decision is None else f"{gerund} {AT_DECISION}"


def leader_limits(bundle: Bundle) -> tuple[str, ...]:
    """What every reader of the scores should keep in mind, without statistics."""
    counted = bundle.facts.counted
    if counted is not None:
        return (
            f"Scores are counted from {COUNTED_IN_WORDS[counted]}, as your team declared. They rank"
            " accounts and give no chances.",
        )
    if bundle.basis == "scorecard":
        return (
            "No model is good enough to use yet. Scores come from the scorecard instead, so there"
            " are no probabilities.",
        )
    if bundle.published.declared is not None:
        name, share = bundle.published.declared
        return (
            f"Scores mix the {name} that your team declared ({share:.0%}) with what was learned"
            f" from past accounts ({1 - share:.0%}).",
        )
    return ()


def limits_of(bundle: Bundle) -> tuple[str, ...]:
    """What to keep in mind with the scores of a bundle, for readers of the model card."""
    return (*leader_limits(bundle), *bundle.facts.notes)


def _bench(workspace: Workspace, target: Target, bundle: Bundle) -> dict[str, str]:
    """What the newest bench recommended beside the model; nothing where none was run."""
    advice = bench_advice(workspace, target, bundle)
    return {} if advice is None else {"bench": advice.words}


def _savings(evaluation: VersionEvaluation | None) -> dict[str, str]:
    """What acting by chance and cost saves on the test; nothing where accounts have no costs."""
    if evaluation is None or evaluation.savings is None:
        return {}
    return {SAVINGS_FACT: evaluation.savings.words}


def _objective(workspace: Workspace, target: Target) -> dict[str, Any]:
    """What the scores are for, and how many accounts can be worked on, as the project says it."""
    capacity = workspace.project.objective.capacity
    return {
        "purpose": purpose_of(workspace.project, target) or "not stated",
        "accounts that can be worked on at a time": capacity or "not stated",
    }


def _model_info(bundle: Bundle, event: str) -> dict[str, Any]:
    training = bundle.published.training
    facts = bundle.facts
    settings, (first, last) = training.settings, training.calibrated_on
    has_chances = bundle.basis == "calibrated"
    return {
        "version": bundle.model_version,
        "method": bundle.published.name,
        "basis": bundle.basis,
        "calibrator": bundle.calibrator_version,
        "scale": (
            anchor_words(bundle.scale, event)
            if has_chances
            else "points of the scorecard, without probabilities"
        ),
        "training dates": f"{training.first_as_of} to {training.last_as_of}",
        "training rows": training.rows,
        "training accounts": training.accounts,
        "accounts with the event": training.leaving_accounts,
        "calibrated on": f"{first} to {last}" if has_chances else "nothing",
        "test dates": ", ".join(facts.test_dates) or "by anchor",
        "settings": json.dumps(settings, default=str) if settings else "no search",
        "configuration": facts.config_hash,
        "training data": training.fingerprint[:16],
    }
