"""How long onboarding took the accounts that stayed: frozen before the first training date, so that
no row sees ahead.
"""

from math import ceil

from features.dimensions.adoption import PARTS
from features.facts import SourceFacts
from features.state_rows import PACE
from features.windows import known, known_value
from pipeline.engine.duckdb import Connection, rows

# Onboarding of accounts younger than this is not over, and whether they stay is not known.
STAYED_DAYS = 182
# Fewer accounts than this tell no distribution; the signal is then left out.
ACCOUNTS_TO_CUT = 2 * PARTS


def onboarding_pace(connection: Connection, milestones: SourceFacts) -> dict[str, list[str]]:
    """Per onboarding step, the days within which 5%, 10%, ... 95% of the accounts that stayed had
    reached it.

    Those are the members of the population on the first training date whose steps were planned at
    least 182 days before. Shares that never reached a step have no cut point; steps without any,
    and those with fewer than 40 such accounts, are left out.
    """
    if not {"assigned_at", "reached_at"} <= milestones.mapped:
        return {}
    # The one date is taken as a snapshot, so that both clocks of a step are read as everywhere
    # else.
    taken = rows(
        connection,
        f"""
select r.milestone, {known_value("r", "reached_at_day", "reached_at", "s")} - r.assigned_at_day
  as days
from (select account_id, as_of_day from snapshots
      where state = 'member' and as_of_day = (select min(as_of_day) from snapshots
        where not is_test)) s
join {milestones.table} r on r.account_id = s.account_id and {known("r", "s")}
where r.assigned_at_day <= s.as_of_day - {STAYED_DAYS}
order by 1, 2 nulls last""",
    )
    by_step: dict[str, list[int | None]] = {}
    for step, days in taken:
        by_step.setdefault(step, []).append(days)
    paces = {
        step: cut_points(days) for step, days in by_step.items() if len(days) >= ACCOUNTS_TO_CUT
    }
    # A step that hardly anybody has reached yet has no cut point at all.
    return {f"{PACE}{step}": [str(cut) for cut in cuts] for step, cuts in paces.items() if cuts}


def cut_points(days: list[int | None]) -> list[int]:
    """Smallest days that 5%, 10%, ... 95% need at most; None is never, and comes last.

    >>> cut_points([*range(1, 21), *[None] * 20])
    [2, 4, 6, 8, 10, 12, 14, 16, 18, 20]
    """
    cuts = (days[ceil(part * len(days) / PARTS) - 1] for part in range(1, PARTS))
    return [cut for cut in cuts if cut is not None]
