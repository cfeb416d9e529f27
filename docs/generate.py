"""Write the pages of docs/reference that are made from the code: run `python docs/generate.py`
after changing it.

`tests/pipeline/test_docs.py` compares each page with what this module makes.
"""

import ast
import inspect
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

MADE = "<!-- Made by docs/generate.py; change the code, then run it again. -->"


def page(title: str, introduction: str, body: str) -> str:
    """A page with its mark, title and introduction."""
    return f"{MADE}\n# {title}\n\n{introduction.strip()}\n\n{body.strip()}\n"


def table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def cell(text: str) -> str:
    """Text as it stands in a cell of a Markdown table."""
    return re.sub(r"\s+", " ", text).strip().replace("|", "\\|").replace("<", "&lt;")


# --- the project file

_PLACES = {
    "Project": "The top of the file",
    "Source": "`[sources.NAME]`",
    "ColumnRule": "A rule: `columns = { our_column = { ... } }`",
    "Lookup": "`[[sources.NAME.lookups]]`",
    "SourcePart": "`[[sources.NAME.parts]]`",
    "Target": "`[[targets]]`",
    "Population": "`[targets.population]`",
    "Dates": "`[targets.dates]`",
    "Test": "`[targets.test]`",
    "Objective": "`[objective]`",
    "Features": "`[features]`",
    "Ratio": "`[[features.ratios]]`",
    "MetricRules": "`[metrics]`",
    "Training": "`[training]`",
    "Checks": "`[checks]`",
    "Bench": "`[bench]`",
    "ScoredAction": "`[[actions]]`",
    "ScoringRule": "`[[rules]]`",
    "RuleCondition": "A condition: `when = [{ ... }]`",
    "ScaleAnchors": "`[scale]`",
    "Score": "`[score]`",
    "AlertRule": "`[[alerts]]`",
    "Alerting": "`[alerting]`",
    "Sender": "`[[alerting.senders]]`",
    "Play": "`[[plays]]`",
    "WorklistRules": "`[worklist]`",
    "Lever": "`[[levers]]`",
    "StoreSettings": "`[store]`",
    "EngineSettings": "`[engine]`",
    "Mlflow": "`[mlflow]`",
    "Night": "`[night]`",
    "Notify": "`[notify]`",
    "Publish": "`[publish]`",
}

# Keys whose name and type say nearly all; the schema explains the others.
_MEANINGS = {
    ("Project", "metrics"): "what the metrics of the whole portfolio mean",
    ("Project", "score"): "what is asked of scores before readers see them",
    ("Project", "name"): "name of the project; part of the registered models' names",
    (
        "Project",
        "currency",
    ): "ISO 4217 code of the reporting currency; a source in another stops the run",
    ("ColumnRule", "column"): "your column",
    ("ColumnRule", "time_zone"): "IANA zone of naive times in this column",
    ("ColumnRule", "otherwise"): "what other codes become",
    ("Lookup", "location"): "as `location` of a source",
    ("Lookup", "take"): "columns of the other table to add",
    ("Lookup", "table"): "as `table` of a source",
    ("SourcePart", "location"): "as `location` of a source",
    ("SourcePart", "table"): "as `table` of a source",
    ("SourcePart", "columns"): "as `columns` of a source, for this part only",
    ("SourcePart", "extra"): "as `extra` of a source, for this part only",
    ("SourcePart", "rows_from"): "rows before this date are left to another part",
    ("Source", "parts"): "several files or tables that together make the source",
    ("Source", "lookups"): "columns fetched from other tables before mapping",
    ("Source", "drop"): "your column -> values left out; such rows are counted",
    ("Source", "rows_from"): "rows before this date are left out",
    ("Source", "rows_until"): "rows on or after this date are left out",
    ("Source", "delimiter"): "of CSV; default: found by looking at the file",
    ("Source", "encoding"): "of CSV",
    ("Source", "decimal"): "decimal mark of numbers written as text",
    ("Source", "max_bad_share"): "share of bad rows from which the run stops",
    ("Dates", "every_days"): "a grid that steps this many days",
    ("Dates", "every"): "a grid of calendar steps",
    ("Dates", "first"): "first date of the grid",
    ("Dates", "last"): "last date of the grid",
    ("Dates", "list"): "these dates",
    ("Dates", "offset_days"): "days after (below 0: before) the anchor",
    ("Test", "first"): "dates from here on are the test",
    ("Test", "last"): "last test date",
    ("Test", "list"): "these dates are the test",
    (
        "Test",
        "count",
    ): "so many dates at the end of the grid are the test; default 3, at most a third",
    ("Population", "active_within_days"): "days before the date in which there must be activity",
    ("Population", "min_events_ever"): "events needed before the date",
    ("Population", "min_age_days"): "youngest age on the date",
    ("Population", "max_age_days"): "oldest age on the date",
    ("Target", "name"): "names tables, reports and the registered model",
    ("Target", "kind"): "what happens; see [labels](../explanation/labels.md)",
    ("Target", "horizon_days"): "length of the label window",
    ("Target", "horizon"): "ask about the next contract end instead",
    ("Target", "gap_days"): "days between the date and the start of the window",
    ("Target", "grace_days"): "a pause of cover up to this long is not leaving",
    ("Target", "population"): "who is asked about",
    ("Target", "dates"): "on which dates",
    ("Target", "test"): "which of them are the untouched test",
    ("Objective", "purpose"): "what the scores are for, in a sentence",
    ("Objective", "cost_per_contact"): "money; used for expected profit only",
    ("Features", "window_days"): "windows of the automatic signals",
    ("Training", "trials"): "settings tried; 0: no search",
    ("Training", "seed"): "of every random choice",
    ("Training", "bags"): "models of different seeds that are averaged",
    ("Training", "max_trees"): "trees of the whole model",
    ("Training", "threads"): "processor threads",
    (
        "ScaleAnchors",
        "p_at_risk",
    ): "probability at the edge between the first two bands; default: proposed by training",
    ("ScaleAnchors", "p_healthy"): "probability at the edge between the last two bands",
    ("ScaleAnchors", "at_risk_until"): "last displayed score of band at_risk",
    ("ScaleAnchors", "stable_until"): "last displayed score of band stable",
    ("StoreSettings", "uri"): "folder of the Delta tables, relative to tenure.toml",
    ("StoreSettings", "replay_days"): (
        "how long replaced versions of staged tables are kept, so that `replay` and `changes` can"
        " go back"
    ),
    ("AlertRule", "name"): "names the rule in lists and messages; each needs its own",
    ("AlertRule", "kind"): "what it waits for; see [alerts](../how-to/alerts.md)",
    ("Sender", "name"): "names the sender in `deliveries`; each needs its own",
    (
        "Sender",
        "kind",
    ): "JSON lines, a JSON post for each alert, the same as Slack reads it, or mail",
    ("Sender", "port"): "mail: its port",
    ("Sender", "user"): "mail: who signs in; default: nobody does",
    ("Alerting", "senders"): "see [senders](#alertingsenders)",
    ("Project", "alerting"): "see [alerting](#alerting)",
    ("Project", "worklist"): "see [worklist](#worklist)",
    ("Mlflow", "tracking_uri"): "address of an MLflow server; default: everything under `mlruns/`",
    **{
        ("Project", table): f"see [{table}](#{table})"
        for table in (
            "objective",
            "features",
            "training",
            "checks",
            "bench",
            "actions",
            "rules",
            "scale",
            "alerts",
            "plays",
            "levers",
            "store",
            "engine",
            "mlflow",
            "night",
            "notify",
            "publish",
            "targets",
        )
    },
    ("Project", "sources"): "see [sources](#sourcesname)",
}


