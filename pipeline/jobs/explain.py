"""One account of the published run: its score, its reasons, and whether the points add."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from features.catalogue import DIMENSIONS
from features.errors import ContractError, NotFound
from models.health import sub_scores
from models.health.scale import GOOD_EVENT_BANDS, HEALTH_BANDS
from pipeline.config.schema import Target
from pipeline.jobs.explain_scale import band_edges, published_ranges
from pipeline.ledger import current_run
from pipeline.reports.portfolio import EVENT_WORDS
from pipeline.reports.scale import edge_words, sentence_of, unsure_band
from pipeline.workspace import Workspace


@dataclass(frozen=True)
class Explained:
    """Published rows of one account."""

    score: dict[str, Any]
    drivers: pd.DataFrame
    account: dict[str, Any]
    dimensions: pd.DataFrame
    """Sub-scores: dimension, points, points_displayed; with the base they add to the score."""
    scale_sentence: str
    """What accounts with such a score were promised and did; empty without a probability."""
    unsure_band: str
    """`at risk or stable` where the score's range crosses a band edge, else empty."""
    to_edges: str
    """Points to the neighbouring bands, in words; empty without a score."""


def published_rows(workspace: Workspace, target: Target, table: str) -> pd.DataFrame:
    """Rows of the current run of a target in a published table.

    Raises
    ------
    NotFound
        When nothing was published yet.
    """
    run = current_run(workspace.store, target.name)
    if run is None:
        raise NotFound(f"target {target.name!r} has no published run. Run `tenure score` first.")
    return workspace.store.read(table, filters=[("run_id", "=", run["run_id"])])


def explain_account(workspace: Workspace, target: Target, account_id: str) -> Explained:
    """What was published of one account, found by id or by name.

    Raises
    ------
    NotFound
        Naming the nearest ids.
    """
    people = published_rows(workspace, target, "portfolio")
    match = people[(people["account_id"] == account_id) | (people["name"].str.casefold() == account_id.casefold())]
    if match.empty:
        raise NotFound(f"no account {account_id!r} in the current run. {_nearest(account_id, people)}")
    found = str(match["account_id"].iloc[0])
    scores = published_rows(workspace, target, "scores")
    drivers = published_rows(workspace, target, "drivers")
    score, mine = dict(scores[scores["account_id"] == found].iloc[0]), drivers[drivers["account_id"] == found]
    return Explained(score, mine, dict(match.iloc[0]),
                     sub_scores(mine["points"], mine["points_displayed"], list(mine["dimension"]), DIMENSIONS),
                     *_on_the_scale(workspace, target, score))


def _on_the_scale(workspace: Workspace, target: Target, score: dict[str, Any]) -> tuple[str, str, str]:
    """Scale sentence, unsure band and points to the neighbouring bands; empty where there is no score."""
    if pd.isna(score["health"]) or score["band"] not in (*HEALTH_BANDS, *GOOD_EVENT_BANDS):
        return "", "", ""
    health, edges = int(score["health"]), band_edges(workspace)
    if score["basis"] != "calibrated":
        return "", "", edge_words(health, score["band"], edges)
    ranges = published_ranges(workspace, target, score["model_version"])
    sentence = sentence_of(health, ranges, score["horizon_days"], EVENT_WORDS[target.kind][0])
    return sentence, unsure_band(score, edges), edge_words(health, score["band"], edges)


def _nearest(account_id: str, people: pd.DataFrame) -> str:
    import difflib

    names = [*people["account_id"], *people["name"].dropna()]
    close = difflib.get_close_matches(account_id, names, n=3, cutoff=0.4) or list(people["account_id"].head(3))
    return f"Nearest: {', '.join(close)}."


def check_points(workspace: Workspace, target: Target) -> dict[str, Any]:
    """Whether, for every scored account, base and points add to the score, exactly and as displayed.

    Raises
    ------
    ContractError
        Naming an account for which they do not.
    """
    scores = published_rows(workspace, target, "scores").dropna(subset=["health_exact"]).set_index("account_id")
    sums = published_rows(workspace, target, "drivers").groupby("account_id")[["points", "points_displayed"]].sum()
    sums = sums.reindex(scores.index).fillna(0.0)
    gap = (scores["base_points"] + sums["points"] - scores["health_exact"]).abs()
    shown = scores["base_displayed"] + sums["points_displayed"] - scores["health"]
    if gap.max() > 1e-9 or (shown != 0).any():
        worst = str(gap.idxmax() if gap.max() > 1e-9 else shown.abs().idxmax())
        raise ContractError(f"points of account {worst} do not add to its score: exact gap {gap[worst]:.2g}, displayed "
                            f"gap {shown[worst]}. Score again; if it stays, this is a fault of tenure.")
    return {"accounts": len(scores), "largest_gap": float(np.max(gap.to_numpy(), initial=0.0)), "displayed_add": True}
