"""An account that left: when somebody could have known, what was tried, which rule was nearest."""

import json
from datetime import date, timedelta

import pandas as pd
import pytest
from small_company import NOW, Command, Company
from test_changes import published

from models.health.standing import standing
from pipeline.alerts.hindsight import SeenHealth, first_warning, nearest_rule
from pipeline.alerts.rules import Edges
from pipeline.ledger import roll_back

LEFT = date(2025, 6, 1)
EDGES = Edges(40, 70)


def path(*health: float | None) -> list[SeenHealth]:
    """Weekly readings, the last one a week before the end."""
    return [
        SeenHealth(
            LEFT - timedelta(weeks=len(health) - n),
            score,
            "unknown" if score is None else "at_risk" if score <= 40 else "stable",
        )
        for n, score in enumerate(health)
    ]


def test_first_warning_is_the_last_time_that_it_became_red() -> None:
    warned = first_warning(path(38, 60, 39, 35), {}, LEFT)
    assert warned is not None and (warned.days, warned.by) == (14, "band at risk")
    assert first_warning(path(60, 39, 60), {}, LEFT) is None


def test_alert_that_came_first_is_the_first_warning() -> None:
    warned = first_warning(path(60, 55, 39), {"sudden drop": LEFT - timedelta(days=20)}, LEFT)
    assert warned is not None and (warned.days, warned.by) == (20, "alert 'sudden drop'")


@pytest.mark.parametrize(
    ("scores", "rule", "short"),
    [
        ((50, 50, 43), "at risk", 3),
        ((60, 60, 38), "at risk", 0),
        ((95, 95, 82), "sudden drop", 2),
        (tuple(70 - 10 * n / 13 for n in range(14)), "slow decline", 2),
    ],
)
def test_nearest_rule_is_the_one_missed_by_least(
    scores: tuple[float, ...], rule: str, short: float
) -> None:
    nearest = nearest_rule(path(*scores), EDGES, LEFT)
    assert nearest is not None and nearest.rule == rule
    assert nearest.short == pytest.approx(short)


def test_fall_by_a_new_model_is_no_near_miss() -> None:
    readings = path(95, 80)
    readings[1] = SeenHealth(readings[1].day, 80, "stable", "model")
    nearest = nearest_rule(readings, EDGES, LEFT)
    assert nearest is not None and nearest.rule == "sudden drop" and nearest.short == 15
    assert nearest_rule(path(None), EDGES, LEFT) is None


def test_accounts_that_left_are_told_one_by_one_and_by_month(
    company_copy: Company, tenure: Command
) -> None:
    early = published(company_copy, date(2025, 2, 9))
    workspace, _ = company_copy.workspace(NOW + timedelta(hours=2))
    project = ("--project", company_copy.folder)
    answer = tenure("postmortem", "--month", "2025-03", "--json", *project)
    assert answer.code == 0, answer.err
    lost = json.loads(answer.out)["accounts"]
    assert lost and all("2025-03-01" <= each["left_on"] < "2025-04-01" for each in lost)
    june = standing(company_copy.published("scores").set_index("account_id"))
    assert not {each["account_id"] for each in lost} & set(june.index[june != "leaving"])
    one = lost[0]
    assert [point["day"] for point in one["path"]] == ["2025-02-09"]
    assert one["nearest"] is not None
    terms = pd.read_parquet(company_copy.folder / "data" / "subscriptions.parquet")
    last = terms.sort_values("ends_at").drop_duplicates("account_id", keep="last")
    reasons = last.set_index("account_id")["end_reason"]
    assert [each["reason_given"] for each in lost] == [reasons[each["account_id"]] for each in lost]

    month = tenure("postmortem", "--month", "2025-03", *project)
    assert f"{len(lost)} accounts left" in month.out and one["name"] in month.out
    told = tenure("postmortem", one["account_id"], "--month", "2025-03", *project)
    assert f"reason on its contract: {one['reason_given']}" in told.out
    assert told.code == 0 and "what was tried:" in told.out and "first warning:" in told.out
    nobody = tenure("postmortem", "nobody at all", "--month", "2025-03", *project)
    assert nobody.code == 2 and "Nearest" in nobody.err
    roll_back(workspace.store, early, workspace.now)
    assert tenure("postmortem", *project).code == 0
