"""The project file: every mistake told with file, line, what is allowed and the nearest name."""

import re
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from features.errors import ConfigError
from pipeline.config import config_hash, read_project
from pipeline.config.schema import ColumnRule, StoreSettings
from pipeline.config.toml_lines import lines_of

SMALLEST = """\
name = "small"
[sources.usage_events]
location = "usage.parquet"
[[targets]]
name = "churn"
kind = "inactivity"
horizon_days = 90
"""

FULL = """\
name = "full"
currency = "EUR"
time_zone = "Europe/Berlin"

[sources.subs]
contract = "subscriptions"
location = "crm.duckdb"
table = "subs"
columns.account_id = { join = ["region", "customer"] }
columns.ends_at = { column = "bought", plus = "plan", plus_codes = { Monthly = 31 } }
extra = { score = { column = "s", type = "number", decimals = 1 } }
keep = { kind = ["paid", 1, true, 2024-01-01] }
data_until = { eu = 2024-05-01, us = 2024-06-01 }

[[sources.usage_events.parts]]
location = "a.csv"   # [not] = a header
[[sources.usage_events.parts]]
location = "b.csv"
rows_until = 2024-01-01

[[targets]]
name = "churn"
kind = "churn"
horizon_days = 90
dates = { every = "month", first = 2024-01-01 }
test.count = 2
"""


def written(folder: Path, text: str) -> Path:
    (folder / "tenure.toml").write_text(text, encoding="utf-8")
    return folder


def test_five_lines_are_a_project(tmp_path: Path) -> None:
    project = read_project(written(tmp_path, SMALLEST))
    assert project.sources["usage_events"].location == "usage.parquet"
    assert project.targets[0].horizon_days == 90
    assert project.features.window_days == (7, 28, 91, 182, 364)


def test_every_form_of_key_is_read(tmp_path: Path) -> None:
    project = read_project(written(tmp_path, FULL))
    subs = project.sources["subs"]
    assert subs.columns["account_id"] == ColumnRule(join=("region", "customer"))
    assert subs.keep["kind"] == ("paid", 1, True, date(2024, 1, 1))
    assert [type(v) for v in subs.keep["kind"]] == [str, int, bool, date]
    assert subs.data_until == {"eu": date(2024, 5, 1), "us": date(2024, 6, 1)}
    assert [part.location for part in project.sources["usage_events"].parts] == ["a.csv", "b.csv"]