def project_file() -> str:
    """Every key of tenure.toml with type, default and meaning, from pipeline/config/schema.py."""
    from models import declared
    from pipeline.config import schema

    classes = {
        name: value
        for name, value in vars(schema).items()
        if is_dataclass(value) and getattr(value, "__module__", "") == schema.__name__
    }
    written = _attribute_docs(inspect.getsource(schema))
    inherited = _attribute_docs(inspect.getsource(declared))
    missing = sorted(set(classes) - set(_PLACES))
    if missing:
        raise LookupError(
            f"docs/generate.py: _PLACES lacks {', '.join(missing)}; say where in the file it"
            " stands."
        )
    parts = []
    for name, title in _PLACES.items():
        made: Any = classes[name]
        rows = [
            (
                f"`{f.name}`",
                f"`{cell(_type(f.type))}`",
                _default(f),
                _meaning({**_renamed(inherited, made), **written}, name, f.name),
            )
            for f in fields(made)
        ]
        parts += [
            f"## {title}",
            "",
            " ".join(str(made.__doc__).split()),
            "",
            table(("key", "type", "default", "meaning"), rows),
            "",
        ]
    return page(
        "Every key of tenure.toml",
        """
`tenure.toml` is read into the frozen dataclasses of `pipeline/config/schema.py`; this page lists their fields. Unknown
keys, wrong types and impossible combinations stop every command with exit code 2, naming the line, the nearest key and
what is allowed. [How to write tenure.toml](../how-to/project-file.md) has worked examples; which columns a source can
have is in [contracts](contracts.md).""",
        "\n".join(parts),
    )


def _meaning(written: dict[tuple[str, str], str], owner: str, key: str) -> str:
    meaning = written.get((owner, key)) or _MEANINGS.get((owner, key))
    if meaning is None:
        raise LookupError(
            f"{owner}.{key} has no docstring in the schema; add an entry to _MEANINGS."
        )
    return cell(meaning)


def _renamed(inherited: dict[tuple[str, str], str], owner: type[Any]) -> dict[tuple[str, str], str]:
    """The meanings of the classes that a class of the schema extends, as its own."""
    bases = [base.__name__ for base in owner.__mro__[1:]]
    return {(owner.__name__, key): text for (base, key), text in inherited.items() if base in bases}


def _attribute_docs(source: str) -> dict[tuple[str, str], str]:
    """(class, field) -> the string that follows the field."""
    found = {}
    for node in ast.parse(source).body:
        if not isinstance(node, ast.ClassDef):
            continue
        for before, after in zip(node.body, node.body[1:], strict=False):
            is_text = (
                isinstance(after, ast.Expr)
                and isinstance(after.value, ast.Constant)
                and isinstance(after.value.value, str)
            )
            if (
                isinstance(before, ast.AnnAssign)
                and isinstance(before.target, ast.Name)
                and is_text
            ):
                found[node.name, before.target.id] = ast.literal_eval(after.value)  # type: ignore[attr-defined]
    return found


def _type(kind: Any) -> str:
    """A type in the words of TOML."""
    origin, inside = get_origin(kind), get_args(kind)
    if origin is Literal:
        return " | ".join(f'"{value}"' for value in inside)
    if origin in (Union, UnionType):
        words = [_type(each) for each in inside if each is not type(None)]
        return "any value" if {"text", "true or false", "date"} <= set(words) else " | ".join(words)
    if origin is tuple:
        return f"list of {_type(inside[0])}"
    if origin is dict:
        return f"table of {_type(inside[1])}"
    if is_dataclass(kind):
        return {"ColumnRule": "rule"}.get(kind.__name__, "table")  # type: ignore[union-attr]
    return {
        "str": "text",
        "int": "whole number",
        "float": "number",
        "bool": "true or false",
        "date": "date",
    }.get(getattr(kind, "__name__", ""), str(kind))


