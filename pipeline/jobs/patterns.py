"""What accounts that left have in common, from the rows in the store: no model takes part."""

from dataclasses import dataclass

from models.patterns import Patterns, find_patterns
from models.targets import TargetKind
from pipeline.config.schema import Target
from pipeline.jobs.prepare import load_training
from pipeline.workspace import Workspace, target_rule


@dataclass(frozen=True)
class PatternReport:
    """Patterns of one target, and what they are about."""

    search: Patterns
    target: str
    kind: TargetKind
    horizon_days: int | None
    is_event_good: bool
    project: str


def pattern_report(workspace: Workspace, target: Target) -> PatternReport:
    """Look for patterns on the dates before the test and check them on the test dates.

    Raises
    ------
    ContractError
        There are no test dates, or too few accounts had the event.
    StoreError
        The features of the target are not built.
    """
    rows, _, _ = load_training(workspace, target)
    search = find_patterns(
        rows, currency=workspace.project.currency, seed=workspace.project.training.seed
    )
    return PatternReport(
        search,
        target=target.name,
        kind=target.kind,
        horizon_days=target.horizon_days,
        is_event_good=target_rule(target).is_good,
        project=workspace.project.name,
    )
