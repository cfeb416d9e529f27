"""Reading `tenure.toml`: every mistake is told with file, line, what is allowed and the nearest
name.
"""

import hashlib
import json
import tomllib
from dataclasses import asdict, fields, is_dataclass
from datetime import date
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from features.errors import ConfigError
from pipeline.config.checks import Problem, nearest, project_problems
from pipeline.config.schema import ColumnRule, Project
from pipeline.config.toml_lines import lines_of
from pipeline.config.toml_text import TomlTable
from pipeline.edge.locations import redacted, shown_location

FILE_NAME = "tenure.toml"
Location = tuple[str | int, ...]
_ASIDE = (
    *("store", "mlflow", "bench", "actions", "rules"),
    *("alerts", "alerting", "plays", "worklist", "levers", "night", "notify"),
    "publish",
)
"""Settings that move no score."""


def read_project(folder: Path) -> Project:
    """The project described by `tenure.toml` in a folder.

    Raises
    ------
    ConfigError
        The file is absent, is not TOML, has an unknown key, a wrong type or an impossible
        combination; the message names file, line, key, what is allowed and the nearest known name.
        All mistakes of one kind of check are told at once.
    """
    file = folder / FILE_NAME
    text = _text_of(file)
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{file}: not valid TOML: {error}.") from error
    except RecursionError as error:
        raise ConfigError(
            f"{file}: not valid TOML: brackets inside brackets, hundreds deep. Write a project file"
            " as `tenure init` does."
        ) from error
    project, problems = _validated(raw)
    if project is not None:
        problems = [*_coerced(raw, project), *project_problems(project)]
    if project is None or problems:
        raise ConfigError(_message(file, text, problems))
    return project


def config_hash(project: Project) -> str:
    """16 hex digits that change when a setting does that can move a result.

    Where results are kept (`store`, `mlflow`) and copied to, what only the bench compares, what a
    night does, who is told, plays and their worklist, and the password inside an address are left
    out: none of them moves a score.
    """
    return hash_of_text(config_text(project))


def hash_of_text(text: str) -> str:
    """16 hex digits of settings as `config_text` wrote them, in this version or an earlier one."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def config_text(project: Project) -> str:
    """The settings that can move a result as JSON, without passwords; `config_from_text` reads them
    back.
    """
    settings = asdict(project)
    for aside in _ASIDE:
        del settings[aside]
    for source in settings["sources"].values():
        for place in (source, *source["parts"], *source["lookups"]):
            if place["location"] is not None:
                place["location"] = shown_location(place["location"])
    return json.dumps(settings, sort_keys=True, default=str)


def config_from_text(text: str) -> Project:
    """The project that `config_text` described, with the default store and tracking."""
    project: Project = TypeAdapter(Project).validate_python(json.loads(text))
    return project


def _text_of(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")  # Windows' editors begin with a mark
    except FileNotFoundError as error:
        raise ConfigError(
            f"{file} does not exist. Name the project's folder with --project DIR, or make one with"
            " `tenure init`."
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{file}: not UTF-8 at byte {error.start}. Save the file as UTF-8."
        ) from error
    except OSError as error:
        raise ConfigError(
            f"{file} cannot be read: {error.strerror}. Make it a file that this user may read."
        ) from error


def _validated(raw: TomlTable) -> tuple[Project | None, list[Problem]]:
    try:
        return TypeAdapter(Project).validate_python(raw), []
    except ValidationError as error:
        problems = {
            _problem(details, raw) for details in error.errors() if not _is_noise(details, raw)
        }
        return None, sorted(problems, key=lambda problem: (str(problem.path), problem.text))


def _is_noise(details: ErrorDetails, raw: TomlTable) -> bool:
    """Whether the message is about the alternative the writer did not mean.

    A rule is a name or a table: for a table only its mistakes are told, for a name it cannot be
    wrong. Of a scalar's alternatives one message is enough, the one about text.
    """
    tags = [part for part in details["loc"] if isinstance(part, str)]
    value = details["input"]
    if isinstance(value, dict) and details["type"] == "string_type" and tags[-1] == "str":
        return True
    if not isinstance(value, dict) and tags[-1] == ColumnRule.__name__:
        return True
    return tags[-1] in ("int", "float", "bool", "date") and details["type"] != "extra_forbidden"


def _problem(details: ErrorDetails, raw: TomlTable) -> Problem:
    path = _path_in(raw, details["loc"], keep_last=details["type"] == "missing")
    match details["type"]:
        case "unexpected_keyword_argument" | "extra_forbidden":
            path = _path_in(raw, details["loc"], keep_last=True)
            allowed = _keys_allowed(path)
            return Problem(
                path[:-1] + (path[-1],),
                f"unknown key `{path[-1]}`{nearest(str(path[-1]), allowed)} "
                f"Allowed here: {', '.join(allowed)}.",
            )
        case "missing" | "missing_argument":
            return Problem(path, f"the key `{details['loc'][-1]}` is required.")
        case "value_error":
            return Problem(path, f"{details['msg'].removeprefix('Value error, ')}.")
        case "string_type" if details["loc"][-1] == "str":
            return Problem(
                path,
                f"{_shown(details['input'])} is not allowed: give a column name in quotes, or a"
                f" table of {', '.join(f.name for f in fields(ColumnRule))}.",
            )
        case "literal_error":
            allowed = [part.strip("'") for part in _split_or(details["ctx"]["expected"])]
            return Problem(
                path,
                f"{_shown(details['input'])} is not allowed"
                f"{nearest(str(details['input']), allowed)} Allowed: {', '.join(allowed)}.",
            )
        case _:
            return Problem(
                path, f"{_shown(details['input'])} is not allowed: {_lower_first(details['msg'])}."
            )


def _path_in(raw: Any, location: Location, *, keep_last: bool) -> Location:
    """The part of pydantic's location that exists in the file; names of union members are not
    keys.
    """
    path: Location = ()
    value = raw
    for depth, part in enumerate(location):
        is_last = depth == len(location) - 1
        is_key = isinstance(value, dict) and part in value
        is_index = isinstance(value, list) and isinstance(part, int) and part < len(value)
        if is_key or is_index:
            path += (part,)
            value = value[part]
        elif is_last and keep_last:
            path += (part,)
    return path


def _keys_allowed(path: Location) -> list[str]:
    """The keys of the table that a path's last key stands in."""
    owner: Any = Project
    for part in path[:-1]:
        owner = _inside(owner, part)
    return [f.name for f in fields(owner)] if is_dataclass(owner) else []