@pytest.mark.parametrize(
    ("old", "new", "line", "told"),
    [
        (
            'location = "usage',
            'loction = "usage',
            3,
            "unknown key `loction`; did you mean `location`?",
        ),
        (
            'location = "usage.parquet"',
            'location = "u.csv"\ncolumns = { event_time = { colum = "t" } }',
            4,
            "unknown key `colum`; did you mean `column`?",
        ),
        (
            "horizon_days = 90",
            'horizon_days = "90"',
            7,
            '"90" is not allowed: give a whole number, such as 90',
        ),
        ("horizon_days = 90", "horizon_days = true", 7, "is not allowed"),
        ("horizon_days = 90", "horizon_days = 0", 7, "greater than or equal to 1"),
        ("horizon_days = 90", "", 4, "give horizon_days, or horizon"),
        ('kind = "inactivity"', 'kind = "inactivty"', 6, "did you mean `inactivity`?"),
        ('kind = "inactivity"', "", 4, "the key `kind` is required"),
        (
            "[sources.usage_events]",
            "[sources.usage_event]",
            2,
            '"usage_event" is not a contract; did you mean `usage_events`?',
        ),
        ('location = "usage.parquet"', "", 2, "give location"),
        (
            'location = "usage.parquet"',
            'location = "u.csv"\ncolumns.event_tme = "t"',
            4,
            '"event_tme" is no column of usage_events; did you mean `event_time`?',
        ),
        (
            'location = "usage.parquet"',
            'location = "u.csv"\nextra.event_name = "t"',
            4,
            "has already",
        ),
        (
            'location = "usage.parquet"',
            'location = "u.csv"\nextra."My Col" = "t"',
            4,
            "small letters",
        ),
        (
            'location = "usage.parquet"',
            'location = "u.csv"\nextra.both = "t"',
            4,
            "is a word of SQL",
        ),
        (
            'location = "usage.parquet"',
            'location = "u.csv"\ncolumns.account_id = 5',
            4,
            "5 is not allowed",
        ),
        (
            'location = "usage.parquet"',
            'location = "u.csv"\ncolumns.account_id = { column = "a", value = 1 }',
            4,
            "exactly one of column, join, value",
        ),
        (
            'location = "usage.parquet"',
            'location = "u.csv"\ncolumns.account_id = { column = "a", plus = "b" }',
            4,
            "`plus` goes with times only",
        ),
        ('location = "usage.parquet"', 'location = "env:CRM"', 3, "say which with table"),
        (
            'location = "usage.parquet"',
            'location = "u.csv"\nencoding = "latin-9000"',
            4,
            "is not an encoding",
        ),
        (
            'location = "usage.parquet"',
            'location = "u.csv"\nrows_from = 2024-02-01\nrows_until = 2024-01-01',
            5,
            "must be after rows_from",
        ),
        (
            'name = "small"',
            'name = "small"\ntime_zone = "CST"',
            2,
            "abbreviation that means several zones",
        ),
        (
            'name = "small"',
            'name = "small"\ntime_zone = "EST"',
            2,
            "abbreviation that means several zones",
        ),
        (
            'name = "small"',
            'name = "small"\ntime_zone = "London"',
            2,
            'did you mean "Europe/London"?',
        ),
        (
            'name = "small"',
            'name = "small"\ntime_zone = "Europe/Londn"',
            2,
            'did you mean "Europe/London"?',
        ),
        ('name = "small"', 'name = "small"\ncurrency = "euro"', 2, "not an ISO 4217 code"),
        ('name = "small"', 'name = "small"\nfeatures.window_days = [28, 7]', 2, "smallest first"),
        ('name = "small"', 'name = "small"\nfeatures.window_days = [0, 7]', 2, "above 0"),
        ('kind = "inactivity"', 'kind = "event"\nsource = "log"', 7, '"log" is no source'),
        (
            'kind = "inactivity"',
            'kind = "event"\nsource = "usage_events"',
            7,
            "outcomes is needed here",
        ),
        (
            'kind = "inactivity"',
            'kind = "inactivity"\ntest = { first = 2024-01-01, list = [2024-01-01] }',
            7,
            "give one of list, count, first",
        ),
        (
            'kind = "inactivity"',
            'kind = "inactivity"\ndates = { anchor = "usage_events.eventtime" }',
            7,
            "did you mean `event_time`?",
        ),
        (
            'kind = "inactivity"',
            'kind = "inactivity"\ndates = { anchor = "usage.event_time" }',
            7,
            "is no source",
        ),
        (
            'kind = "inactivity"',
            'kind = "inactivity"\ndates.offset_days = [3]',
            7,
            "goes with anchor only",
        ),
        (
            'kind = "inactivity"',
            'kind = "inactivity"\npopulation.kind = "trials"',
            7,
            'contract = "subscriptions"',
        ),
        (
            'kind = "inactivity"',
            'kind = "inactivity"\ntest.list = [2024-02-01, 2024-01-01]',
            7,
            "oldest first",
        ),
        (
            'kind = "inactivity"',
            'kind = "inactivity"\ndates = { first = 2024-02-01, last = 2024-01-01 }',
            7,
            "is before first",
        ),
        (
            "[[targets]]",
            '[[targets]]\nname = "churn"\nkind = "churn"\nhorizon_days = 9\n[[targets]]',
            9,
            "names of targets are unique",
        ),
    ],
)
def test_mistake_is_told_with_its_line(
    tmp_path: Path, old: str, new: str, line: int, told: str
) -> None:
    text = SMALLEST.replace(old, new)
    assert text != SMALLEST
    with pytest.raises(ConfigError) as caught:
        read_project(written(tmp_path, text))
    message = str(caught.value)
    assert told in message
    assert f"tenure.toml:{line}: " in message.splitlines()[0]


def test_several_mistakes_are_told_at_once(tmp_path: Path) -> None:
    text = SMALLEST.replace("inactivity", "x").replace("location", "loction")
    with pytest.raises(ConfigError, match="loction(.|\n)*kind"):
        read_project(written(tmp_path, text))


def test_missing_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist.*--project DIR"):
        read_project(tmp_path)


def test_broken_toml_says_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not valid TOML.*line 2"):
        read_project(written(tmp_path, 'name = "x"\nkey =\n'))


def test_project_without_target_or_source_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no source is configured(.|\n)*no target is configured"):
        read_project(written(tmp_path, 'name = "x"\n'))


def test_hash_changes_with_a_setting_and_not_with_the_store(tmp_path: Path) -> None:
    project = read_project(written(tmp_path, FULL))
    assert config_hash(project) == config_hash(read_project(tmp_path))
    assert config_hash(replace(project, store=StoreSettings(uri="s3://elsewhere"))) == config_hash(
        project
    )
    assert config_hash(replace(project, currency="USD")) != config_hash(project)


