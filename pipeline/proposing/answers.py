"""Questions about a proposed source: what its rows decide is written, the rest is asked."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from pydantic import TypeAdapter

from features.errors import ChurnError
from features.sources import CONTRACTS
from pipeline.config.schema import Project, Source
from pipeline.config.toml_text import TomlTable, comment_lines
from pipeline.engine.duckdb import Connection, columns_of
from pipeline.proposing.guess import ProposedSource
from pipeline.staging.asking import (
    Opened,
    Question,
    TimesInSource,
    dated_column,
    day_zeros_between,
    moment_notes,
    questions_between,
    questions_of,
)
from pipeline.staging.asking.question import sentence
from pipeline.staging.parts import MappedPart, mapped_part, mapped_parts
from pipeline.staging.read import RawTable
from pipeline.staging.wording import unknown_words

# Which clock was on the wall does not matter to any question.
ANY_ZONE = "UTC"
MOST_ROUNDS = 10
"""An answer can bring up another question; each key is given once."""


def with_answers(connection: Connection, source: ProposedSource, base: Path) -> ProposedSource:
    """The source with every sure answer among its settings, and the open questions beside them."""
    answered: set[str] = set()
    for _ in range(MOST_ROUNDS):
        try:
            questions = _questions(connection, source, base)
        except ChurnError as error:
            told = f"`check` will stop, since it cannot be staged as it is: {error}"
            return replace(source, comments=(*source.comments, told))
        sure = next((q for q in questions if q.is_sure and q.name not in answered), None)
        if sure is None:
            words = _unknown_words(connection, source, base)
            comments = (*source.comments, *words, *_notes_of_times(connection, source, base))
            return replace(source, questions=questions, comments=comments)
        answered.add(sure.name)
        first = sure.readings[0]
        source = replace(
            source,
            settings={**source.settings, first.key: first.value},
            comments=(*source.comments, f"{sure.what}. So {first.line}: {first.words}."),
        )
    return source


def with_common_ids(
    connection: Connection, sources: Sequence[ProposedSource], base: Path
) -> list[ProposedSource]:
    """The sources with ids in one writing where that is sure; what is not is asked."""
    joined = list(sources)
    with ExitStack() as resources:
        relations, dated = {}, {}
        for source in joined:
            try:
                parts = _parts(connection, source, drafted(source), base, resources)
            except ChurnError:
                continue
            contract = CONTRACTS[source.contract]
            opened = Opened(source.name, contract, drafted(source), tuple(parts), connection)
            relations[source.name] = opened.relation(account_id="account_id")
            times = dated_column(opened.source, {c for part in parts for c in part.columns})
            if times is not None:
                dated[source.name] = TimesInSource(opened.source, times, opened.relation(t=times))
        lists = next((s.name for s in joined if s.contract == "accounts"), None)
        questions = list(questions_between(connection, relations, lists))
        questions += day_zeros_between(connection, dated)
    for question in questions:
        writing = question.readings[0] if question.readings else None
        for index, source in enumerate(joined):
            if question.is_sure and writing is not None:
                # One writing for all: a source that has it already loses nothing.
                settings = {**source.settings, writing.key: writing.value}
                comment = f"{sentence(question.what)} So {writing.line}: {writing.words}."
                comments = (comment,) if source.name == question.source else ()
                joined[index] = replace(
                    source, settings=settings, comments=(*source.comments, *comments)
                )
            elif source.name == question.source:
                joined[index] = replace(source, questions=(*source.questions, question))
    return joined


def drafted(source: ProposedSource) -> Source:
    """The source as the project file will read it."""
    parts = [
        {
            "location": table.location,
            "table": table.table,
            "columns": source.part_columns[index] if source.part_columns else {},
            "extra": source.part_extra[index] if source.part_extra else {},
        }
        for index, table in enumerate(source.members)
    ]
    plain: TomlTable = {
        **source.settings,
        "contract": source.contract,
        "columns": source.columns,
        "extra": source.extra,
        "lookups": list(source.lookups),
        "parts": parts,
    }
    return TypeAdapter(Source).validate_python(plain)


def _questions(connection: Connection, source: ProposedSource, base: Path) -> tuple[Question, ...]:
    draft = drafted(source)
    with ExitStack() as resources:
        parts = _parts(connection, source, draft, base, resources)
        opened = Opened(source.name, CONTRACTS[source.contract], draft, tuple(parts), connection)
        return questions_of(opened)


def _notes_of_times(connection: Connection, source: ProposedSource, base: Path) -> tuple[str, ...]:
    draft = drafted(source)
    with ExitStack() as resources:
        parts = _parts(connection, source, draft, base, resources)
        opened = Opened(source.name, CONTRACTS[source.contract], draft, tuple(parts), connection)
        return tuple(moment_notes(opened))


def _unknown_words(connection: Connection, source: ProposedSource, base: Path) -> tuple[str, ...]:
    """Of each closed list, the values that count nowhere, and the line to write for them."""
    draft, contract = drafted(source), CONTRACTS[source.contract]
    listed = [c.name for c in contract.columns if c.words]
    if not listed:
        return ()
    with ExitStack() as resources:
        try:
            parts = _parts(connection, source, draft, base, resources)
        except ChurnError:
            return ()  # the table cannot be staged as proposed; `check` says why
        opened = Opened(source.name, contract, draft, tuple(parts), connection)
        relation = opened.relation(**{name: name for name in listed})
        return tuple(
            f"{sentence(u.what)} {u.todo}; under [sources.{source.name}.columns]:\n{u.line}"
            for u in unknown_words(connection, relation, source.contract, draft)
        )


def _parts(
    connection: Connection,
    source: ProposedSource,
    draft: Source,
    base: Path,
    resources: ExitStack,
) -> list[MappedPart]:
    contract = CONTRACTS[source.contract]
    if draft.lookups:
        project = Project(name="draft", time_zone=ANY_ZONE)
        return mapped_parts(project, draft, contract, base, connection, resources, [])
    return [
        mapped_part(_raw(connection, source, index), draft, part, contract, ANY_ZONE)
        for index, part in enumerate(draft.parts)
    ]


def _raw(connection: Connection, source: ProposedSource, index: int) -> RawTable:
    table = source.members[index]
    return RawTable(
        table.relation,
        columns_of(connection, table.relation),
        table.location,
        delimiter=table.delimiter or ",",
        day_zero=table.day_zero,
    )


def question_lines(question: Question) -> Iterator[str]:
    """The question as comments, and a line per reading to take the # from."""
    yield from comment_lines(
        f"ASKED ({question.name}): {sentence(question.words)} `check` and `run` stop until it is"
        " answered."
    )
    if question.todo:
        yield from comment_lines(question.todo)
    for reading in question.readings:
        yield f"# {reading.line}  # {reading.words}"
