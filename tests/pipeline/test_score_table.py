"""`tenure table score` and MLflow read a new table by its own columns, in whatever types."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from small_company import assert_bands_follow_health
from typer.testing import CliRunner

from features.errors import ArtifactMismatch, ChurnError, ConfigError, NoModel
from features.naming import spelled_slug
from models.declared import AT_RISK_UNTIL, STABLE_UNTIL
from models.table_input import TableRoles, table_input
from pipeline.cli import app
from pipeline.config.schema import Training
from pipeline.storage import Store

ROOT = Path(__file__).resolve().parents[2]


def some_table(rows: int = 500, seed: int = 4) -> pd.DataFrame:
    """Names in several scripts, numbers as Germans write them, a category, a flag, gaps."""
    generator = np.random.default_rng(seed)
    use = generator.gamma(2.0, 10.0, rows)
    plan = generator.choice(["Basic", "Pro", "Größe L"], rows, p=[0.5, 0.3, 0.2])
    seats = pd.array(generator.integers(1, 40, rows), dtype="Int64")
    seats[generator.random(rows) < 0.1] = pd.NA
    left = generator.random(rows) < 1 / (1 + np.exp(0.25 * use - 2.0 - 2.0 * (plan == "Basic")))
    return pd.DataFrame(
        {
            "Kunde": [f"{n:05}" for n in range(rows)],
            "входы": [f"{1000 + value:,.2f}".translate(str.maketrans(",.", ".,")) for value in use],
            "套餐": plan,
            "Plätze": seats,
            "auto renew": np.where(generator.random(rows) < 0.5, "true", "false"),
            "weg": left.astype(int),
        }
    )


def run(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["table", *(str(each) for each in arguments)])


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model of some table in use."""
    folder = tmp_path_factory.mktemp("scored")
    some_table().to_csv(folder / "train.csv", index=False, sep=";")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipeline.jobs.train_table.Training", partial(Training, threads=1))
        done = run(
            *("train", folder / "train.csv", "--label", "weg", "--account", "Kunde"),
            *("--project", folder, "--trials", 1),
        )
    assert done.exit_code == 0, done.exception
    promoted = run("promote", "--label", "weg", "--project", folder)
    assert promoted.exit_code == 0, promoted.exception
    assert "next: tenure table score FILE --label weg" in promoted.stdout
    return folder


def score(project: Path, file: Path, *more: object) -> Any:
    return run("score", file, "--label", "weg", "--project", project, *more)


def test_a_new_file_is_scored_published_and_written_as_csv(project: Path, tmp_path: Path) -> None:
    some_table().to_csv(tmp_path / "june.csv", index=False, sep=";")
    done = score(project, tmp_path / "june.csv", "--csv", tmp_path / "out", "--json")
    assert done.exit_code == 0, done.exception
    said = json.loads(done.stdout)
    assert said["target"] == "table-weg" and sum(said["counts"].values()) == 500
    kept = [("run_id", "=", said["run_id"])]
    scores = Store(project / "store").read("scores", filters=kept).set_index("account_id")
    assert set(scores["state"]) == {"member"}
    assert_bands_follow_health(scores, (AT_RISK_UNTIL, STABLE_UNTIL))
    held_out = pd.read_parquet(project / "reports" / "table-weg" / "scores.parquet")
    there = scores.loc[held_out["account_id"]]
    np.testing.assert_allclose(there["probability"], held_out["probability"])
    drivers = Store(project / "store").read("drivers", filters=kept)
    for account, part in list(drivers.groupby("account_id"))[:20]:
        whole = scores.loc[account]
        assert whole["base_displayed"] + part["points_displayed"].sum() == whole["health"]
    assert set(drivers["driver"]) <= {"входы", "套餐", "Plätze", "auto renew", "rest"}
    assert {"套餐_is_basic", "входы", "plätze"} <= set(drivers["signal"].dropna())
    assert any(str(said).startswith("套餐 is ") for said in drivers["said"])
    written = pd.read_csv(tmp_path / "out" / "scores.csv", dtype={"account_id": str})
    assert written["account_id"].tolist()[:2] == ["00000", "00001"] and len(written) == 500
    assert len(pd.read_csv(tmp_path / "out" / "drivers.csv")) == len(drivers)


def test_the_same_table_gives_the_same_run(project: Path, tmp_path: Path) -> None:
    some_table(60).to_csv(tmp_path / "a.csv", index=False, sep=";")
    some_table(60).sample(frac=1, random_state=1).to_csv(tmp_path / "b.csv", index=False, sep=";")
    ids = [
        json.loads(score(project, tmp_path / name, "--json", "--as-of", "2025-06-01").stdout)[
            "run_id"
        ]
        for name in ("a.csv", "b.csv")
    ]
    assert ids[0] == ids[1]
    runs = Store(project / "store").read("scores", filters=[("run_id", "=", ids[0])])
    assert len(runs) == 60 and set(runs["as_of"]) == {pd.Timestamp("2025-06-01")}


def test_a_few_rows_are_read_as_the_training_file_was_written(
    project: Path, tmp_path: Path
) -> None:
    # Alone, 1.029 would be a little over one, and 007 the number 7.
    text = "Kunde;входы;套餐;Plätze;auto renew\n007;1.029;Enterprise;;yes\n8;viel;Pro;4;TRUE\n"
    (tmp_path / "two.csv").write_text(text, encoding="utf-8")
    done = score(project, tmp_path / "two.csv", "--json")
    assert done.exit_code == 0, done.exception
    said = json.loads(done.stdout)
    assert said["notes"] == [
        "1 values of входы cannot be read, such as 'viel'; read as null.",
        "1 rows hold values of 套餐 that training never saw, such as 'Enterprise'; read as null.",
    ]
    drivers = Store(project / "store").read("drivers", filters=[("run_id", "=", said["run_id"])])
    use = drivers[(drivers["account_id"] == "007") & (drivers["driver"] == "входы")]
    assert use["value"].tolist() == [1029.0]


