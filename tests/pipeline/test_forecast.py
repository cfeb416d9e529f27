"""`tenure forecast` on a small simulated company: curves agree with the scores, money adds up,
history is censored.
"""

import json
import shutil
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from small_company import Command, Company

from features.errors import ConfigError
from features.terms import open_terms
from features.windows import day_number
from models.forecast import past_log_odds
from models.hazards import Outcomes, fit_hazards
from models.methods.base import sigmoid
from pipeline.config.schema import Target
from pipeline.engine.duckdb import connected
from pipeline.engine.facts import source_facts
from pipeline.jobs import past_log_odds as kept_module
from pipeline.jobs.event_history import History, event_history, events_after, terms_on, with_cover
from pipeline.jobs.forecast import (
    ALL,
    HORIZONS,
    MONTHLY,
    REMAINING,
    RENEWALS,
    Forecast,
    ForecastOptions,
    forecast_target,
    hazard_edges,
)
from pipeline.jobs.past_log_odds import kept_log_odds
from pipeline.jobs.portfolio import portfolio
from pipeline.jobs.prepare import prepare_training, training_keys
from pipeline.jobs.registry import load_version
from pipeline.jobs.score import score_target
from pipeline.jobs.stage import load_staged, stage_sources
from pipeline.jobs.train import train_target
from pipeline.tracking import CHAMPION
from pipeline.workspace import Workspace, open_workspace

JUNE = pd.Timestamp("2025-06-01")


@pytest.fixture(scope="module")
def firm(company: Company, tmp_path_factory: pytest.TempPathFactory) -> Company:
    """The company in a folder of its own, because a forecast writes tables."""
    folder = tmp_path_factory.mktemp("forecast") / "project"
    return replace(company, folder=Path(shutil.copytree(company.folder, folder)))


@pytest.fixture(scope="module")
def made(firm: Company) -> Forecast:
    workspace, target = firm.workspace()
    with connected() as connection:
        return forecast_target(
            workspace, connection, target, options=ForecastOptions(months=24, yearly_discount=0.1)
        )


@pytest.fixture(scope="module")
def history(firm: Company) -> tuple[History, Target]:
    workspace, target = firm.workspace()
    with connected() as connection:
        return (
            event_history(workspace, connection, load_staged(workspace, connection), target, JUNE),
            target,
        )


