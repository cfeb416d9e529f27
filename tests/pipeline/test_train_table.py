"""`tenure table train`: what it prints, writes and registers, and what it refuses, on small made
tables.
"""

import gzip
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from features.errors import ChurnError, ConfigError, LeakageError
from models.bundle import pack_bundle, write_bundle
from models.evaluation import evaluate
from models.plan import TrainingPlan
from models.table import TableOptions, table_rows
from models.training import train
from pipeline.cli import app
from pipeline.cli.moved import forwarded
from pipeline.config.schema import Training
from pipeline.jobs.read_table import read_table
from pipeline.jobs.train_table import parse_waivers, table_job, train_table
from pipeline.staging.asking import Unanswered

NOW = pd.Timestamp("2025-06-02").to_pydatetime()


def some_table(rows: int = 700, seed: int = 1) -> pd.DataFrame:
    generator = np.random.default_rng(seed)
    usage = generator.gamma(2.0, 10.0, rows)
    plan = generator.choice(["Basic", "Pro", "Team"], rows, p=[0.5, 0.3, 0.2])
    left = generator.random(rows) < 1 / (1 + np.exp(0.25 * usage - 2.0 - 2.0 * (plan == "Basic")))
    return pd.DataFrame(
        {
            "account": [f"{n:05}" for n in range(rows)],
            "logins": usage,
            "plan": plan,
            "seats": generator.integers(1, 40, rows),
            "status": np.where(left, "Gone", "Stays"),
        }
    )


def run(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["table", "train", *(str(each) for each in arguments)])


def refusal(*arguments: object) -> ChurnError:
    done = run(*arguments)
    assert isinstance(done.exception, ChurnError), done.exception or done.output
    return done.exception


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Two threads that wait for each other on a busy machine take minutes over tables this
    small.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipeline.jobs.train_table.Training", partial(Training, threads=1))
        yield


@pytest.fixture(scope="module")
def trained(
    one_thread: None, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any], str]:
    """Project folder, JSON and story of one training through the command line."""
    folder = tmp_path_factory.mktemp("table")
    some_table().to_csv(folder / "accounts.csv", index=False)
    done = run(
        "accounts.csv",
        "--data",
        folder,
        "--label",
        "status",
        "--positive",
        "Gone",
        "--account",
        "account",
        "--project",
        folder / "project",
        "--trials",
        1,
        "--json",
    )
    assert done.exit_code == 0, done.exception
    return folder / "project", json.loads(done.stdout), done.stderr


def test_json_has_the_shape_of_evaluate(trained: tuple[Path, dict[str, Any], str]) -> None:
    found = trained[1]
    assert found["target"] == "status"
    for name in (
        "auc",
        "log_loss",
        "average_precision",
        "brier",
        "calibration_slope",
        "lift_top_decile",
        "ece",
    ):
        assert (
            found["test"][f"{name}_low"] <= found["test"][name] <= found["test"][f"{name}_high"]
            or name == "ece"
        )
    assert found["test"]["auc"] > 0.75
    assert {"constant", "logistic", "lightgbm"} <= set(found["baselines"])
    assert found["test"]["n"] == found["test"]["accounts"]
    assert [gate["name"] for gate in found["gates"]][:2] == ["leakage audit", "finite outputs"]


def test_table_without_recency_has_no_recency_rule_to_beat(
    trained: tuple[Path, dict[str, Any], str],
) -> None:
    project, found, story = trained
    gate = next(gate for gate in found["gates"] if gate["name"].startswith("beats recency"))
    assert gate["applies"] is False
    assert "not applicable  beats recency on other accounts" in story
    assert "beats recency" not in next(line for line in story.splitlines() if " passed: " in line)
    reports = project / "reports" / "table-status"
    assert "– not applicable" in (reports / "model_card.html").read_text()
    assert "- not applicable: beats recency" in (reports / "model_card.md").read_text()


def test_standard_error_holds_the_story_and_nothing_else(
    trained: tuple[Path, dict[str, Any], str],
) -> None:
    assert not [line for line in trained[2].splitlines() if not line[:8].strip().endswith("s")]


