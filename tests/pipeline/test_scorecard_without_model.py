"""A company nobody left yet: there is nothing to learn, and its owners still see whom to look
after.
"""

from pathlib import Path

import pandas as pd
import pytest
from small_company import NOW, Command, Company, quick_training

from pipeline.simulate import WorldOptions, simulate, write_world


@pytest.fixture
def calm(tmp_path: Path) -> Company:
    folder = tmp_path / "project"
    write_world(
        simulate(
            150, 3, options=WorldOptions(truth_dates=(), truth_replicates=1, yearly_churn=0.02)
        ),
        folder,
    )
    quick_training(folder / "tenure.toml")
    company = Company(folder)
    ends = company.table("subscriptions").groupby("account_id")["ends_at"].max()
    gone = set(ends.index[ends < pd.Timestamp(NOW)])
    for file in sorted((folder / "data").glob("*.parquet")):
        rows = company.table(file.stem)
        company.replace_table(file.stem, rows[~rows["account_id"].isin(gone)])
    return company


def test_run_publishes_a_scorecard_where_nobody_left_and_goes_on_with_it(
    calm: Company, tenure: Command
) -> None:
    done = tenure("run", "--project", calm.folder)

    assert done.code == 0, done.err
    assert (
        "at least 2 of each are needed" in done.out and "scores come from the scorecard" in done.out
    )
    scores = calm.published("scores")
    members = scores[scores["state"] == "member"]
    assert set(members["basis"]) == {"scorecard"} and members["probability"].isna().all()
    assert members["health"].between(0, 100).all() and members["health"].nunique() > 10
    drivers = calm.published("drivers").groupby("account_id")["points"].sum()
    added = members.set_index("account_id")["base_points"] + drivers.reindex(
        members["account_id"]
    ).fillna(0.0)
    assert (added - members.set_index("account_id")["health_exact"]).abs().max() < 1e-9

    page = Path(calm.folder / "reports" / "churn_90d" / "portfolio.html").read_text()
    assert "No model is good enough to use yet" in page
    explained = tenure("explain", members["account_id"].iloc[0], "--project", calm.folder)
    assert explained.code == 0, explained.err

    # The next run goes on with it, and training alone is refused.
    again = tenure("run", "--project", calm.folder)
    assert again.code == 0 and "the model or scorecard in use stays" in again.out, again
    assert len(calm.workspace(NOW)[0].store.read("runs")["run_id"].unique()) == 1

    alone = tenure("train", "--project", calm.folder)
    assert alone.code == 3 and "at least 2 of each" in alone.err
