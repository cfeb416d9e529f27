"""The advocates of the run that readers see."""

import pandas as pd

from features.errors import ConfigError
from pipeline.actions.advocates import SIGNS, advocates
from pipeline.config.schema import Target
from pipeline.jobs.explain import published_rows
from pipeline.ledger import published_run
from pipeline.workspace import Workspace, target_rule


def find_advocates(workspace: Workspace, target: Target) -> pd.DataFrame:
    """Candidates for a reference, from published scores and the signals they were made with.

    Raises
    ------
    ConfigError
        The target is about growth: its bands say nothing about health.
    """
    if target_rule(target).is_good:
        raise ConfigError(
            f"target {target.name!r} is about growth; advocates are found by health. Choose a"
            " target about leaving with --target."
        )
    run = published_run(workspace.store, target.name)
    signals = workspace.store.read(
        f"features_scored_{target.name}", filters=[("run_id", "=", run.run_id)]
    )
    columns = [sign.column for sign in SIGNS if sign.column in signals]
    people = published_rows(workspace, target, "portfolio", None)
    return advocates(
        published_rows(workspace, target, "scores", None),
        people[["account_id", "name", "owner", "value_per_year"]],
        signals[["account_id", *columns]],
    )