def test_hash_does_not_depend_on_a_password(tmp_path: Path) -> None:
    def with_address(address: str) -> str:
        text = SMALLEST.replace('"usage.parquet"', f'"{address}"\ntable = "t"')
        return config_hash(read_project(written(tmp_path, text)))

    assert with_address("postgresql://u:one@host/db") == with_address("postgresql://u:two@host/db")
    assert with_address("postgresql://u:one@host/db") != with_address("postgresql://u:one@other/db")


def test_lines_survive_all_of_toml() -> None:
    text = "\n".join(
        [
            'a = """',
            "x = 1",
            '"""',
            "b.\"c d\".e = 'y' # z = 2",
            "f = [",
            "  1, # no",
            "  { g = 1 },",
            "]",
            "[[h]]",
            "i = { j = [1,",
            "2], k = 3 }",
            "[h.l]",
            "m = 1979-05-27 07:32:00",
            "[[h]]",
            'n = "\\" = ["',
            "o = 1",
        ]
    )
    lines = lines_of(text)
    expected = {
        ("a",): 1,
        ("b", "c d", "e"): 4,
        ("f",): 5,
        ("f", 1, "g"): 7,
        ("h", 0): 9,
        ("h", 0, "i"): 10,
        ("h", 0, "i", "k"): 11,
        ("h", 0, "l", "m"): 13,
        ("h", 1): 14,
        ("h", 1, "n"): 15,
        ("h", 1, "o"): 16,
    }
    assert {path: lines[path] for path in expected} == expected


ALERTS = """
[[alerts]]
name = "at risk"
kind = "crossing"
enter = 30
[alerting]
per_owner_and_week = 3
[[alerting.senders]]
name = "hook"
kind = "webhook"
url = "https://hooks.example.com/tenure"
token = "env:HOOK_TOKEN"
"""


def test_alerts_move_no_result(tmp_path: Path) -> None:
    file = tmp_path / "tenure.toml"
    file.write_text(SMALLEST)
    before = config_hash(read_project(tmp_path))
    file.write_text(SMALLEST + ALERTS)
    project = read_project(tmp_path)
    assert project.alerts[0].enter == 30 and project.alerting.senders[0].name == "hook"
    assert config_hash(project) == before


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"env:HOOK_TOKEN"', '"s3cret"', 'token must be "env:NAME": secrets stay out of the file'),
        ("https://hooks", "https://ann:s3cret@hooks", "url: may hold a secret"),
        ("https://hooks", "ftp://hooks", "url: must begin with https://"),
        ('"webhook"', '"slack"', "url: may hold a secret"),
        ('"webhook"', '"file"', 'kind = "file" needs path'),
        ("enter = 30", "enter = 30\nleave = 30", "leave must be above enter"),
        ('"crossing"', '"strategic"', 'kind = "strategic" needs to'),
        ("[alerting]", '[[alerts]]\nname = "at risk"\nkind = "notice"\n[alerting]', "used twice"),
    ],
)
def test_mistakes_about_alerts_are_told(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert old in ALERTS
    (tmp_path / "tenure.toml").write_text(SMALLEST + ALERTS.replace(old, new))
    with pytest.raises(ConfigError, match=re.escape(words)) as told:
        read_project(tmp_path)
    assert "s3cret" not in str(told.value)


PLAYS = """
[[plays]]
name = "call"
bands = ["at_risk"]
reasons = ["low_use"]
minutes = 30
[worklist]
hours = 6
"""


def test_plays_move_no_result(tmp_path: Path) -> None:
    file = tmp_path / "tenure.toml"
    file.write_text(SMALLEST)
    before = config_hash(read_project(tmp_path))
    file.write_text(SMALLEST + PLAYS)
    project = read_project(tmp_path)
    assert project.plays[0].minutes == 30 and project.worklist.lot_share == 0.15
    assert config_hash(project) == before


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("[worklist]", '[[plays]]\nname = "call"\n[worklist]', "used twice"),
        ('"at_risk"', '"atrisk"', "did you mean `at_risk`?"),
        ('"low_use"', '"low_usage"', "did you mean `low_use`?"),
        ("[worklist]", "[worklist]\nlot_share = 0.9", "lot_share"),
        (
            "minutes = 30",
            'minutes = 30\nalerts = ["rsk"]\n[[alerts]]\nname = "risk"\nkind = "crossing"',
            '"rsk" is no rule of [[alerts]]',
        ),
        (
            "[worklist]",
            '[[alerts]]\nname = "risk"\nkind = "crossing"\nplay = "cal"\n[worklist]',
            '"cal" is no play of [[plays]]; did you mean `call`? Allowed: call',
        ),
    ],
)
def test_mistakes_about_plays_are_told(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert old in PLAYS
    (tmp_path / "tenure.toml").write_text(SMALLEST + PLAYS.replace(old, new))
    with pytest.raises(ConfigError, match=re.escape(words)):
        read_project(tmp_path)