def test_wrong_use_is_told_with_the_next_step(project: Path, tmp_path: Path) -> None:
    table = some_table(40)

    def refusal(rows: pd.DataFrame, *more: object, label: str = "weg") -> ChurnError:
        rows.to_csv(tmp_path / "t.csv", index=False, sep=";")
        done = run("score", tmp_path / "t.csv", "--label", label, "--project", project, *more)
        assert isinstance(done.exception, ChurnError), done.exception or done.output
        return done.exception

    lacking = refusal(table.drop(columns="套餐"))
    assert isinstance(lacking, ArtifactMismatch) and "the table lacks '套餐'" in str(lacking)
    assert "none of its 40 values here" in str(refusal(table.assign(Plätze="viele")))
    assert "repeat an account of 'Kunde'" in str(refusal(pd.concat([table, table.head(2)])))
    assert "holds no rows" in str(refusal(table.iloc[:0]))
    assert isinstance(refusal(table.iloc[:0]), ConfigError)
    assert "There are models for weg" in str(refusal(table, label="left"))
    empty = refusal(table.assign(Kunde=[None, *table["Kunde"][1:]]))
    assert "1 rows name no account in 'Kunde'" in str(empty)


def test_without_a_model_in_use_nothing_is_scored(tmp_path: Path) -> None:
    some_table(40).to_csv(tmp_path / "t.csv", index=False)
    done = run("score", tmp_path / "t.csv", "--label", "weg", "--project", tmp_path)
    assert "nothing was trained" in str(done.exception)
    assert not isinstance(done.exception, NoModel)


def test_the_page_about_tables_shows_how_mlflow_scores_original_columns(project: Path) -> None:
    """The code of the how-to runs as it is written, on a frame of every type."""
    import mlflow

    page = (ROOT / "docs" / "how-to" / "train-on-a-table.md").read_text(encoding="utf-8")
    code = page.split("tests/pipeline/test_score_table.py runs it -->")[1]
    code = code.split("```python")[1].split("```")[0]
    code = code.replace("sqlite:///crm", f"sqlite:///{project}").replace("churned", "weg")
    before = mlflow.get_tracking_uri()
    frame = some_table(6).drop(columns=["Kunde", "weg"])
    number = frame["входы"].str.replace(".", "").str.replace(",", ".").astype(float)
    frame = frame.assign(
        входы=number, **{"auto renew": pd.array([True, False, None, True, False, True])}
    )
    space: dict[str, Any] = {"frame": frame}
    try:
        exec(compile(code, "train-on-a-table.md", "exec"), space)
    finally:
        mlflow.set_tracking_uri(before)
    model, plain = space["model"], space["scores"]
    assert plain["probability"].between(0, 1).all() and plain["drivers"].str.contains("входы").all()
    assert [each.name for each in model.metadata.get_input_schema().inputs] == list(frame.columns)
    same = {
        "numbers as text": frame.assign(Plätze=frame["Plätze"].astype("string")),
        "nullable flags": frame.assign(**{"auto renew": frame["auto renew"].astype("boolean")}),
        "flags in words": frame.assign(**{"auto renew": ["yes", "NO", None, "True", "false", "1"]}),
        "doubles": frame.assign(Plätze=frame["Plätze"].astype("float64")),
        "another order": frame[frame.columns[::-1]],
        "categories": frame.assign(套餐=frame["套餐"].astype("category")),
    }
    for how, other in same.items():
        np.testing.assert_allclose(
            model.predict(other)["probability"], plain["probability"], err_msg=how
        )
    unseen = model.predict(frame.assign(套餐="Enterprise"))["probability"]
    missing = model.predict(frame.assign(套餐=None))["probability"]
    np.testing.assert_array_equal(unseen, missing)
    assert model.predict(frame.iloc[:0]).empty
    with pytest.raises(mlflow.MlflowException, match=r"missing inputs \['Plätze'\]"):
        model.predict(frame.drop(columns="Plätze"))


@pytest.mark.parametrize(
    ("kind", "known", "cells", "read"),
    [
        ("number", (), [1, "2.5", None, True, " 7 ", "n/a"], [1, 2.5, None, 1, 7, None]),
        ("flag", (), ["Yes", "f", 1, 0.0, None, "True."], [1, 0, 1, 0, None, 1]),
        ("flag", (), [1, 0, 1], [1, 0, 1]),
        ("category", ("7", "8"), [7.0, 8, "9", " 7 "], [None, None, None, None]),
    ],
)
def test_cells_of_any_type_are_read_as_in_training(
    kind: str, known: tuple[str, ...], cells: list[Any], read: list[float | None]
) -> None:
    state = {"column": "X", "kind": kind, "signals": ["x"], "values": list(known)}
    table = pd.DataFrame({" x ": pd.Series(cells, dtype=object)})
    found = table_input(table, {"table_columns": [state]})
    expected = [np.nan if each is None else float(each) for each in read]
    if kind == "category":
        expected = [0.0, 1.0, np.nan, 0.0]  # the column says whether it is the larger of two
        assert found.notes[0].startswith("1 rows hold values of X that training never saw")
    np.testing.assert_array_equal(found.features["x"], expected)


def test_roles_of_a_model_that_kept_none_are_empty() -> None:
    assert TableRoles.of({}) == TableRoles()
    assert spelled_slug("कुल बिक्री (₹)") == "कुल_बिक्री" and spelled_slug("  ") == "unnamed"