def test_every_report_says_that_a_table_without_dates_is_not_out_of_time(
    trained: tuple[Path, dict[str, Any], str],
) -> None:
    project, found, story = trained
    assert found["is_out_of_time"] is False and found["test"]["as_of"] == []
    assert not any("out of time" in gate["name"] for gate in found["gates"])
    reports = project / "reports" / "table-status"
    for text in (
        story,
        json.dumps(found),
        (reports / "model_card.html").read_text(),
        (reports / "model_card.md").read_text(),
    ):
        assert "not out of time" in text
        assert "1970" not in text


def test_story_is_told_in_about_a_dozen_lines(trained: tuple[Path, dict[str, Any], str]) -> None:
    lines = [line for line in trained[2].splitlines() if line[:8].strip().endswith("s")]
    steps = [line.split()[1] for line in lines]
    assert steps[0] == "table" and steps[-1] == "look"
    assert {"note", "train", "test", "beside", "gate", "model"} <= set(steps)
    assert len(lines) <= 16


def test_scores_and_drivers_of_held_out_rows_lie_beside_the_card(
    trained: tuple[Path, dict[str, Any], str],
) -> None:
    reports = trained[0] / "reports" / "table-status"
    scores, drivers = (
        pd.read_parquet(reports / "scores.parquet"),
        pd.read_parquet(reports / "drivers.parquet"),
    )
    table = some_table()
    assert len(scores) == trained[1]["test"]["n"]
    assert (
        scores["account_id"].tolist() == table["account"].iloc[scores["row"]].tolist()
    )  # leading zeros, too
    assert (
        scores["label"].tolist()
        == (table["status"].iloc[scores["row"]] == "Gone").astype(int).tolist()
    )
    assert scores["probability"].between(0, 1).all()
    assert set(drivers["row"]) == set(scores["row"])
    shown = drivers.groupby("row")["points_displayed"].sum()
    base = scores.set_index("row")["health"].astype(float) - shown
    assert base.nunique() == 1
    assert drivers["said"].str.startswith("Logins: ").any()


def test_candidate_is_registered_and_answers_with_all_five(
    trained: tuple[Path, dict[str, Any], str],
) -> None:
    import mlflow

    from pipeline.tracking import CHALLENGER, alias_version, client

    tracker = client(trained[0], None)
    version = alias_version(tracker, "table-status", CHALLENGER)
    assert version is not None and version.tags["is_out_of_time"] == "false"
    assert tracker.get_experiment_by_name("accounts") is not None
    model = mlflow.pyfunc.load_model("models:/table-status@challenger")
    frame = pd.DataFrame({"logins": [1.0, 60.0], "plan": ["Basic", "Pro"], "seats": [3, 3]})
    answer = model.predict(frame)
    assert list(answer.columns) == [
        "probability",
        "probability_low",
        "probability_high",
        "health",
        "band",
        "drivers",
    ]
    assert answer["probability"][0] > answer["probability"][1]


def test_its_mlflow_run_holds_the_rows_the_pictures_and_a_run_per_trial(
    trained: tuple[Path, dict[str, Any], str],
) -> None:
    from pipeline.tracking import CHALLENGER, alias_version, client

    tracker = client(trained[0], None)
    version = alias_version(tracker, "table-status", CHALLENGER)
    assert version is not None
    run = tracker.get_run(version.tags["run_id"])
    dataset = run.inputs.dataset_inputs[0].dataset
    assert json.loads(dataset.profile)["num_rows"] > 100 and len(dataset.digest) == 32
    assert {"reliability.png", "lift.png", "importance.png", "evaluation.json"} <= {
        each.path for each in tracker.list_artifacts(run.info.run_id)
    }
    below = tracker.search_runs(
        [run.info.experiment_id], f"tags.mlflow.parentRunId = '{run.info.run_id}'"
    )
    trials = tracker.download_artifacts(run.info.run_id, "trials.csv")
    assert len(below) == len(pd.read_csv(trials)) > 0 and all(
        each.data.metrics["log_loss"] > 0 for each in below
    )


