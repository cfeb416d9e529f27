"""`tenure bench`: the measured table, the stored one, what the project declares, and mistakes in
it.
"""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from small_company import Command, Company

from features.errors import ConfigError
from models.contenders import SEGMENT
from pipeline.config import config_hash, read_project
from pipeline.engine.duckdb import connected
from pipeline.jobs.bench import hindsight, with_segments
from pipeline.jobs.bench_advice import bench_advice
from pipeline.jobs.prepare import load_training
from pipeline.jobs.registry import need_version
from pipeline.jobs.run import refuse_unknown_signals
from pipeline.jobs.stage import load_staged
from pipeline.tracking import CHALLENGER

SMALLEST = """
name = "shop"
[sources.usage_events]
location = "events.parquet"
[[targets]]
name = "silent_90d"
kind = "inactivity"
horizon_days = 90
population = { kind = "active", active_within_days = 90 }
"""
DECLARED = """
[bench]
clusters = 3
model_share = 0.25
match = "first"
weights = { active_days_28d = 70, days_since_use = 30 }

[[actions]]
name = "used on eight days"
signal = "active_days_28d"
at_least = 8
points = 10

[[actions]]
name = "use within two weeks"
signal = "days_since_use"
within_days = 14
missed = -10
counted_from = "days_as_customer"

[[rules]]
name = "silent"
points = -20
when = [{ signal = "days_since_use", above = 14 }, { signal = "active_days_28d", below = 8 }]
"""


def _declare(company: Company, text: str) -> Path:
    file = company.folder / "tenure.toml"
    file.write_text(file.read_text() + text)
    return file


def test_bench_prints_the_table_and_keeps_it(company_copy: Company, tenure: Command) -> None:
    _declare(company_copy, DECLARED)
    answer = tenure("bench", "--project", company_copy.folder, "--json")
    assert answer.code == 0, answer.err
    found = json.loads(answer.out)
    methods = {each["method"]: each for each in found["methods"]}
    assert found["recommended"] in methods and {"constant", "tuned", "hybrid", "actions"} <= set(
        methods
    )
    assert (
        methods["actions"]["details"]["is_declared"]
        and len(methods["actions"]["details"]["actions"]) == 2
    )
    assert methods["rules"]["details"]["match"] == "first" and methods["rules"]["inputs"] <= 2
    assert methods["weighted_average"]["details"]["weights"] == {
        "active_days_28d": 70.0,
        "days_since_use": 30.0,
    }
    assert (
        methods["hybrid"]["details"]["model_share"] == 0.25
        and methods["hybrid"]["details"]["points"] == "rules"
    )
    assert 0 <= methods["clusters"]["details"]["stability"] <= 1
    loss = methods["tuned"]["test"]["log_loss"]
    assert (
        loss["low"] < loss["value"] < loss["high"]
        and loss["minus_tuned"] == 0
        and "profit" in methods["tuned"]["test"]
    )
    for method, pooled in (("segment_weights", "weighted_average"), ("cohort", "tuned")):
        segments = methods[method]["details"]["segments"]
        assert {each["segment"] for each in segments} == {"small", "mid", "large"} and segments[-1][
            "pooled"
        ] == "too few"
        verdict = next(each for each in found["by_segment"] if each["method"] == method)
        assert verdict["pooled"] == pooled and "worth it" in verdict["words"]
        assert (
            verdict["validation"]["low"]
            <= verdict["validation"]["value"]
            <= verdict["validation"]["high"]
        )
    workspace, target = company_copy.workspace()
    kept = workspace.store.read("bench")
    assert set(kept["target"]) == {target.name} and set(kept["method"]) == set(methods)
    assert set(kept.loc[kept["is_recommended"], "method"]) == {found["recommended"]}
    # What it recommended is said when a model is put to use, whatever its gates say; they do not
    # ask it.
    said = tenure("promote", "--project", company_copy.folder).out
    assert said.startswith("the bench of ") and "another model" not in said
    gap = methods[found["recommended"]]
    if found["recommended"] != "tuned":
        assert f"is {-gap['minus_tuned'] + 0.0:+.4f} (95% " in said
    advice = bench_advice(workspace, target, need_version(workspace, target, CHALLENGER).bundle)
    assert advice is not None and advice.recommended == found["recommended"]


def test_segments_are_those_known_on_the_date_and_without_history_today_s_is_said(
    company: Company,
) -> None:
    workspace, target = company.workspace()
    rows, _, _ = load_training(workspace, target)
    named, has_segments, notes = with_segments(workspace, rows)
    assert has_segments and notes == () and set(named.keys[SEGMENT]) == {"small", "mid", "large"}
    assert (
        named.keys.groupby("account_id")[SEGMENT].nunique().max() > 1
    )  # seats changed, and the segment with them
    with connected() as connection:
        accounts = load_staged(workspace, connection)["accounts"]
    assert "today's on every date" in hindsight(replace(accounts, columns={}))[0]
    fixed = replace(accounts.settings, immutable=(*accounts.settings.immutable, "segment"))
    assert hindsight(replace(accounts, columns={}, settings=fixed)) == ()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[bench]\nweights = { a = 60, b = 30 }", "sum to 100, not 90"),
        ('[[actions]]\nname = "x"\nsignal = "s"', "changes nothing"),
        ('[[actions]]\nname = "x"\nsignal = "s"\nmissed = -5', "needs within_days"),
        ('[[rules]]\nname = "x"\npoints = 3\nwhen = [{ signal = "s" }]', "needs one of above"),
        (
            '[[rules]]\nname = "x"\npoints = 3\nwhen = [{ signal = "s", over = 3 }]',
            "unknown key `over`",
        ),
    ],
)
def test_mistakes_are_told_with_their_line(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "tenure.toml").write_text(f"{SMALLEST}\n{text}\n")
    with pytest.raises(ConfigError, match=words) as error:
        read_project(tmp_path)
    assert int(str(error.value).split("tenure.toml:")[1].split(":")[0]) > SMALLEST.count("\n")


def test_what_only_the_bench_compares_leaves_the_configuration_s_hash(tmp_path: Path) -> None:
    file = tmp_path / "tenure.toml"
    file.write_text(SMALLEST)
    before = config_hash(read_project(tmp_path))
    file.write_text(SMALLEST + DECLARED)
    assert config_hash(read_project(tmp_path)) == before


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (
            '[[actions]]\nname = "used"\nsignal = "events_27d"\npoints = 5\n',
            r"\[\[actions\]\] names the signal 'events_27d'.*Nearest: .*events_28d",
        ),
        (
            '[[rules]]\nname = "calm"\npoints = -5\nwhen = [{ signal = "no_such", at_most = 1 }]\n',
            r"\[\[rules\]\] names the signal 'no_such'",
        ),
        ("[bench]\nweights = { no_such = 100 }\n", r"\[bench.weights\] names the signal 'no_such'"),
        (
            '[bench]\ndepth = ["no_such"]\n',
            "frequency, breadth or depth names the signal 'no_such'",
        ),
    ],
)
def test_a_name_that_is_no_signal_stops_the_run_before_training(
    company_copy: Company, lines: str, said: str
) -> None:
    toml = company_copy.folder / "tenure.toml"
    workspace, target = company_copy.workspace()
    refuse_unknown_signals(workspace, [target])
    toml.write_text(f"{toml.read_text()}\n{lines}")
    workspace, target = company_copy.workspace()
    with pytest.raises(ConfigError, match=said):
        refuse_unknown_signals(workspace, [target])
