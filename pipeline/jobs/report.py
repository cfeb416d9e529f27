"""Draw the pages of a published run from finished tables: portfolio.html, worklist.csv, the model card."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd

from models.health import band_table, promises
from pipeline.actions.worklist import worklist, write_worklist_csv
from pipeline.config.schema import Target
from pipeline.jobs.account_facts import account_facts
from pipeline.jobs.bench_advice import bench_advice
from pipeline.jobs.changes import Change
from pipeline.jobs.evaluate import latest_evaluation
from pipeline.jobs.explain import Explained
from pipeline.jobs.explain_scale import band_edges
from pipeline.jobs.outcomes import outcomes_report
from pipeline.jobs.patterns import PatternReport
from pipeline.jobs.pulse import PulseReport
from pipeline.jobs.score import PublishedRun
from pipeline.ledger import current_run
from pipeline.reports.account import account_page
from pipeline.reports.changes import changes_page
from pipeline.reports.model_card import ModelCardInputs, model_card
from pipeline.reports.patterns import pattern_page
from pipeline.reports.portfolio import EVENT_WORDS, PortfolioInputs, portfolio_page
from pipeline.reports.pulse import pulse_page
from pipeline.workspace import Workspace, target_rule

PAGE, WORKLIST, CARD, CARD_MD = "portfolio.html", "worklist.csv", "model_card.html", "model_card.md"
CHANGES_PAGE, PULSE_PAGE, PATTERNS_PAGE = "changes.html", "pulse.html", "patterns.html"
_EARLIER_RUNS, _EARLIER_SCORES = 6, 500_000
"""Matured runs on the portfolio page, fewer where they are large; `tenure outcomes` has all."""


def write_reports(workspace: Workspace, target: Target, published: PublishedRun) -> list[Path]:
    """Write the pages of a run beside the project file; returns their paths.

    A run of an earlier date than the one readers see gets a folder of its own: its pages must not stand where
    people look for today's.
    """
    folder = workspace.folder / "reports" / target.name
    current = current_run(workspace.store, target.name)
    if current is not None and current["run_id"] != published.run["run_id"]:
        folder = folder / f"{published.run['as_of']:%Y-%m-%d}"
    folder.mkdir(parents=True, exist_ok=True)
    evaluation = latest_evaluation(workspace, target, published.bundle.model_version) or (
        latest_evaluation(workspace, target) if published.bundle.basis == "scorecard" else None) or {}
    tested = _backtest(workspace, target, published)
    bands = _bands(published, tested)
    words = target_words(target)
    page = portfolio_page(PortfolioInputs(
        scores=published.scores, drivers=published.reasons, why=published.why, portfolio=published.portfolio,
        run=published.run,
        backtest=tested, evaluation=evaluation, band_table=bands, source_freshness=_freshness(published),
        previous_counts=published.previous_counts, objective=asdict(workspace.project.objective), now=workspace.now,
        project=workspace.project.name, target_kind=target.kind, target_words=words,
        names=_former_names(workspace), limits=_limits(published),
        ranges=promises(tested, edges=(published.bundle.scale.at_risk_until, published.bundle.scale.stable_until)),
        edges=(published.bundle.scale.at_risk_until, published.bundle.scale.stable_until),
        earlier=outcomes_report(workspace, target, on=published.run["as_of"], newest=_earlier_runs(published)),
    ))
    card, markdown = model_card(ModelCardInputs(
        project=workspace.project.name, target_words=words, evaluation=evaluation,
        gates=evaluation.get("gates", []),
        model_info=_model_info(published) | _bench(workspace, target, published), signals=published.bundle.published.signals,
        band_table=bands, backtest=tested, now=workspace.now, limits=_limits(published),
        waivers=tuple(f"{k}: {v}" for k, v in workspace.project.training.waivers.items()),
    ))
    ranked = worklist(published.scores, published.reasons, published.portfolio, event=EVENT_WORDS[target.kind][0],
                      why=published.why)
    _replace(folder / PAGE, page)
    _replace(folder / CARD, card)
    _replace(folder / CARD_MD, markdown)
    aside = folder / f".{WORKLIST}"
    write_worklist_csv(ranked, aside)
    aside.replace(folder / WORKLIST)
    return [folder / PAGE, folder / WORKLIST, folder / CARD]


def write_changes_page(workspace: Workspace, target: Target, found: Change) -> Path:
    """Write the page of what moved between two runs; returns its path."""
    folder = workspace.folder / "reports" / target.name
    folder.mkdir(parents=True, exist_ok=True)
    _replace(folder / CHANGES_PAGE, changes_page(found, project=workspace.project.name, now=workspace.now))
    return folder / CHANGES_PAGE


def write_pulse_page(workspace: Workspace, target: Target, report: PulseReport) -> Path:
    """Write the page of pulse and score; returns its path."""
    folder = workspace.folder / "reports" / target.name
    folder.mkdir(parents=True, exist_ok=True)
    _replace(folder / PULSE_PAGE, pulse_page(report, horizon_days=target.horizon_days, project=workspace.project.name,
                                             now=workspace.now))
    return folder / PULSE_PAGE


def write_pattern_page(workspace: Workspace, target: Target, report: PatternReport) -> Path:
    """Write the page of patterns; returns its path."""
    folder = workspace.folder / "reports" / target.name
    folder.mkdir(parents=True, exist_ok=True)
    _replace(folder / PATTERNS_PAGE, pattern_page(report, now=workspace.now))
    return folder / PATTERNS_PAGE


def write_account_page(workspace: Workspace, target: Target, explained: Explained) -> Path:
    """Write the brief of one account; returns its path. Ids may hold any character, so the name is percent-encoded."""
    folder = workspace.folder / "reports" / target.name / "accounts"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{quote(str(explained.score['account_id']), safe=' ')}.html"
    _replace(path, account_page(
        explained, horizon_days=target.horizon_days, verb=EVENT_WORDS[target.kind][0], edges=band_edges(workspace),
        project=workspace.project.name, now=workspace.now,
        facts=account_facts(workspace, str(explained.score["account_id"]), explained.score["as_of"])))
    return path


def _replace(path: Path, text: str) -> None:
    """Write aside, then swap: a reader never sees half a page."""
    aside = path.with_name(f".{path.name}")
    aside.write_text(text, encoding="utf-8")
    aside.replace(path)


def target_words(target: Target) -> str:
    """One sentence that says what is predicted."""
    rule = target_rule(target)
    when = "at its next renewal" if target.horizon else f"within {target.horizon_days} days"
    gap = f", not counting the first {rule.gap_days} days" if rule.gap_days else ""
    grace = f"; a pause of up to {rule.grace_days} days is not leaving" if rule.grace_days else ""
    return f"Will the account {rule.verb} {when}{gap}{grace}?"


def _backtest(workspace: Workspace, target: Target, published: PublishedRun) -> pd.DataFrame:
    empty = pd.DataFrame(columns=["account_id", "as_of", "label", "probability", "health", "band", "left_at"])
    if published.bundle.basis == "scorecard" or not workspace.store.exists("backtest"):
        return empty
    rows = workspace.store.read("backtest", filters=[("target", "=", target.name)])
    return rows[rows["model_version"] == published.bundle.model_version].drop(columns=["target", "model_version"])


def _earlier_runs(published: PublishedRun) -> int:
    return max(1, min(_EARLIER_RUNS, _EARLIER_SCORES // len(published.scores)))


def _former_names(workspace: Workspace) -> dict[str, str]:
    """Names of all accounts ever listed, so that those that left are not told by their keys."""
    name = workspace.source_named("accounts")
    if name is None or not workspace.store.exists(f"staged_{name}"):
        return {}
    rows = workspace.store.read(f"staged_{name}", columns=["account_id", "name", "known_from"]).dropna(subset=["name"])
    newest = rows.sort_values(["known_from", "name"], kind="stable").drop_duplicates("account_id", keep="last")
    return dict(zip(newest["account_id"], newest["name"], strict=True))


def _bands(published: PublishedRun, tested: pd.DataFrame) -> pd.DataFrame:
    if published.bundle.basis == "scorecard":
        return pd.DataFrame()
    if tested.empty:
        probability = published.scores["probability"].dropna()
        return band_table(published.bundle.scale, probability.to_numpy()) if len(probability) else pd.DataFrame()
    return band_table(published.bundle.scale, tested["probability"].to_numpy(), tested["label"].to_numpy())


def _freshness(published: PublishedRun) -> pd.DataFrame:
    rows = [{"source": s.source, "newest_known": s.newest_known, "rows": s.rows,
             "share": published.covered.get(s.source, float("nan")),
             "note": s.problem} for s in published.freshness]
    return pd.DataFrame(rows, columns=["source", "newest_known", "rows", "share", "note"])


def _limits(published: PublishedRun) -> tuple[str, ...]:
    notes = [str(n) for n in published.bundle.facts.get("notes", [])]
    if published.bundle.basis == "scorecard":
        notes.insert(0, "No model earned publication: this is the scorecard, which ranks accounts by declared signs "
                        "and gives no probability.")
    return tuple(notes)


def _bench(workspace: Workspace, target: Target, published: PublishedRun) -> dict[str, str]:
    """What the newest bench recommended beside the model of the run; nothing where none was run."""
    advice = bench_advice(workspace, target, published.bundle)
    return {} if advice is None else {"bench": advice.words}


def _model_info(published: PublishedRun) -> dict[str, Any]:
    training: Mapping[str, Any] = published.bundle.published.training
    facts = published.bundle.facts
    settings = training.get("settings")
    return {
        "version": published.bundle.model_version, "method": published.bundle.published.name,
        "basis": published.bundle.basis, "calibrator": published.bundle.calibrator_version,
        "scale": f"{published.bundle.scale.p_at_risk:.1%} at 40|41, {published.bundle.scale.p_healthy:.1%} at 70|71",
        "training dates": f"{training.get('first_as_of')} to {training.get('last_as_of')}",
        "training rows": training.get("rows"), "training accounts": training.get("accounts"),
        "accounts with the event": training.get("leaving_accounts"),
        "calibrated on": f"{training.get('calibration_from')} to {training.get('calibration_until')}",
        "test dates": ", ".join(facts.get("test_dates", [])) or "by anchor",
        "settings": json.dumps(settings, default=str) if settings else "no search",
        "configuration": facts.get("config_hash"), "training data": str(training.get("fingerprint"))[:16],
    }