def test_same_table_gives_the_same_bytes_whatever_its_order(tmp_path: Path) -> None:
    packed, scores = [], []
    for number, table in enumerate(
        (some_table(400), some_table(400).sample(frac=1, random_state=2))
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        table.to_parquet(folder / "accounts.parquet", index=False)
        options = TableOptions("status", positive="Gone", account="account")
        done = train_table(
            table_job(Path("accounts.parquet"), options, folder, NOW, data_dir=folder, trials=1)
        )
        write_bundle(done.bundle, folder / "bundle")
        packed.append(pack_bundle(folder / "bundle", folder / "model.zip").read_bytes())
        scores.append(
            done.scores.sort_values("account_id").drop(columns="row").reset_index(drop=True)
        )
    assert packed[0] == packed[1]
    pd.testing.assert_frame_equal(*scores, check_exact=True)


def test_project_file_gives_name_trials_rows_waivers_and_scale(tmp_path: Path) -> None:
    (tmp_path / "tenure.toml").write_text(
        'name = "acme"\n[sources.usage_events]\nlocation = "usage.parquet"\n'
        '[[targets]]\nname = "quiet"\nkind = "inactivity"\nhorizon_days = 30\n'
        "[training]\ntrials = 0\nthreads = 1\nmax_rows = 1000\nsearch_rows = 2000\n"
        '[training.waivers]\nWarned = "they were told before"\nelsewhere = "of no table"\n'
        "[scale]\np_at_risk = 0.6\np_healthy = 0.2\n"
    )
    table = some_table(1400)
    table.assign(warned=(table["status"] == "Gone").astype(int)).to_parquet(tmp_path / "t.parquet")
    options = TableOptions(
        "status", positive="Gone", account="account", waivers={"seats": "read from the contract"}
    )
    done = train_table(table_job(Path("t.parquet"), options, tmp_path, NOW, data_dir=tmp_path))
    assert done.evaluation.of_table.registered_model == "acme-table-status"
    assert (done.bundle.scale.p_at_risk, done.bundle.scale.p_healthy) == (0.6, 0.2)
    plan = done.bundle.model.training.recorded["plan"]
    assert (plan["max_rows"], plan["search_rows"]) == (1000, 2000)
    assert done.bundle.model.training.rows == 1000
    notes = done.bundle.facts.notes
    assert any("1,000 of" in note and "training.max_rows" in note for note in notes)
    # A column that nearly tells the label alone is kept, as tenure.toml says, with the reason.
    assert [(each.column, each.waived) for each in done.rows.findings] == [
        ("warned", "they were told before")
    ]
    assert plan["trials"] == 0
    assert (tmp_path / "reports" / "acme-table-status" / "model_card.md").is_file()


def test_dated_table_is_judged_on_its_last_dates(tmp_path: Path) -> None:
    days = pd.date_range("2024-01-01", periods=10, freq="28D")
    table = some_table(1000).assign(
        day=np.tile(days, 100), account=[f"a{n // 10}" for n in range(1000)]
    )
    table.to_parquet(tmp_path / "t.parquet")
    done = run(
        tmp_path / "t.parquet",
        "--label",
        "status",
        "--positive",
        "Gone",
        "--account",
        "account",
        "--date",
        "day",
        "--horizon-days",
        28,
        "--project",
        tmp_path,
        "--trials",
        0,
        "--json",
    )
    assert done.exit_code == 0, done.exception
    found = json.loads(done.stdout)
    assert found["is_out_of_time"] is True
    assert found["test"]["as_of"] == ["2024-08-12", "2024-09-09"]
    assert "beats the constant out of time" in [gate["name"] for gate in found["gates"]]


def test_proxies_are_refused_with_the_next_step(tmp_path: Path) -> None:
    table = some_table().assign(
        **{"exit note": lambda t: np.where(t["status"] == "Gone", "bye", None)}
    )
    table.to_parquet(tmp_path / "t.parquet")
    known = (
        tmp_path / "t.parquet",
        "--label",
        "status",
        "--positive",
        "Gone",
        "--project",
        tmp_path,
    )
    error = refusal(*known)
    assert isinstance(error, LeakageError) and error.exit_code == 3
    for words in (
        "account is an identifier",
        "--account account",
        "exit note alone ranks",
        "--drop account --drop 'exit note'",
        "--waive COLUMN=REASON",
    ):
        assert words in str(error)
    assert "account is an identifier" not in str(refusal(*known, "--account", "account"))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ((), "holds 'Stays' .*'Gone' .*--positive VALUE"),
        (("--positive", "Left"), "--positive 'Left' is no value of label column 'status'"),
        (("--positive", "Gone", "--date", "logins"), "--date logins needs --horizon-days"),
        (("--positive", "Gone", "--drop", "seat"), "no column 'seat'; near are seats"),
        (("--positive", "Gone", "--waive", "seats"), "must be COLUMN=REASON"),
        (("--positive", "Gone", "--test-share", "1.5"), "must lie between 0 and 1"),
    ],
)
def test_wrong_use_is_said_clearly(tmp_path: Path, more: tuple[str, ...], message: str) -> None:
    some_table(50).to_parquet(tmp_path / "t.parquet")
    error = refusal(tmp_path / "t.parquet", "--label", "status", "--project", tmp_path, *more)
    assert isinstance(error, ConfigError) and error.exit_code == 2
    with pytest.raises(ConfigError, match=message):
        raise error


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no\.parquet.* does not exist"):
        raise refusal("no.parquet", "--label", "x", "--project", tmp_path)