def test_what_models_had_said_of_the_past_is_learned_once(
    firm: Company, made: Forecast, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next night reads it, and says the same; other rows or another model are learned anew."""
    workspace, target = firm.workspace()
    learned = []

    def refit(*given: Any, **more: Any) -> Any:
        learned.append(len(given[1]))
        return past_log_odds(*given, **more)

    monkeypatch.setattr(kept_module, "past_log_odds", refit)
    options = ForecastOptions(months=24, yearly_discount=0.1)
    with connected() as connection:
        again = forecast_target(workspace, connection, target, options=options)
    assert not learned
    pd.testing.assert_frame_equal(again.horizons, made.horizons)

    version = load_version(workspace, target, CHAMPION)
    assert version is not None
    keys, features, _ = training_keys(workspace, target)
    early = keys[keys["label_until"] <= JUNE].reset_index(drop=True)
    kept = kept_log_odds(workspace, target, version.bundle, early, features)
    assert not learned and np.isfinite(kept).any()
    fewer = early[early["as_of"] < early["as_of"].max()].reset_index(drop=True)
    kept_log_odds(workspace, target, version.bundle, fewer, features)
    assert learned == [len(fewer)]
    seed = replace(workspace.project.training, seed=workspace.project.training.seed + 1)
    other = replace(workspace, project=replace(workspace.project, training=seed))
    kept_log_odds(other, target, version.bundle, fewer, features)
    assert learned == [len(fewer)] * 2
    # As `made` left it, for the tests after this one.
    assert kept_log_odds(workspace, target, version.bundle, early, features) == pytest.approx(
        kept, abs=1e-12, nan_ok=True
    )
    assert len(learned) == 3


def total(made: Forecast) -> pd.DataFrame:
    rows = made.horizons[made.horizons["kind"] == "total"]
    return rows.pivot(index="account_id", columns="days", values="probability")


def test_published_tables_have_their_columns(firm: Company, made: Forecast) -> None:
    for name, columns in (
        ("horizons", HORIZONS),
        ("remaining_value", REMAINING),
        ("renewals", RENEWALS),
        ("renewal_forecast", MONTHLY),
    ):
        rows = firm.published(name)
        assert list(rows.columns) == [column for column, _ in columns]
        assert len(rows) > 0


def test_every_curve_rises_and_passes_through_the_published_score(
    firm: Company, made: Forecast
) -> None:
    curves, scores = total(made), firm.published("scores").set_index("account_id")
    assert list(curves.columns) == list(range(30, 361, 30))
    assert (np.diff(curves.to_numpy(), axis=1) > 0).all()
    published = scores.loc[curves.index]
    assert np.abs(curves[90] - published["probability"]).max() < 1e-9
    at_primary = made.horizons[
        (made.horizons["kind"] == "total") & (made.horizons["days"] == 90)
    ].set_index("account_id")
    for end in ("probability_low", "probability_high"):
        assert (at_primary[end] == published[end]).all()
    assert not set(scores.index[scores["state"] != "member"]) & set(curves.index)


def test_intervals_hold_their_probability_and_rise(made: Forecast) -> None:
    rows = made.horizons
    assert (rows["probability_low"] <= rows["probability"] + 1e-12).all()
    assert (rows["probability"] <= rows["probability_high"] + 1e-12).all()
    for end in ("probability_low", "probability_high"):
        wide = rows.pivot(index=["account_id", "kind"], columns="days", values=end)
        assert (np.diff(wide.to_numpy(), axis=1) >= -1e-12).all()


def test_reasons_add_up_to_the_total(made: Forecast) -> None:
    wide = made.horizons.pivot(index=["account_id", "days"], columns="kind", values="probability")
    reasons = wide.drop(columns="total")
    if reasons.columns.empty:
        assert any("one cause" in note for note in made.summary.notes)
    else:
        assert np.abs(reasons.sum(axis=1) - wide["total"]).max() < 1e-12


def test_months_add_up_over_segments_and_hold_the_known_contracts(made: Forecast) -> None:
    months = made.monthly
    for column in ("value_due", "renewed", "value_under_notice"):
        parts = months[months["segment"] != ALL].groupby("month")[column].sum()
        assert parts.to_numpy() == pytest.approx(
            months[months["segment"] == ALL][column].to_numpy()
        )
    # In no simulated future is more renewed than is due, so the upper ends keep that order.
    assert (months["renewed_high"] <= months["value_due_high"]).all()
    assert (months["renewed_low"] <= months["renewed"]).all() and (
        months["renewed"] <= months["renewed_high"]
    ).all()
    calendar = made.renewals[made.renewals["probability"].notna()]
    june = calendar[calendar["renewal_date"] < "2025-07-01"]
    first = months[(months["segment"] == ALL) & (months["month"] == JUNE)].iloc[0]
    # Of each contract one term is due, at most a year's money.
    assert 0 < first["value_due"] <= june["value_per_year"].sum() * (1 + 1e-9)


def test_money_of_the_months_adds_up_to_what_is_paid_a_year(firm: Company, made: Forecast) -> None:
    """Twelve months of a monthly contract are one year of its money, not twelve."""
    parts = made.summary.recurring
    people = firm.published("portfolio")
    assert parts.per_year == pytest.approx(people["value_per_year"].sum())
    assert parts.per_year == pytest.approx(
        parts.comes_up
        + parts.ends_later
        + parts.no_known_end
        + parts.under_notice
        + parts.not_scored
    )
    months = made.monthly[made.monthly["segment"] == ALL]
    assert 0 < months["value_due"].sum() <= parts.comes_up <= parts.per_year
    assert months["lost"].to_numpy() == pytest.approx(
        (months["value_due"] - months["renewed"]).to_numpy()
    )
    assert (months["lost_per_year"] >= months["lost"] - 1e-9).all()
    assert (months["lost_per_year_low"] <= months["lost_per_year"]).all()


def test_an_account_that_signed_its_next_term_is_not_up_for_renewal(
    tmp_path: Path, tenure: Command
) -> None:
    """As of 2025-06-15: s has signed on, o has not, l signed on after the date, p has a second
    contract that runs on.
    """
    (tmp_path / "subscriptions.csv").write_text(
        "account_id,subscription_id,starts_at,ends_at,known_at\n"
        "s,1,2024-07-01,2025-07-01,2024-06-20\n"
        "s,2,2025-07-01,2026-07-01,2025-06-01\n"
        "o,3,2024-07-01,2025-07-01,2024-06-20\n"
        "l,4,2024-07-01,2025-07-01,2024-06-20\n"
        "l,5,2025-07-01,2026-07-01,2025-06-20\n"
        "p,6,2024-07-01,2025-07-01,2024-06-20\n"
        "p,7,2025-01-01,2026-01-01,2024-12-20\n"
    )
    (tmp_path / "tenure.toml").write_text(
        'name = "signed"\n[sources.subscriptions]\nlocation = "subscriptions.csv"\n'
        'convention = "fixed_term"\ndata_until = 2025-06-15\n[[targets]]\nname = "churn"\n'
        'kind = "churn"\nhorizon_days = 90\npopulation = { kind = "customers" }\n'
    )
    workspace = open_workspace(tmp_path, None, JUNE.to_pydatetime())
    day = day_number(date(2025, 6, 15))
    with connected() as connection:
        stage_sources(workspace, connection)
        facts = source_facts(load_staged(workspace, connection)["subscriptions"], {})
        connection.execute(
            "create or replace temp table asked as select account_id,"
            f" {day} as as_of_day from (values ('s'), ('o'), ('l'), ('p')) t(account_id)"
        )
        rows = connection.execute(
            "select account_id, cast(make_timestamp(cast(min(ends_at) as bigint)) as date)"
            f" from ({open_terms(facts, 'asked')}) group by 1"
        ).fetchall()
        asked = pd.DataFrame({"account_id": list("solp"), "as_of": pd.Timestamp("2025-06-15")})
        staged, target = load_staged(workspace, connection), workspace.target(None)
        terms = terms_on(workspace, connection, staged, target, asked)
        mid_june = date(2025, 6, 15)
        ids = asked["account_id"]
        people = portfolio(workspace, connection, staged, target, mid_june, ids)
    july, next_july = date(2025, 7, 1), date(2026, 7, 1)
    ends = {"s": next_july, "o": july, "l": july, "p": july}
    assert dict(rows) == ends
    # Who signed on is up for renewal a year later: in the forecast and on pages alike.
    ahead = terms.set_index("account_id")["renewal_days"]
    assert {a: mid_june + timedelta(days=int(d)) for a, d in ahead.items()} == ends
    assert {a: e.date() for a, e in people.set_index("account_id")["renewal_date"].items()} == ends


def test_the_calendar_is_sorted_and_shows_notices_without_a_chance(
    firm: Company, made: Forecast
) -> None:
    calendar = made.renewals
    assert calendar["renewal_date"].is_monotonic_increasing
    assert (calendar["renewal_date"] >= JUNE).all()
    scores = firm.published("scores").set_index("account_id")
    under_notice = calendar[calendar["probability"].isna()]
    assert set(scores.loc[under_notice["account_id"], "state"]) <= {"notice", "lapsed"}
    curves = total(made)
    # Renewal within the first 30 days: the chance of not renewing is that of day 30.
    soon = calendar[(calendar["days_to_renewal"] < 30) & calendar["probability"].notna()]
    assert soon["probability"].to_numpy() == pytest.approx(
        curves.loc[soon["account_id"], 30].to_numpy()
    )


def test_remaining_value_is_capped_discounted_and_falls_with_risk(made: Forecast) -> None:
    rows = made.remaining.set_index("account_id")
    assert set(rows["months"]) == {24} and set(rows["yearly_discount"]) == {0.1}
    share = (rows["remaining_value"] / (2 * rows["value_per_year"])).dropna()
    assert (share > 0).all() and (share < 0.96).all()
    risk = total(made)[90].loc[share.index]
    assert share.corr(risk, method="spearman") < -0.5
    assert (rows["expected_days"] < 360).all()
    assert (rows["remaining_value_low"] <= rows["remaining_value"]).all()


def test_the_same_run_gives_the_same_forecast(firm: Company, made: Forecast) -> None:
    workspace, target = firm.workspace()
    with connected() as connection:
        again = forecast_target(
            workspace, connection, target, options=ForecastOptions(months=24, yearly_discount=0.1)
        )
    pd.testing.assert_frame_equal(again.horizons, made.horizons, check_exact=True)
    pd.testing.assert_frame_equal(again.monthly, made.monthly, check_exact=True)


def test_events_agree_with_labels(firm: Company, history: tuple[History, Target]) -> None:
    """The label says whether the event came within 90 days; the history says when."""
    workspace, target = firm.workspace()
    assert events_within(workspace, target, 90) == []


def events_within(workspace: Workspace, target: Target, horizon: int) -> list[tuple[str, Any]]:
    """Rows on which label and moment of the event disagree."""
    labels = workspace.store.read("labels", filters=[("target", "=", target.name)]).drop(
        columns="target"
    )
    labels = labels.dropna(subset=["label"]).sort_values(["account_id", "as_of"], ignore_index=True)
    with connected() as connection:
        staged = load_staged(workspace, connection)
        keys = with_cover(workspace, staged, target, labels, JUNE)
        events = events_after(workspace, connection, staged, target, keys, labels)
    days = (events["event_at"] - events["as_of"]).dt.total_seconds() / 86_400
    wrong = (days < horizon).to_numpy() != (labels["label"] == 1).to_numpy()
    return [(row.account_id, row.as_of) for row in labels[wrong].itertuples()]


def with_target(firm: Company, text: str, name: str) -> tuple[Workspace, Target]:
    """The project with one more target, its rows built."""
    file = firm.folder / "tenure.toml"
    # In so small a company what is paid for and for how long can tell who falls silent.
    names = ("term_days", "seats_paid", "discount")
    waivers = ", ".join(f'{name} = "small firms have short and small contracts"' for name in names)
    waived = file.read_text().replace("threads = 1", f"threads = 1\nwaivers = {{ {waivers} }}")
    file.write_text(waived.replace("[objective]", f"{text}\n\n[objective]"))
    workspace, _ = firm.workspace()
    target = workspace.target(name)
    with connected() as connection:
        load_staged(workspace, connection)
        prepare_training(workspace, connection, target)
    return workspace, target


def test_a_target_without_contracts_has_curves_and_no_calendar(company_copy: Company) -> None:
    """Silence of 30 days: dated as the label says, impossible before day 30, and from there as
    everywhere.
    """
    workspace, target = with_target(
        company_copy,
        """[[targets]]
name = "silent_30d"
kind = "inactivity"
horizon_days = 30
population = { kind = "active", active_within_days = 60 }
dates = { every_days = 56, first = 2023-07-09, last = 2025-02-16 }
test = { count = 1 }""",
        "silent_30d",
    )
    assert events_within(workspace, target, 30) == []
    train_target(workspace, target)
    with connected() as connection:
        scores = score_target(
            workspace, connection, target, JUNE.date(), use_candidate=True
        ).scores.set_index("account_id")
        made = forecast_target(workspace, connection, target)
    curves = total(made)
    assert min(curves.columns) == 30
    assert np.abs(curves[30] - scores.loc[curves.index, "probability"]).max() < 1e-9
    assert (np.diff(curves.to_numpy(), axis=1) > 0).all()
    assert made.renewals.empty and made.monthly.empty and len(made.remaining) == len(curves)
    assert any("no renewal calendar" in note for note in made.summary.notes)


def test_one_reason_as_target_has_the_others_as_competitors(company_copy: Company) -> None:
    workspace, target = with_target(
        company_copy,
        """[[targets]]
name = "chosen_90d"
kind = "voluntary"
horizon_days = 90
grace_days = 14
population = { kind = "customers" }
dates = { every_days = 56, first = 2023-07-09, last = 2025-02-16 }
test = { count = 1 }""",
        "chosen_90d",
    )
    train_target(workspace, target)
    with connected() as connection:
        scores = score_target(
            workspace, connection, target, JUNE.date(), use_candidate=True
        ).scores.set_index("account_id")
        made = forecast_target(workspace, connection, target)
    wide = made.horizons.pivot(index=["account_id", "days"], columns="kind", values="probability")
    assert np.abs(wide.drop(columns="total").sum(axis=1) - wide["total"]).max() < 1e-12
    at_primary = wide.xs(90, level="days")
    assert (
        np.abs(at_primary["voluntary"] - scores.loc[at_primary.index, "probability"]).max() < 1e-9
    )
    assert (at_primary["total"] >= at_primary["voluntary"]).all()


def test_horizons_are_calibrated_on_accounts_the_hazards_have_not_seen(
    history: tuple[History, Target],
) -> None:
    """Hazards from half of the accounts, curves of the other half through their out-of-time
    probability.

    Observed shares rest on rows watched long enough; the error allowed is 3 standard errors by
    account.
    """
    past, _ = history
    learn, held = np.flatnonzero(past.accounts % 2 == 0), np.flatnonzero(past.accounts % 2 == 1)
    outcomes = Outcomes(
        *(getattr(past.outcomes, name)[learn] for name in ("days", "cause", "observed_days"))
    )
    codes = np.unique(past.accounts[learn], return_inverse=True)[1]
    hazards = fit_hazards(
        past.known.rows(learn), outcomes, codes, hazard_edges(90, 720), past.causes, replicates=2
    )
    known = past.known.rows(held)
    said = hazards.curves(known, sigmoid(known.log_odds)).total
    for day in (30, 60, 180):
        watched = past.outcomes.observed_days[held] >= day
        gap = (past.outcomes.days[held] < day)[watched] - said[
            watched, list(hazards.edges).index(day)
        ]
        by_account = np.bincount(past.accounts[held][watched], weights=gap)
        error = np.sqrt((by_account**2).sum()) / watched.sum()
        assert abs(gap.mean()) < 3 * error, day


def test_a_run_in_the_past_learns_from_no_later_event(
    firm: Company, history: tuple[History, Target]
) -> None:
    workspace, target = firm.workspace()
    day = pd.Timestamp("2025-01-01")
    with connected() as connection:
        past = event_history(workspace, connection, load_staged(workspace, connection), target, day)
    start = past.as_of.reset_index(drop=True)
    assert len(past.known) < len(history[0].known)
    finite = np.isfinite(past.outcomes.days)
    ends = start[finite] + pd.to_timedelta(past.outcomes.days[finite] + target.grace_days, unit="D")
    assert (ends <= day).all()


def test_the_command_prints_and_answers_in_json(
    firm: Company, tenure: Command, made: Forecast
) -> None:
    account = made.horizons["account_id"].iloc[0]
    answer = tenure(
        "forecast",
        "--project",
        firm.folder,
        "--json",
        "--months",
        "24",
        "--discount",
        "0.1",
        "--account",
        account,
    )
    assert answer.code == 0, answer.err
    told = json.loads(answer.out)
    assert told["account"]["account_id"] == account
    assert {row["days"] for row in told["account"]["horizons"]} == set(range(30, 361, 30))
    assert len(told["renewal_forecast"]) == len(made.monthly)
    shown = tenure("forecast", "--project", firm.folder, "--months", "24", "--discount", "0.1")
    assert "what the terms that end are paid" in shown.out
    recurring = made.summary.recurring
    for amount, words in (
        (recurring.comes_up, "comes up for renewal in these months"),
        (recurring.ends_later, "ends later"),
        (recurring.no_known_end, "has no known end"),
        (recurring.under_notice, "is under notice or lapsed"),
    ):
        assert (words in shown.out) == bool(round(amount)), words
    assert "next renewals" in shown.out


def test_what_cannot_be_forecast_is_refused_with_the_next_step(
    firm: Company, tenure: Command
) -> None:
    growth = tenure("forecast", "--project", firm.folder, "--target", "expansion_90d")
    assert growth.code == 2 and "compares amounts at two dates" in growth.err
    unknown = tenure("forecast", "--project", firm.folder, "--as-of", "2024-01-01")
    assert unknown.code == 2 and "2025-06-01" in unknown.err
    with pytest.raises(ConfigError, match="between 12 and 120"):
        ForecastOptions(months=6)
    with pytest.raises(ConfigError, match="yearly share"):
        replace(ForecastOptions(), yearly_discount=1.5)