def _default(field: Any) -> str:
    value = field.default
    if hasattr(value, "default_factory") and not isinstance(value, type):
        # pydantic's Field: a FieldInfo holds the default, or how to make it.
        value = value.default_factory() if value.default_factory else value.default
    if value is MISSING and field.default_factory is not MISSING:
        value = field.default_factory()
    if value is MISSING or type(value).__name__ == "PydanticUndefinedType":
        return "required"
    if value is None or value == () or value == {}:
        return "-"
    if is_dataclass(value):
        return "its defaults"
    return f"`{_toml(value)}`"


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return f"[{', '.join(_toml(each) for each in value)}]"
    return f'"{value}"' if isinstance(value, str) else str(value)


# --- commands


def commands() -> str:
    """Every command with its arguments, options and example, from the command line itself."""
    parts = [_common_options(), ""]
    for words, command in command_tree():
        sentence, _, example = str(command.help).partition("Example:")
        parts += [
            f"## {words}",
            "",
            sentence.strip(),
            "",
            "```",
            example.strip() or words,
            "```",
            "",
        ]
        rows = [
            (_option_name(p), cell(getattr(p, "help", "") or ""), _option_default(p))
            for p in command.params
            if p.name not in _common_names() or (words, p.name) in _OWN_MEANING
        ]
        if rows:
            parts += [table(("argument or option", "meaning", "default"), rows), ""]
    codes = "\n".join(f"- `{code}` {words}" for code, words in exit_codes())
    return page(
        "Commands",
        f"""
`tenure --help` lists the commands, `tenure COMMAND -h` prints what stands here, `tenure --version` the version;
`tenure --install-completion` has your shell complete commands and options. Exit codes:

{codes}

Standard output holds the story of the run; with `--json` it holds one JSON value and the story goes to standard error.
Errors go to standard error as one message: what is wrong, the value, what is allowed, the next step.""",
        "\n".join(parts),
    )


def command_tree() -> Iterator[tuple[str, Any]]:
    """("tenure score", click command) for every command, also those inside groups."""
    import typer

    from pipeline.cli import app

    def walk(words: str, group: Any) -> Iterator[tuple[str, Any]]:
        for name, command in group.commands.items():
            if hasattr(command, "commands"):
                yield from walk(f"{words} {name}", command)
            else:
                yield f"{words} {name}", command

    yield from walk("tenure", typer.main.get_command(app))


def exit_codes() -> list[tuple[int, str]]:
    """What each exit code means, with the errors that cause it."""
    from features import errors

    by_code: dict[int, list[str]] = {}
    for name, error in vars(errors).items():
        if (
            isinstance(error, type)
            and issubclass(error, errors.ChurnError)
            and error is not errors.ChurnError
        ):
            by_code.setdefault(error.exit_code, []).append(f"`{name}`")
    words = {0: "done", 1: "fault", 2: "wrong use", 3: "refused by a gate"}
    causes = {code: f" ({', '.join(names)})" for code, names in by_code.items()}
    return [(code, said + causes.get(code, "")) for code, said in words.items()]


# A common option that means something else there.
_OWN_MEANING = {("tenure demo", "project")}
# What stands for an option's value.
_VALUES = {
    "project": "FOLDER",
    "data": "FOLDER",
    "target": "NAME",
    "as_of": "DATE",
    "accounts": "N",
    "seed": "N",
    "table": "FILE",
    "label": "COLUMN",
    "account": "COLUMN",
    "positive": "VALUE",
    "horizon_days": "DAYS",
    "test_share": "SHARE",
    "trials": "N",
    "yearly_churn": "SHARE",
}


def _common_names() -> frozenset[str]:
    return frozenset({"project", "as_json"})


def _common_options() -> str:
    score = dict(command_tree())["tenure score"]
    rows = [
        (_option_name(p), cell(getattr(p, "help", "") or ""), _option_default(p))
        for p in score.params
        if p.name in _common_names()
    ]
    return (
        "## On every command\n\nAn option that a command takes acts; it refuses any other.\n\n"
        + table(("option", "meaning", "default"), rows)
        + "\n\nBefore the command: `tenure --wait 900 night` waits up to 900 seconds for another"
        " command that writes\nthe store and says for which (one writes at a time, those that read"
        " never wait); `tenure --debug COMMAND`\nsays where an error happened."
    )