@pytest.mark.parametrize(
    ("before", "now"),
    [
        (
            "train --table t.csv --label left --as-of day --drop a",
            "table train t.csv --label left --date day --drop a",
        ),
        (
            "train --label left --table=t.csv --as-of=day",
            "table train t.csv --label left --date day",
        ),
        ("promote --label=left --json", "table promote --label left --json"),
    ],
)
def test_the_commands_of_the_release_before_are_understood_and_said_to_go(
    before: str, now: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert forwarded(before.split()) == now.split()
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1
    assert f"use `tenure {' '.join(now.split()[:2])}`" in said.err


@pytest.mark.parametrize(
    "arguments", ["train", "train --target a --as-of 2025-06-01", "promote --target a", "score"]
)
def test_commands_that_did_not_move_stay_as_they_are(
    arguments: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert forwarded(arguments.split()) == arguments.split()
    assert capsys.readouterr().err == ""


def test_options_of_a_table_are_no_options_of_train() -> None:
    done = CliRunner().invoke(app, ["train", "--label", "left"])
    assert done.exit_code == 2 and "No such option" in done.output
    assert "--label" not in CliRunner().invoke(app, ["train", "--help"]).output


def test_waivers_need_a_reason() -> None:
    assert parse_waivers(["score=bought monthly = before"]) == {"score": "bought monthly = before"}
    with pytest.raises(ConfigError, match="COLUMN=REASON"):
        parse_waivers(["score="])


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "t.tsv"])
def test_text_files_keep_zeros_of_accounts_and_read_blank_numbers_as_null(
    tmp_path: Path, name: str
) -> None:
    text = "Account,Total,Day,flag\n007, ,2024-01-31,true\n008,1.5,2024-02-29,false\n"
    content = text.replace(",", "\t") if name.endswith("tsv") else text
    (tmp_path / name).write_bytes(
        gzip.compress(content.encode()) if name.endswith("gz") else content.encode()
    )
    table = read_table(tmp_path / name, ("account",)).rows
    assert table["Account"].tolist() == ["007", "008"]
    assert np.isnan(table["Total"][0]) and table["Total"][1] == 1.5
    assert table["Day"][0] == pd.Timestamp("2024-01-31") and table["flag"].tolist() == [True, False]


def test_a_spreadsheets_numbers_and_dates_are_read_and_told(tmp_path: Path) -> None:
    text = "Prämie;Anteil;Beginn;Nummer;Ort\n1.361,50;12,5%;31.01.2022;1,250;Köln\n99,00;3%;01.02.2022;2,500;Zürich\n;;;;\n"
    (tmp_path / "t.txt").write_bytes(text.encode("cp1252"))
    told: list[str] = []
    table = read_table(tmp_path / "t.txt", tell=told.append).rows
    assert table["Prämie"].tolist()[:2] == [1361.5, 99.0] and table["Anteil"].tolist()[:2] == [
        12.5,
        3.0,
    ]
    assert table["Beginn"].tolist()[:2] == [pd.Timestamp("2022-01-31"), pd.Timestamp("2022-02-01")]
    # Beside semicolons a comma is a decimal mark.
    assert (
        table["Nummer"].tolist()[:2] == [1.25, 2.5]
        and table.drop(columns="Ort").iloc[2].isna().all()
    )
    assert table["Ort"].tolist()[:2] == ["Köln", "Zürich"]
    assert told[0] == "t.txt is no UTF-8; read as cp1252." and len(told) == 5