def _inside(owner: Any, part: str | int) -> Any:
    """The type found at a key of a dataclass, dict or tuple type."""
    if is_dataclass(owner):
        return next((f.type for f in fields(owner) if f.name == part), None)
    arguments = getattr(owner, "__args__", ())
    classes = [a for a in arguments if is_dataclass(a)]
    if classes:
        return classes[0]
    # dict[str, str | ColumnRule]
    for argument in arguments:
        inner = [a for a in getattr(argument, "__args__", ()) if is_dataclass(a)]
        if inner:
            return inner[0]
    return None


def _coerced(raw: Any, parsed: Any, path: Location = ()) -> list[Problem]:
    """Values that pydantic converted though their type is wrong: `"90"` for 90, `true` for 1."""
    if isinstance(raw, dict):
        inner = [(key, raw[key], _member(parsed, key)) for key in raw]
        return [problem for key, old, new in inner for problem in _coerced(old, new, (*path, key))]
    if isinstance(raw, list):
        pairs = zip(raw, parsed, strict=True)
        return [
            problem
            for index, (old, new) in enumerate(pairs)
            for problem in _coerced(old, new, (*path, index))
        ]
    is_widened = type(raw) is int and type(parsed) is float
    if (
        type(raw) is type(parsed)
        or is_widened
        or isinstance(parsed, date)
        and isinstance(raw, date)
    ):
        return []
    if is_dataclass(parsed):
        return []
    return [
        Problem(
            path,
            f"{_shown(raw)} is not allowed: give {_word_for(parsed)}, such as {_shown(parsed)}.",
        )
    ]


def _member(parsed: Any, key: str) -> Any:
    return parsed[key] if isinstance(parsed, dict) else getattr(parsed, key)


def _word_for(value: Any) -> str:
    words = {
        bool: "true or false",
        int: "a whole number",
        float: "a number",
        str: "text",
        date: "a date",
    }
    return words.get(type(value), type(value).__name__)


def _shown(value: Any) -> str:
    """A value of the file, shortened; an address in it may hold a password."""
    if isinstance(value, str):
        return json.dumps(shortened(shown_location(value)))
    return shortened(redacted(json.dumps(_without_addresses(value), default=str)))


def _without_addresses(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_addresses(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_without_addresses(each) for each in value]
    return shown_location(value) if isinstance(value, str) else value


def shortened(text: str) -> str:
    """At most 200 letters of a text, so that an error stays one line."""
    return text if len(text) <= 200 else f"{text[:200]}..."


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]


def _split_or(expected: str) -> list[str]:
    return expected.replace(" or ", ", ").split(", ")


def _message(file: Path, text: str, problems: list[Problem]) -> str:
    lines = lines_of(text)
    return "\n".join(
        f"{file}:{_line_of(lines, p.path)}: {_dotted(p.path)}{p.text}" for p in problems
    )


def _line_of(lines: dict[Location, int], path: Location) -> int:
    """The line of the deepest part of the path that stands in the file."""
    for length in range(len(path), 0, -1):
        if path[:length] in lines:
            return lines[path[:length]]
    return 1


def _dotted(path: Location) -> str:
    name = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(
        "."
    )
    return f"{name}: " if name else ""
