"""Another score beside the published one: an old one from a table, and the candidate's."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from small_company import NOW, Command, Company
from test_in_use import bold
from test_outcomes_command import EARLY, LAST_OVER, _copied, _score

from features.errors import ConfigError, ContractError
from models.side_by_side import EVEN, OURS
from pipeline.jobs.registry import need_version, register, registered_model
from pipeline.jobs.score import published_table
from pipeline.jobs.shadow import (
    SHADOW,
    SHADOWED,
    OldScore,
    beside_old_score,
    shadow_candidate,
)
from pipeline.kept import KEPT, kept_as
from pipeline.tracking import CHAMPION


@pytest.fixture(scope="module")
def dated(company: Company, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    """The small company with scores of two earlier dates whose outcome is known."""
    made = _copied(company, tmp_path_factory.mktemp("dated") / "project")
    for day in (EARLY, LAST_OVER):
        _score(made, day)
    yield made


def _old(company: Company, folder: Path, **changes: object) -> OldScore:
    """A table that scores every account by the last digits of its id, known a week before."""
    scores = company.workspace()[0].store.read("scores")[["account_id", "as_of"]].drop_duplicates()
    scores["score"] = [(int(account[-4:]) * 37) % 100 for account in scores["account_id"]]
    scores["known"] = scores["as_of"] - pd.Timedelta(days=7)
    file = folder / "old.csv"
    scores.to_csv(file, index=False)
    return replace(OldScore(file, "account_id", "score", "known", True), **changes)


def test_an_old_score_is_judged_on_the_dates_whose_outcome_is_known(
    dated: Company, tmp_path: Path
) -> None:
    workspace, target = dated.workspace()
    report = beside_old_score(workspace, target, _old(dated, tmp_path))
    assert [f"{each:%Y-%m-%d}" for each in report.dates] == ["2025-01-05", "2025-02-17"]
    assert report.overall is not None and report.overall.events >= 10
    # An id says nothing; the score learned from what accounts did.
    assert report.overall.verdict == OURS and report.overall.theirs_auc < report.overall.ours_auc
    accounts = report.accounts
    assert (accounts["moved"].abs().diff().dropna() <= 0).all()
    far = accounts[accounts["moved"].abs() > 100]
    assert len(far) and (far["why"] != "").mean() > 0.5
    assert (accounts["moved"] == accounts["other_place"] - accounts["place"]).all()


def test_beside_itself_a_score_moves_nobody_and_neither_is_better(
    dated: Company, tmp_path: Path
) -> None:
    workspace, target = dated.workspace()
    scores = workspace.store.read("scores").dropna(subset=["probability"])
    file = tmp_path / "same.parquet"
    scores[["account_id", "probability", "as_of"]].to_parquet(file)
    same = OldScore(file, "account_id", "probability", "as_of", False)
    report = beside_old_score(workspace, target, same)
    assert (report.accounts["moved"] == 0).all() and report.in_both >= report.capacity
    assert report.overall is not None and report.overall.verdict == EVEN
    assert report.overall.auc.value == report.overall.caught.value == 0


def test_what_was_not_known_before_a_date_is_not_judged_on_it(
    dated: Company, tmp_path: Path
) -> None:
    workspace, target = dated.workspace()
    old = _old(dated, tmp_path)
    rows = pd.read_csv(old.file, parse_dates=["as_of", "known"])
    # All of them written after the last judged date, and before the current one.
    rows.assign(known=pd.Timestamp(LAST_OVER) + pd.Timedelta(days=30)).to_csv(old.file, index=False)
    report = beside_old_score(workspace, target, old)
    assert report.overall is None and "from before it" in report.waiting
    undated = beside_old_score(workspace, target, replace(old, date=None))
    assert undated.overall is None and "--date" in undated.waiting


def test_a_high_old_score_may_be_bad(dated: Company, tmp_path: Path) -> None:
    workspace, target = dated.workspace()
    old = _old(dated, tmp_path)
    good, bad = (
        beside_old_score(workspace, target, replace(old, high_is_good=value)).accounts.set_index(
            "account_id"
        )
        for value in (True, False)
    )
    first = good["other_place"].idxmin()
    assert bad.loc[first, "other_place"] > len(bad) / 2


def test_a_table_of_other_accounts_is_refused_with_examples(dated: Company, tmp_path: Path) -> None:
    workspace, target = dated.workspace()
    old = _old(dated, tmp_path)
    rows = pd.read_csv(old.file)
    rows.assign(account_id="<b>X" + rows["account_id"]).to_csv(old.file, index=False)
    with pytest.raises(ContractError, match=r"scores none of the .* It names, for example, <b>XA-"):
        beside_old_score(workspace, target, old)
    with pytest.raises(ContractError, match='no column "scor"'):
        beside_old_score(workspace, target, replace(old, score="scor"))
    rows.assign(score="n/a").to_csv(old.file, index=False)
    with pytest.raises(ContractError, match="no row of old.csv has"):
        beside_old_score(workspace, target, old)


def test_the_command_says_who_moves_and_writes_every_account(
    dated: Company, tmp_path: Path, tenure: Command
) -> None:
    old = _old(dated, tmp_path)
    arguments = ("shadow", "--project", dated.folder, "--old", old.file, "--date", "known")
    said = tenure(*arguments)
    assert said.code == 0, said.err
    assert "Who moves most" in said.out and "The published score was better" in said.out
    plain = json.loads(tenure(*arguments, "--json").out)
    table = pd.read_csv(dated.folder / "reports" / plain["target"] / "side_by_side.csv")
    assert len(table) == len(plain["accounts"]) > 100
    assert plain["overall"]["verdict"] == OURS


def test_a_candidate_is_kept_in_silence_and_judged_once_outcomes_are_known(
    dated: Company, tmp_path: Path
) -> None:
    copy = _copied(dated, tmp_path / "project")
    workspace, target = copy.workspace(NOW)
    with pytest.raises(ConfigError, match="in use and the candidate at once"):
        shadow_candidate(workspace, target)
    first = need_version(workspace, target, CHAMPION)
    register(registered_model(workspace, target), bold(first.bundle))
    store = workspace.store
    scores, runs = store.version("scores"), store.version("runs")
    # The run of 1 June is current: what the candidate says of it cannot be judged yet.
    report = shadow_candidate(workspace, target)
    assert report.overall is None and "No date has been scored" in report.waiting
    assert (store.version("scores"), store.version("runs")) == (scores, runs)
    kept = store.read(SHADOW)
    assert len(kept) == len(report.accounts) and kept["candidate_version"].nunique() == 1
    assert (kept["candidate_probability"] != kept["probability"]).mean() > 0.9
    changed = report.accounts[report.accounts["other_health"] != report.accounts["health"]]
    assert (changed["why"] != "").any()
    declared = kept_as(SHADOW, tuple(kept.columns))
    assert declared in KEPT and {*declared.accounts, *declared.runs} <= {*kept.columns}
    # Said once, it stays as it was said.
    shadow_candidate(workspace, target)
    assert len(store.read(SHADOW)) == len(kept)
    # What was said in time of dates that are over by now is judged.
    earlier = store.read("scores", filters=[("as_of", "<=", pd.Timestamp(LAST_OVER))])
    of_then = earlier[earlier["health"].notna()].assign(
        candidate_version=kept["candidate_version"].iloc[0],
        candidate_probability=lambda rows: 0.5 + rows["probability"] / 2,
        candidate_health=lambda rows: rows["health"],
        kept_at=lambda rows: rows["as_of"] + pd.Timedelta(hours=8),
    )
    of_then = published_table(of_then, SHADOWED)
    store.write(SHADOW, of_then, append=True, partition_by=["target"])
    judged = shadow_candidate(workspace, target)
    assert judged.overall is not None and judged.overall.log_loss is not None
    assert [f"{each:%Y-%m-%d}" for each in judged.dates] == [f"{EARLY}", f"{LAST_OVER}"]
    # Half of all accounts do not leave: the candidate was too loud.
    assert judged.overall.verdict == OURS and judged.overall.log_loss.high < 0