def test_commas_in_a_comma_separated_file_group_thousands_and_doubtful_dates_are_told(
    tmp_path: Path,
) -> None:
    (tmp_path / "t.csv").write_text(
        'balance,signup,code\n"$1,234",1/2/2019,A-1\n"12,345",3/4/2020,B-2\n', encoding="utf-8-sig"
    )
    told: list[str] = []
    table = read_table(tmp_path / "t.csv", tell=told.append).rows
    assert table["balance"].tolist() == [1234.0, 12345.0] and table["code"].tolist() == [
        "A-1",
        "B-2",
    ]
    assert table["signup"][0] == pd.Timestamp("2019-02-01")
    assert (
        "signup is read as dates written %d/%m/%Y, and fits %m/%d/%Y as well: write 2025-01-31 to"
        " be sure." in told
    )


OPEN = {
    "points": "id,spend\na,1.029\nb,932\nc,12.500\n",
    "commas beside semicolons": "id;spend\na;1,029\nb;932\nc;12,500\n",
    "points beside semicolons": "id;spend;seats\na;1.029;3\nb;932;4\nc;12.500;5\n",
}


@pytest.mark.parametrize("form", OPEN)
def test_thousands_or_decimals_are_asked_of_a_table(tmp_path: Path, form: str) -> None:
    file = tmp_path / "t.csv"
    file.write_text(OPEN[form], encoding="utf-8")
    mark = "," if form.startswith("commas") else "."
    other = "." if mark == "," else ","
    with pytest.raises(Unanswered, match="spend holds 2 values.*beside 932.*--decimal"):
        read_table(file)
    assert read_table(file, decimal=other).rows["spend"].tolist() == [1029, 932, 12500]
    assert read_table(file, decimal=mark).rows["spend"].tolist() == [1.029, 932, 12.5]


@pytest.mark.parametrize(
    "text",
    [
        "id,spend\na,1.029\nb,932\nc,12.5\n",  # 12.5 begins decimals
        "id,spend\na,1.029\nb,0.932\nc,12.500\n",  # so does 0.932
        "id,spend\na,1.029\nb,1932\nc,12.500\n",  # whoever groups would write 1.932
        "id,spend,rate\na,1.029,0.5\nb,932,0.25\nc,12.500,1.5\n",
    ],
)
def test_points_that_begin_decimals_are_not_asked(tmp_path: Path, text: str) -> None:
    (tmp_path / "t.csv").write_text(text, encoding="utf-8")
    assert read_table(tmp_path / "t.csv").rows["spend"][0] == 1.029