def _option_name(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return f"`{(parameter.metavar or parameter.name or '').upper()}`"
    value = (
        "" if parameter.is_flag else f" {parameter.metavar or _VALUES.get(parameter.name, 'TEXT')}"
    )
    return "`" + ", ".join(parameter.opts) + value + "`"


def _option_default(parameter: Any) -> str:
    value = parameter.default
    if parameter.required:
        return "required"
    if (
        value is None
        or value is False
        or value == ()
        or type(value).__name__ == "Sentinel"
        or callable(value)
    ):
        return "-"
    return f"`{value}`"


# --- tables

_COLUMNS = {
    "account_id": "the account",
    "as_of": "date the row speaks about, 00:00 UTC",
    "target": "name of the target",
    "horizon_days": "length of the label window; null where it is the next renewal",
    "run_id": "the run that wrote the row; join it with `runs`",
    "basis": "`calibrated`: probability and score; `scorecard`: score only",
    "probability": "calibrated probability of the event, 0-1; high is bad unless the event is good",
    "probability_low": "lower end of the event's rate among accounts like this (95%)",
    "probability_high": "upper end of the same",
    "probability_at_decision": (
        "calibrated probability when the account's contract comes up, which health is made of; null"
        " where no contract decides, and health is made of `probability`"
    ),
    "probability_at_decision_low": "lower end of the rate among accounts like this then (95%)",
    "probability_at_decision_high": "upper end of the same",
    "timing": "log-odds of `probability` less those of `probability_at_decision`",
    "decides_on": "day on which the account's contract ends; null where none is known",
    "health": "displayed score, whole, 0-100; high is good; null: no score",
    "health_exact": "score before rounding",
    "health_low": "the score at the worse end of the interval",
    "health_high": "the score at the better end",
    "band": (
        "`at_risk`, `stable`, `healthy` (good event: `low`, `medium`, `high`): follows from `health`"
        " alone, in whatever `state`; null without a health"
    ),
    "band_reason": (
        "why `state` is no member (`notice`, `lapsed`) or `unknown` (`no data`, `stale: SOURCE`, "
        "`rows cut off: SOURCE`, `no yearly term ended in training`)"
    ),
    "base_points": "where every account starts, exact",
    "base_displayed": "the same, rounded",
    "model_version": "hash of the model",
    "calibrator_version": "hash of the calibrator",
    "scale_version": "hash of the scale",
    "scored_at": "when the command ran, UTC",
    "dimension": "dimension of the signal",
    "driver": "one measure in all its windows, or `rest`",
    "signal": "column of the features table whose value is shown; null on `rest`",
    "reason": (
        "code of the short list that it pulls the score down for; null above 0 points, and where"
        " the value does not bear it out"
    ),
    "nature": (
        "`leading` (moves before an account makes up its mind), `lagging` (after), `clock` (an"
        " age), `calendar` (place in the term or the year), `standing` (who they are: industry,"
        " country, length of the term); null on `rest`"
    ),
    "points": "points, exact",
    "points_displayed": "points, whole; with `base_displayed` they add to `health`",
    "value": "value of the loudest window at as_of",
    "value_before": "the same, four weeks earlier",
    "reference": "median among accounts that stayed",
    "said": "what is so now, in words",
    "compared": "what it is compared with, in words; null where nothing is",
    "name": "name for people",
    "owner": "customer-success manager",
    "segment": "segment",
    "value_per_year": "money, in units of the currency",
    "currency": "the project's reporting currency",
    "renewal_date": "next known end of a running paid term",
    "state": "`published`, `superseded` or `failed`; the last row of a run_id counts",
    "config_hash": "hash of the settings of tenure.toml",
    "input_fingerprints": (
        "JSON: hashes of the scored features and of the portfolio, accepted stale sources, versions"
        " of the staged tables and of libraries"
    ),
    "counts": "JSON: members per band, and accounts `leaving` and `unknown`",
    "note": "accepted stale sources with their reason (JSON), or a roll-back in words",
    "started_at": "when the command started, UTC",
    "published_at": "when the row was written, UTC",
    "table_hashes": (
        "JSON: sha256 of the run's rows in `scores`, `drivers` and `portfolio`; `rows_removed` says"
        " why they are fewer than were published"
    ),
    "previous_hash": "`row_hash` of the row before; null on the first",
    "row_hash": (
        "sha256 over the row as canonical JSON, without this column and without what is null;"
        " `tenure ledger verify` compares it"
    ),
}

_OF_ARTEFACTS = {
    "kind": "`table` (the rows of the run in it), `file` or `folder`",
    "name": "the table, or the path within the project's folder",
    "sha256": "of the rows, or of the file; null: it was taken away",
    "note": "why it is not as it was first made; null otherwise",
    "published_at": "when it was made, UTC",
    "row_hash": "sha256 over the row as canonical JSON, as in `runs`",
}

_OF_SCORES = {
    "state": (
        "`member`, `notice` (gave notice), `lapsed` (contract over, not renewed so far), `unknown`"
        " (no score); null in runs of version 0.2 and before, whose `band` says `leaving` or `unknown`"
        " in its place"
    ),
    "without": (
        "source that came too late, so that a model that does without it scored the account; null"
        " otherwise"
    ),
}

_OF_MONITOR = {
    "what": (
        "`expected_leavers`, `expected_log_loss`, `expected_auc`: promised by the chances alone;"
        " `leavers`, `log_loss`, `auc`: what came of a run whose outcome is known; `level`: leavers"
        " of all runs published in time; `signal_index`, `signal_points`, `source_points`: drift"
        " since training"
    ),
    "segment": "segment of accounts, signal or source; empty for all accounts",
    "value": (
        "the figure; of an index the population stability index, of points the change of the mean"
        " score"
    ),
    "low": "lower end of where it lies in 95 of 100 cases if the chances are right, or the limit",
    "high": "upper end of the same",
    "verdict": (
        "`waiting`; `inside`, `below` or `above` the range; of a level `held`, `more` or `fewer`; of"
        " drift `moves scores`, `moves no score` (values moved far) or `steady`"
    ),
}

_OF_NIGHT_STEPS = {
    "started_at": "when the night was started, UTC; one night has one",
    "target": "name of the target; empty for steps of all targets",
    "inputs": "hash of tables, settings and model; a step done with the same is left out",
    "run_id": "the run that the night published, once it has",
    "step": "name of the step: `tenure night` says them as they begin",
    "state": "`running`, `done`, `skipped` (this target has none), `refused`, `failed`",
    "reason": "why it was skipped, refused or failed",
    "rows": "rows that it made: accounts, runs judged, pages",
    "seconds": "how long it took",
    "peak": "most memory held by the command until then, MiB",
    "recorded_at": "when the row was written, UTC; the last row of a step counts",
}

_OF_CHANGES = {
    "from_run": "the earlier run",
    "to_run": "the later run",
    "from_as_of": "date of the earlier run",
    "to_as_of": "date of the later run",
    "cause": (
        "`data` (late or corrected), `clock`, `behaviour`, `model` (and calibrator), `scale` (and"
        " configuration); for an account without a score in one of the runs `new`, `gone` or"
        " `unknown`"
    ),
    "dimension": "dimension of the driver; empty for model, scale and rest",
    "driver": (
        "one measure in all its windows; `base` (shift of the base) and `signals` of the model;"
        " `scale`; `rest`"
    ),
    "points": (
        "exact; all rows of an account add to the difference of its `health_exact`; null without a"
        " split"
    ),
    "points_displayed": "whole; all rows of an account add to the difference of its `health`",
    "value": "value of the driver's signal that moved most, in the later state",
    "value_before": "the same in the earlier state; for `data` as first scored",
    "words": "the change in words",
}


_OF_ALERTS = {
    "alert_id": "hash of target, account, rule and episode: the same reason has the same id",
    "account_id": "the account; empty where the operator is told of a feed or a model",
    "rule": "name of the rule",
    "kind": "kind of the rule, or `operator`",
    "episode": "date of the run at which it began",
    "state": (
        "`waiting` (for room in the owner's week), `open` (told), `acknowledged`, `snoozed`, `done`,"
        " `suppressed` (another alert says that the score fell), `silenced` (true, and no news),"
        " `closed` (by the data)"
    ),
    "owner": "who is told",
    "reason": "why, in words",
    "evidence": "JSON: the figures it rests on, and the edge at which it will be over",
    "value_at_risk": "value per year times the chance of leaving",
    "play": "what the rule proposes to do",
    "due": "day by which the owner should have acted; null before it was told",
    "as_of": "date of the run that gave it this state, or that the person saw",
    "run_id": "that run",
    "by": "`data`, or who acknowledged, snoozed or did it",
    "note": "why it was closed or snoozed, and what people noted",
    "until": "end of a snooze",
    "told_on": "date of the run at which it was told last",
    "telling": "how many times it was told",
    "recorded_at": "when the row was written, UTC; the last row of an alert counts",
}
_OF_DELIVERIES = {
    "key": "the message: header `Idempotency-Key` of a webhook, Message-ID of a mail",
    "sender": "name of the sender",
    "owner": "who it is for",
    "account_id": "the account; empty for a digest of several",
    "alerts": "JSON: alert_id and telling of each alert in it",
    "as_of": "day of the message",
    "state": "`sending` (written before it is handed over), `sent`, `failed`; the last row counts",
    "attempts": "tries of that command",
    "said": "why it failed, in words",
    "recorded_at": "when the command started, UTC",
}
_OF_WATCH = {
    "health": "score before the next run, as displayed; null without one",
    "path": (
        "points that customers' behaviour alone added up to since watching began; null where the run"
        " was not trusted"
    ),
    "is_trusted": "whether later runs are compared with it: no source was stale",
    "evaluated_at": "when its alerts were raised, UTC",
}
_OF_PLAYS = {
    "owner": "whose list it is",
    "play": "name of the play",
    "rank": "place in the owner's list, 1 is first",
    "priority": "expected value saved a year: value x chance x share kept - cost",
    "minutes": "working time of the play",
    "propensity": "chance of being on the list: 1 above the lot's zone, 0 below it, 0.5 inside",
    "on_list": "whether the play is to be done; false: left alone by lot",
    "evidence": "what the share kept rests on: `lot`, `holdout`, `observed`, `prior`",
    "save_share": "share of leavers that the play keeps; null where it is not known",
    "assigned_on": "date of the list on which the account was first",
    "made_at": "when the list was made",
    "design": "`lot`, `holdout`, `observed` or `none`",
    "verdict": "`effect`, `association` or `refused`",
    "reason": "why it is no effect, or what to keep in mind of one",
    "treated": "rows assigned to the play, an account once a date",
    "untreated": "rows to compare with",
    "treated_events": "of the treated, how many had the event",
    "untreated_events": "of the untreated, how many had the event",
    "accounts": "different accounts in both",
    "estimate": "difference of shares, treated less untreated; below 0: fewer leave",
    "low": "lower end of the estimate (95%)",
    "high": "upper end of the same",
    "naive": "treated less untreated as they are",
    "ratio_p": "chance of sides as unequal as these under the shares drawn",
    "overlap": "share of the treated with a propensity of 0.02-0.98; observed only",
    "strongest": "what would move the estimate furthest were it hidden; observed only",
    "strongest_moves": "by how much",
    "prior_save_share": "the share counted on until it is measured",
    "waiting": "rows whose horizon is not over",
    "known_in_months": "months from the first assignment until it is known to within 2 points",
    "score_points": "points that its score moved further than of those left alone; by lot only",
    "score_points_low": "lower end of the same (95%)",
    "score_points_high": "upper end of the same",
    "data_until": "first day the data do not cover",
    "measured_at": "when `tenure effects` was run",
}
_OF_TRAJECTORY = {
    "movement": (
        "against the own past: `sudden_drop`, `slow_decline`, `rising`, `steady`, `unknown` (too"
        " little past)"
    ),
    "past_dates": "known dates among the last six, 30 days apart",
    "past_health": "median score on those dates, as shown then by the model of the run",
    "usual_health": "median of the same at the calendar of today: what is usual for the account",
    "usual_wobble": "deviation of the own past around it, points",
    "fall": "`usual_health` less the score, points; negative: above its usual",
    "fell_by": "date by which the largest step down had been taken",
    "slope_30d": "points per 30 days, the calendar taken out",
    "p_leaves": "the published probability",
    "p_rises": "chance to stay and use more within the horizon",
    "p_stays": "chance to stay as it is; the three sum to 1",
    "use_last": "user-days in the last stretch as long as the horizon",
    "use_before": "user-days in the stretch before",
    "direction": (
        "own path within 90 days: `falling`, `level`, `climbing` (5 points), `any` (not known)"
    ),
    "state": "`member`, or `leaving`: lapsed or under notice on the date",
}
_AHEAD = {
    "calendar_health": "the score {0} days ahead if only the calendar moves",
    "health": "expected score in {0} days if it stays",
    "health_low": "lower end of the range meant to hold 80%",
    "health_high": "upper end of the same",
    "p_leaving": "chance to be gone, lapsed or under notice in {0} days",
    "p_at_risk": "chance to be there and at risk",
    "p_stable": "chance to be there and stable",
    "p_healthy": "chance to be there and healthy; the four sum to 1",
}


def _of_trajectory() -> dict[str, str]:
    from pipeline.jobs.past_scores import AHEAD, STEP_DAYS

    return _OF_TRAJECTORY | {
        f"{name}_{STEP_DAYS * ahead}d": meaning.format(STEP_DAYS * ahead)
        for ahead in AHEAD
        for name, meaning in _AHEAD.items()
    }


def tables() -> str:
    """The published tables, from the schemas that the jobs write."""
    from pipeline.alerts.tables import ALERTS, DELIVERIES, WATCH
    from pipeline.artefacts import SCHEMA as ARTEFACTS
    from pipeline.jobs.changes import CHANGES
    from pipeline.jobs.driver_rows import DRIVERS
    from pipeline.jobs.effects import EFFECT_COLUMNS
    from pipeline.jobs.monitor import COLUMNS as MONITOR
    from pipeline.jobs.night_steps import SCHEMA as NIGHT_STEPS
    from pipeline.jobs.plan_plays import ASSIGNED
    from pipeline.jobs.portfolio import PORTFOLIO_COLUMNS
    from pipeline.jobs.score import SCORES
    from pipeline.jobs.trajectory import ACCOUNT_COLUMNS, PAST_COLUMNS
    from pipeline.ledger import RUNS

    kinds = {"value_per_year": "double", "renewal_date": "timestamp[us]", "as_of": "timestamp[us]"}
    portfolio = [
        (name, kinds.get(name, "string"))
        for name in (PORTFOLIO_COLUMNS[0], "as_of", "run_id", *PORTFOLIO_COLUMNS[1:])
    ]
    published: dict[str, tuple[str, list[tuple[str, str]]]] = {
        "runs": (
            "One row per change of a run's state; the commit. Append only.",
            [(f.name, str(f.type)) for f in RUNS],
        ),
        "artefacts": (
            (
                "What is made of a run after it is published (trajectory, forecast, pages), each"
                " with its hash. Append only, a chain like `runs`; the last row of a run and a name"
                " counts."
            ),
            [(n, str(t)) for n, t in ARTEFACTS],
        ),
        "scores": ("Account x as_of x target x horizon x run.", [(n, str(t)) for n, t in SCORES]),
        "drivers": (
            (
                "The eight largest drivers each way and one `rest` per dimension, for every scored"
                " account. The column `words` of runs before version 0.2 is `said` and `compared`"
                " since; those runs keep theirs, with null in the columns they did not have."
            ),
            [(n, str(t)) for n, t in DRIVERS],
        ),
        "portfolio": ("Who the accounts are on the date, as known then.", portfolio),
        "changes": (
            (
                "Why scores moved between two runs: account x cause x driver; written by `tenure"
                " changes`."
            ),
            [(n, str(t)) for n, t in CHANGES],
        ),
        "trajectory": (
            (
                "Own past, expected scores and three ways: one row per account of a run; written by"
                " `tenure trajectory`."
            ),
            [(n, str(t)) for n, t in ACCOUNT_COLUMNS],
        ),
        "past_scores": (
            (
                "What the model of the run would have said on past dates, 30 days apart: account x"
                " as_of x run; written by `tenure trajectory`, never mixed with `scores`."
            ),
            [(n, str(t)) for n, t in PAST_COLUMNS],
        ),
        "monitor": (
            "What was measured of a run, and where it should lie; written by `tenure monitor`.",
            [(n, str(t)) for n, t in MONITOR],
        ),
        "night_steps": (
            "A step of a night as it begins and as it ends; written by `tenure night`.",
            [(f.name, str(f.type)) for f in NIGHT_STEPS],
        ),
        "alerts": (
            (
                "Append only: a row for every state of an alert, the last one counts; written by"
                " `tenure alerts run`."
            ),
            [(n, str(t)) for n, t in ALERTS],
        ),
        "deliveries": (
            "Append only: what became of each message of each sender.",
            [(n, str(t)) for n, t in DELIVERIES],
        ),
        "alert_watch": (
            ("What the next run is compared with: account x run; its rows make a run evaluated."),
            [(n, str(t)) for n, t in WATCH],
        ),
    }
    published |= {
        "assignments": (
            (
                "Who a worklist gives which play, and who was drawn by lot: account x run; written"
                " by `tenure score` and `tenure worklist` where plays are declared."
            ),
            [(n, str(t)) for n, t in ASSIGNED],
        ),
        "effects": (
            "What each play does, or why that cannot be told: play x target; written by `tenure"
            " effects`.",
            [(n, str(t)) for n, t in EFFECT_COLUMNS],
        ),
    }
    parts = []
    for name, (grain, columns) in published.items():
        own = {
            "artefacts": _OF_ARTEFACTS,
            "scores": _OF_SCORES,
            "assignments": _OF_PLAYS,
            "effects": _OF_PLAYS,
            "changes": _OF_CHANGES,
            "trajectory": _of_trajectory(),
            "past_scores": _OF_TRAJECTORY,
            "night_steps": _OF_NIGHT_STEPS,
            "monitor": _OF_MONITOR,
            "alerts": _OF_ALERTS,
            "deliveries": _OF_DELIVERIES,
            "alert_watch": _OF_WATCH,
        }
        meanings = {**_COLUMNS, **own.get(name, {})}
        unknown = [c for c, _ in columns if c not in meanings]
        if unknown:
            raise LookupError(
                f"docs/generate.py: _COLUMNS lacks {', '.join(unknown)} of table {name}."
            )
        rows = [(f"`{c}`", kind.replace("[us]", ""), meanings[c]) for c, kind in columns]
        parts += [f"## {name}", "", grain, "", table(("column", "type", "meaning"), rows), ""]
    return page(
        "Tables that others read",
        """
Everything is a Delta table in the store (`[store] uri`, default `store/` beside `tenure.toml`): one folder per table,
Parquet files inside, one atomic commit per write. DuckDB, pandas, Spark and Databricks read them.

**Read through `runs`.** Delta commits one table at a time, so scores, drivers and portfolio are written first and the
row in `runs` last. For each `run_id` the row with the largest `published_at` gives its state; the current run of a
target is the `published` one with the newest `as_of`, then the newest `published_at`. Rows of other runs in `scores`
are earlier, superseded or unfinished.

```python
from deltalake import DeltaTable

def current_scores(store: str, target: str):
    runs = DeltaTable(f"{store}/runs").to_pandas().sort_values("published_at").drop_duplicates("run_id", keep="last")
    mine = runs[(runs["target"] == target) & (runs["state"] == "published")]
    run_id = mine.sort_values(["as_of", "published_at"])["run_id"].iloc[-1]
    return DeltaTable(f"{store}/scores").to_pandas(filters=[("run_id", "=", run_id)])
```

Two runs of the same inputs have the same `run_id` and equal values in every column but `scored_at`. Other tables in the
store (`staged_*`, `snapshots`, `labels`, `features_*`, `feature_sets`, `evaluations`, `backtest`, `bench`, `quarantine`,
`configurations`, `metrics`, `first_value`, `stuck`, `signal_links`, `shadow`,
`provisional_scores`) are intermediate: read them, but their columns may change with a release.""",
        "\n".join(parts),
    )


# --- signals and contracts


def signals() -> str:
    """The catalogue of signals."""
    from features.catalogue import CARDS, RATIOS, STATES, catalogue_markdown

    return page(
        "Signals",
        f"""
Every signal a model can use: {len(CARDS) + len(STATES) + len(RATIOS)} written cards and the patterns of those made
automatically. `tenure catalogue` prints the same in a terminal.

- A signal needs its source and its columns; what a project lacks is left out. `[features] off` leaves out cards,
  columns, dimensions or sources.
- `_{{7,28}}d` stands for one column per window: the days before `as_of`.
- *empty* is the value where the feed covered the window and nothing happened. Where the feed did not cover the window
  (absent, silent, or younger than it) every signal is null.
- *worse* is the direction that means trouble; `-`: no opinion. *nature*: `leading` signals move before the account
  decides, `lagging` ones after; `clock` is an age, `calendar` the place in the term or the year, `standing` who the account is.
- Made automatically: `<kind>` is each of the commonest event kinds of an activity source (at most `[features]
  max_kinds`), chosen on what was known before the middle training date and frozen in the model; `<number>` is
  `quantity` and each `extra` number. A source with a name of its own prefixes its columns: `NAME__events_28d`.""",
        catalogue_markdown(),
    )


def phrases() -> str:
    """What every card says, at the values where language breaks."""
    from features.catalogue import DIMENSIONS
    from models.drivers.samples import every_signal, samples

    # Windows of one measure differ in their length alone.
    first_of = {(s.dimension, s.driver, s.phrase): s for s in reversed(every_signal())}
    parts = []
    for dimension in DIMENSIONS:
        parts += [f"## {dimension.capitalize()}", ""]
        for signal in reversed(first_of.values()):
            if signal.dimension == dimension:
                rows = [(each.at, each.said, each.compared) for each in samples(signal)]
                heading = f"**`{signal.column}`** ({signal.nature}; {signal.reason or 'no reason'})"
                parts += [heading, "", table(("at", "said", "compared"), rows), ""]
    return page(
        "Phrases",
        """
What `said` and `compared` of the table `drivers` read for every card: at nothing, one, few and many, below nothing, where
nothing is known, and up or down from four weeks ago and against customers who stay. The numbers are examples. A comparison
is there only where it argues for the points beside it. Windows are said as people say them: the exact one is in the
name of the signal.""",
        "\n".join(parts),
    )


def contracts() -> str:
    """The raw tables as tenure wants them."""
    from features.sources import COMMON, CONTRACTS

    parts = ["## In every table", "", _contract_rows(COMMON), ""]
    for contract in CONTRACTS.values():
        what = contract.meaning[0].upper() + contract.meaning[1:] + "."
        streams = "; ".join(f"`{s.event_time}` ({s.words})" for s in contract.streams)
        parts += [
            f"## {contract.table}",
            "",
            what + (f" Dated facts it yields: {streams}." if streams else ""),
            "",
            _contract_rows(contract.columns),
            "",
        ]
    return page(
        "Contracts of the raw tables",
        """
What each source can hold. Only `account_id` and one table of activity are required; every column that is absent takes
the signals that need it along, and nothing else. `tenure init --contract` prints the same with a `SELECT` per table.

*known* is when a value became known: *with the row* means at `known_at`, or at the row's own time plus the declared
`delay_days`; a column name means at that column's time. A value counts on a date only if it was known before it.
Columns marked *personal* hold people's data: they are counted, never shown.""",
        "\n".join(parts),
    )


def _contract_rows(columns: Any) -> str:
    rows = []
    for c in columns:
        marks = [
            word for word, is_so in (("required", c.required), ("personal", c.is_personal)) if is_so
        ]
        unit = f" ({c.unit})" if c.unit else ""
        known = f"at `{c.clock}`" if c.clock else "with the row"
        rows.append((f"`{c.name}`", c.type + unit, known, cell(c.meaning), ", ".join(marks)))
    return table(("column", "type", "known", "meaning", ""), rows)


# --- Python

_SECTION = re.compile(r"^(\w[\w ]+)\n-{3,}\n", re.MULTILINE)


def python() -> str:
    """The Python door, from its signatures and docstrings."""
    import tenure

    members = [
        (name, getattr(each, "__func__", each))
        for name, each in vars(tenure.Project).items()
        if not name.startswith("_")
        and (inspect.isfunction(each) or isinstance(each, classmethod | property))
    ]
    parts = ["## Project", "", _docstring(tenure.Project), ""]
    for name, member in members:
        if isinstance(member, property):
            parts += [f"### Project.{name}", "", _docstring(member), ""]
            continue
        parts += [f"### Project.{name}()", "", f"```\n{_call(name, member)}\n```", ""]
        parts += [_docstring(member), ""]
    return page(
        "Python",
        """
`import tenure` opens a project as the commands do: each method does what the command of its name does, by the same
functions, and hands frames out. It reads `tenure.toml` and the clock when it is called, takes the store's lock where the
command takes it, and raises what the command prints. [Work in Python](../how-to/work-in-python.md) has worked examples; columns
of published tables are in [tables that others read](tables.md).""",
        "\n".join(parts),
    )


def _call(name: str, function: Any) -> str:
    """A call with its parameters and what comes back, a line for each where there are many."""
    signature = inspect.signature(function)
    shown = [
        str(each).replace("'", "").replace('"', "")
        if each.default is inspect.Parameter.empty
        else f"{each.name}: {str(each.annotation).strip(chr(39))} = {each.default!r}"
        for each in signature.parameters.values()
        if each.name not in ("self", "cls")
    ]
    shown = [
        re.sub(r"<class '(\w+)'>|(?:pathlib|datetime|collections\.abc|typing)\.", r"\1", each)
        for each in shown
    ]
    first_named = next(
        (
            number
            for number, each in enumerate(
                each for each in signature.parameters.values() if each.name not in ("self", "cls")
            )
            if each.kind is inspect.Parameter.KEYWORD_ONLY
        ),
        None,
    )
    if first_named is not None:
        shown.insert(first_named, "*")
    returned = inspect.formatannotation(signature.return_annotation).strip("'")
    flat = f"{name}({', '.join(shown)}) -> {returned}"
    if len(flat) <= 100:
        return flat
    return f"{name}(\n" + "".join(f"    {each},\n" for each in shown) + f") -> {returned}"


def _docstring(of: Any) -> str:
    """A docstring in Markdown: its sections in bold, what they list as a list."""
    text = inspect.getdoc(of) or ""
    first, *sections = _SECTION.split(text)
    lines = [first.strip()]
    for title, body in zip(sections[::2], sections[1::2], strict=True):
        lines += ["", f"**{title}**", ""]
        for name, meaning in re.findall(r"^(\S.*)\n((?:[ ]+.*\n?|\n(?=[ ]))*)", body, re.MULTILINE):
            words = " ".join(meaning.split())
            lines.append(f"- `{name}`: {words}" if words else name)
    return "\n".join(lines)


PAGES: dict[str, Callable[[], str]] = {
    "docs/reference/project-file.md": project_file,
    "docs/reference/commands.md": commands,
    "docs/reference/tables.md": tables,
    "docs/reference/signals.md": signals,
    "docs/reference/phrases.md": phrases,
    "docs/reference/contracts.md": contracts,
    "docs/reference/python.md": python,
}


# --- outputs of commands in hand-written pages

WITH_OUTPUTS = ("docs/tutorial/demo.md",)
_OUTPUT = re.compile(
    r"(<!-- output: (?P<command>tenure [^\n]*?) -->\n```\n)(?:.*?\n)??(```)", re.DOTALL
)


def fill_outputs(text: str, folder: Path) -> str:
    """A page with the block after each `<!-- output: COMMAND -->` replaced by what the command
    prints.

    Commands run one after the other in `folder`; a page may so use what an earlier one left.
    """
    return _OUTPUT.sub(
        lambda found: found[1] + output_of(found["command"], folder) + found[3], text
    )


def output_of(command: str, folder: Path) -> str:
    """What a `tenure` command prints, as a reader of a terminal sees it."""
    words = f"{sys.executable} -W ignore -c 'from pipeline.cli import main; main()' "
    done = subprocess.run(
        command.replace("tenure ", words, 1),
        shell=True,
        cwd=folder,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    shown = done.stdout.replace(f"{folder.resolve()}/", "").replace(f"{folder}/", "")
    lines = [line.rstrip() for line in shown.splitlines() if not _NOISE.match(line)]
    return "\n".join(lines).strip("\n") + "\n"


# Lines of a library that tell the reader of a page nothing.
_NOISE = re.compile(r"(Successfully registered model|Created version) ")


def main() -> None:
    """Write every page; with --outputs also the outputs of commands (runs the demo, some
    minutes).
    """
    if "--outputs" in sys.argv:
        for name in WITH_OUTPUTS:
            with tempfile.TemporaryDirectory() as folder:
                path = ROOT / name
                path.write_text(
                    fill_outputs(path.read_text(encoding="utf-8"), Path(folder)), encoding="utf-8"
                )
                print(f"ran the commands of {name}")
    for name, make in PAGES.items():
        path = ROOT / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(make(), encoding="utf-8")
        print(f"wrote {name}")


if __name__ == "__main__":
    main()
