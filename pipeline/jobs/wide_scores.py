"""The scores readers see of every target side by side: one row per account."""

import pandas as pd

from pipeline.ledger import current_run, published_run
from pipeline.published import read_scores
from pipeline.workspace import Workspace

_PEOPLE = ["account_id", "name", "owner", "segment", "value_per_year", "currency"]


def wide_scores(workspace: Workspace) -> pd.DataFrame:
    """One row per account of the current runs, ordered by account.

    Columns: who they are (account_id, name, owner, segment, value_per_year, currency), `state`
    (`member`, `notice`, `lapsed`, `unknown`: no score), and for each target T that has a current
    run: `as_of_T`, `p_T` with `p_T_low` and `p_T_high` (0-1, that the event comes; null where a
    scorecard is published), `health_T` (0-100, high is good; null without a score) and `band_T`,
    which follows from `health_T` alone: what an account is about to do stands in `state`. `p_T` and
    `health_T` run in opposite directions where the event is bad.

    Raises
    ------
    NotFound
        When no target has a published run.
    """
    store, targets = workspace.store, workspace.project.targets
    runs = [
        (target, run) for target in targets if (run := current_run(store, target.name)) is not None
    ] or [(targets[0], published_run(store, targets[0].name))]
    parts: list[pd.DataFrame] = []
    people: list[pd.DataFrame] = []
    for target, run in sorted(runs, key=lambda each: each[1].as_of):
        mine = [("run_id", "=", run.run_id)]
        scores = read_scores(store, mine).set_index("account_id")
        people.append(store.read("portfolio", filters=mine)[_PEOPLE])
        part = pd.DataFrame(
            {
                "state": scores["state"],
                f"as_of_{target.name}": scores["as_of"],
                f"p_{target.name}": scores["probability"],
                f"p_{target.name}_low": scores["probability_low"],
                f"p_{target.name}_high": scores["probability_high"],
                f"health_{target.name}": scores["health"].astype("Int64"),
                f"band_{target.name}": scores["band"].astype("str"),
            }
        )
        parts.append(part)
    # The newest run knows best who an account is, and where it stands.
    who = pd.concat(people).drop_duplicates("account_id", keep="last").set_index("account_id")
    state = pd.concat([part.pop("state") for part in parts])
    who["state"] = state[~state.index.duplicated(keep="last")]
    return pd.concat([who, *parts], axis=1).sort_index().reset_index()