def test_marks_of_another_column_decide(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("id;spend;rate\na;1.029;0,5\nb;932;1,25\n", encoding="utf-8")
    rows = read_table(tmp_path / "t.csv").rows
    assert rows["spend"].tolist() == [1029, 932] and rows["rate"].tolist() == [0.5, 1.25]


def test_amounts_are_read_as_sources_read_them(tmp_path: Path) -> None:
    text = "id;amount\na;(1.080,50 €)\nb;80,00-\nc;EUR 12\nd;-1'080,25\n"
    (tmp_path / "t.csv").write_text(text, encoding="utf-8")
    assert read_table(tmp_path / "t.csv").rows["amount"].tolist() == [-1080.5, -80, 12, -1080.25]


@pytest.mark.parametrize("word", ["?", "-", "unknown"])
def test_one_word_among_many_numbers_is_null_and_told(tmp_path: Path, word: str) -> None:
    lines = [f"{n}.5,{n % 5 if n % 9 else '3+'},{n % 2 if n % 7 else word}" for n in range(60)]
    (tmp_path / "t.csv").write_text(
        "\n".join(["minutes,children,calls", *lines, f"{word},1,1", "\\N,1,1"]), encoding="utf-8"
    )
    told: list[str] = []
    table = read_table(tmp_path / "t.csv", tell=told.append).rows
    assert table["minutes"].tolist()[:2] == [0.5, 1.5] and table["minutes"][60:].isna().all()
    # Few values are levels, and a word among them is one, too.
    assert "3+" in set(table["children"]) and word in set(table["calls"])
    assert told == [f"minutes is read as numbers; {word!r} in 1 rows is read as null."]


def test_files_in_sixteen_bits_are_read(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("name\ttotal\nÅsa\t1\n", encoding="utf-16")
    table = read_table(tmp_path / "t.csv").rows
    assert table["name"].tolist() == ["Åsa"] and table["total"].tolist() == [1]


def test_true_and_false_may_end_with_a_full_stop(tmp_path: Path) -> None:
    table = pd.DataFrame({"x": np.arange(200.0) ** 2, "Churn?": [" True.", " False."] * 100})
    found = table_rows(table, TableOptions("Churn?"))
    assert (
        found.training_set.labels.sum() == 100
        and "'True.' of Churn? is taken as the event" in found.notes[0]
    )


def test_files_that_are_no_tables_are_refused(tmp_path: Path) -> None:
    (tmp_path / "t.parquet").write_text("no")
    (tmp_path / "t.csv").write_text("a,a\n1,2\n")
    pd.DataFrame({"a": [[1], [2]]}).to_parquet(tmp_path / "lists.parquet")
    for name, message in (
        ("t.parquet", "cannot be read"),
        ("t.csv", "several columns 'a'"),
        ("lists.parquet", "holds list"),
        ("t.xlsx", "does not exist"),
    ):
        with pytest.raises(ConfigError, match=message):
            read_table(tmp_path / name)
    (tmp_path / "t.xlsx").write_text("")
    with pytest.raises(
        ConfigError, match="of no known kind; known are .parquet.*save the sheet as CSV"
    ):
        read_table(tmp_path / "t.xlsx")


def test_half_of_bank_churners_without_the_leaks_comes_near_the_known_auc(
    shared_data: Path,
) -> None:
    file = shared_data / "bank_churners" / "bank_churners.parquet"
    leaks = [name for name in pd.read_parquet(file).columns if name.startswith("Naive_Bayes")]
    options = TableOptions(
        "Attrition_Flag", positive="Attrited Customer", account="CLIENTNUM", drop=tuple(leaks)
    )
    rows = table_rows(read_table(file).rows.iloc[::2], options)
    figures = evaluate(
        train(rows.training_set, TrainingPlan(trials=0, threads=1)),
        None,
        rows.training_set,
        replicates=50,
    ).test.metrics
    assert figures.auc.value > 0.98
    assert figures.log_loss.value < 0.11


def test_folds_are_judged_told_and_written(tmp_path: Path) -> None:
    some_table(400).to_csv(tmp_path / "accounts.csv", index=False)
    asked = ["table", "folds", "accounts.csv", "--data", str(tmp_path), "--label", "status"]
    asked += ["--positive", "Gone", "--account", "account", "--project", str(tmp_path / "project")]
    asked += ["--trials", "0"]
    done = CliRunner().invoke(app, [*asked, "--parts", "2", "--repeats", "2", "--json"])
    assert done.exit_code == 0, done.exception
    found = json.loads(done.stdout)
    assert len(found["folds"]) == 4 * len(found["methods"])
    assert found["methods"]["constant"]["difference"]["high"] < 0
    assert "between repetitions" in done.stderr and "4 models, 2 folds in 2 rep" in done.stderr
    folder = tmp_path / "project" / "reports" / "table-status"
    assert len(pd.read_csv(folder / "folds.csv")) == len(found["folds"])
    assert len(pd.read_parquet(folder / "fold_scores.parquet")) == 2 * 400
    refused = CliRunner().invoke(app, [*asked, "--fold", "plan", "--parts", "2"])
    assert isinstance(refused.exception, ConfigError)
