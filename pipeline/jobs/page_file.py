"""Write the page file of a run: everything the dashboard shows, from the finished tables of the
run, in one file that never changes.

It is written aside, then takes its name, then the pointer moves. `pipeline/dashboard/schema.py`
holds its tables.
"""

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

import pandas as pd

from features.errors import ChurnError
from models.changes import CAUSES
from models.health import reads_decisions
from models.health.scale import BANDS_IN_WORDS
from models.health.words import health_horizon_words
from models.peers import Peer
from models.target_words import TARGET_WORDS
from pipeline.actions.account_rows import (
    AccountRow,
    account_rows,
    list_length,
    shown_columns,
)
from pipeline.alerts.tables import current_alerts, read_alerts
from pipeline.chain import shown_head
from pipeline.config.schema import Target
from pipeline.dashboard.schema import (
    ENDING,
    FORMAT,
    INDEXES,
    NOBODYS,
    TABLES,
    dictionary_of,
    packed,
    pages_folder,
    put_in_place,
)
from pipeline.edge.page_values import plain
from pipeline.edge.text import visible
from pipeline.jobs.account_facts import facts_reader
from pipeline.jobs.customer_boards import customer_boards
from pipeline.jobs.data_use import data_use
from pipeline.jobs.explain import Explained, explain_accounts
from pipeline.jobs.explain_scale import band_edges
from pipeline.jobs.peers import By, peers_report
from pipeline.reports.account import account_tables
from pipeline.reports.boards import BoardInputs, board_pages
from pipeline.reports.portfolio import PortfolioInputs
from pipeline.workspace import Workspace

COMPRESSED_AGAINST = 24
"""Pages of accounts that the others are compressed against."""
KEPT_FILES = 2
"""The current file and the one before it, which a server may still read."""
ONE_PART = 2_000
"""Accounts explained at once: all of a large company would not fit in memory."""


def has_page_file(workspace: Workspace, target: Target) -> bool:
    """Whether somebody asked for the dashboard once: then every publication brings it up to
    date.
    """
    return pages_folder(workspace.folder, target.name).is_dir()


def write_page_file(
    workspace: Workspace,
    target: Target,
    inputs: PortfolioInputs,
    first_page: str,
    card: str,
) -> Path:
    """Write the page file of a run and make it current; returns its path.

    Parameters
    ----------
    inputs, first_page, card
        What the pages of the run are made of, and two of them as drawn.
    """
    folder = pages_folder(workspace.folder, target.name)
    folder.mkdir(parents=True, exist_ok=True)
    run_id = inputs.run.run_id
    aside, path = folder / f".{run_id}{ENDING}", folder / f"{run_id}{ENDING}"
    aside.unlink(missing_ok=True)  # of a command that was killed
    # The dashboard has addresses of its own for the pages of accounts.
    rows = account_rows(replace(inputs.of_the_list, pages={}))
    boards = board_pages(_board_inputs(workspace, target, inputs, first_page, card))
    accounts = [row.account_id for row in rows]
    fill_page_file(
        aside,
        rows,
        _views(workspace, target, accounts, inputs.run.as_of),
        about=_about(workspace, target, inputs, rows),
        documents=[(each.name, each.title, each.audience, each.html) for each in boards],
        alerts=_alert_rows(workspace, target, rows),
    )
    put_in_place(aside, path)
    _drop_older(folder, path)
    return path


def fill_page_file(
    path: Path,
    rows: Sequence[AccountRow],
    views: Iterable[tuple[str, Mapping[str, Any]]],
    *,
    about: Mapping[str, Any],
    documents: Iterable[tuple[str, str, str, str]],
    alerts: Iterable[tuple[Any, ...]],
) -> None:
    """Write all tables of a page file.

    Parameters
    ----------
    rows
        Every account in the order of the lists.
    views
        Account -> what its page shows (`account_tables`).
    documents
        Name, title, audience and HTML of the pages that are drawn once.
    alerts
        Rows of the table `alerts`.
    """
    with closing(sqlite3.connect(path)) as file:
        file.execute("pragma journal_mode = off")
        file.execute("pragma synchronous = off")
        file.executescript(TABLES)
        _put(file, "latest", (_latest(number, row) for number, row in enumerate(rows, 1)))
        file.executemany(
            "insert into search (rowid, words) values (?, ?)",
            ((number, _searched(row)) for number, row in enumerate(rows, 1)),
        )
        _put(file, "totals", _totals(rows))
        place = {row.account_id: number for number, row in enumerate(rows, 1)}
        encoded = ((place[account], _encoded(view)) for account, view in views)
        first = list(islice(encoded, COMPRESSED_AGAINST))
        dictionary = dictionary_of(page for _, page in first)
        _put(
            file,
            "account_page",
            ((number, packed(page, dictionary)) for number, page in chain(first, encoded)),
        )
        _put(file, "documents", documents)
        _put(file, "alerts", alerts)
        stored = {**about, "format": FORMAT, "dictionary": dictionary.hex()}
        _put(file, "about", ((name, json.dumps(plain(value))) for name, value in stored.items()))
        file.executescript(INDEXES)
        file.execute("analyze")
        file.commit()


def _put(file: sqlite3.Connection, table: str, rows: Iterable[Sequence[Any]]) -> None:
    columns = len(file.execute(f"select * from {table} limit 0").description)
    file.executemany(f"insert into {table} values ({', '.join('?' * columns)})", rows)


def _encoded(view: Mapping[str, Any]) -> bytes:
    return json.dumps(view, separators=(",", ":")).encode()


def _latest(number: int, row: AccountRow) -> tuple[Any, ...]:
    fall = row.fall
    return (
        number,
        row.account_id,
        row.place,
        row.name,
        row.owner or NOBODYS,
        row.segment or NOBODYS,
        row.value,
        row.currency,
        row.band,
        row.standing,
        [*BANDS_IN_WORDS].index(row.standing),
        row.health,
        row.state,
        row.chance,
        row.chance_words,
        row.chance_note,
        row.is_decided_later,
        row.at_stake,
        plain(None if row.ends_on is None else row.ends_on.date()),
        row.month or NOBODYS,
        row.timing,
        row.meaning,
        json.dumps(row.summary),
        json.dumps(plain(row.reasons)),
        None if fall is None else fall.usual,
        None if fall is None or fall.by is None else plain(fall.by.date()),
        row.is_listed,
        row.todo,
        row.saves,
    )


def _searched(row: AccountRow) -> str:
    return visible(f"{row.name}\n{row.account_id}\n{row.owner}\n{row.segment}")


def _totals(rows: Iterable[AccountRow]) -> Iterator[tuple[Any, ...]]:
    """Sums by owner, segment, standing and month, from which every sum of a reader's accounts is
    made: money null where none is known.
    """
    sums: dict[tuple[str, str, str, str], list[Any]] = {}
    for row in rows:
        key = (row.owner or NOBODYS, row.segment or NOBODYS, row.standing, row.month or NOBODYS)
        mine = sums.setdefault(key, [0, None, None, 0, 0])
        mine[0] += 1
        mine[1] = mine[1] if row.value is None else (mine[1] or 0.0) + row.value
        mine[2] = mine[2] if row.at_stake is None else (mine[2] or 0.0) + row.at_stake
        mine[3] += row.place is not None
        mine[4] += row.fall is not None
    yield from ((*key, *mine) for key, mine in sums.items())


def _views(
    workspace: Workspace, target: Target, accounts: Sequence[str], as_of: pd.Timestamp
) -> Iterator[tuple[str, dict[str, Any]]]:
    """What the page of each account shows."""
    edges, verb = band_edges(workspace), TARGET_WORDS[target.kind].verb
    for start in range(0, len(accounts), ONE_PART):
        part = accounts[start : start + ONE_PART]
        with facts_reader(workspace, part, as_of) as read:
            for account, explained in zip(
                part, explain_accounts(workspace, target, part, as_of.date()), strict=True
            ):
                view = _view(workspace, target, explained, read, edges, verb, account)
                yield account, view


def _view(
    workspace: Workspace,
    target: Target,
    explained: Explained,
    read: Callable[[str], Any],
    edges: tuple[int, int],
    verb: str,
    account: str,
) -> dict[str, Any]:
    return account_tables(
        explained,
        horizon_days=target.horizon_days,
        verb=verb,
        edges=edges,
        project=workspace.project.name,
        now=workspace.now,
        facts=read(account),
    )


def _about(
    workspace: Workspace, target: Target, inputs: PortfolioInputs, rows: Sequence[AccountRow]
) -> dict[str, Any]:
    words = TARGET_WORDS[target.kind]
    run, fallen = inputs.run, inputs.fallen
    currencies = inputs.portfolio["currency"].dropna()
    return {
        "project": inputs.project,
        "target": target.name,
        "run": {
            name: getattr(run, name)
            for name in ("run_id", "as_of", "published_at", "model_version", "horizon_days")
        },
        "target_words": inputs.target_words,
        "purpose": inputs.objective.purpose,
        "verb": words.verb,
        "gerund": words.gerund,
        "past": words.past,
        "is_good_event": set(inputs.scores["band"]) & {"high", "medium", "low"} != set(),
        "is_scorecard": bool((inputs.scores["basis"] == "scorecard").any()),
        "within": health_horizon_words(
            run.horizon_days, at_decision=reads_decisions(inputs.scores)
        ),
        "band_words": BANDS_IN_WORDS,
        "edges": inputs.edges,
        "currency": str(currencies.mode().iloc[0]) if len(currencies) else "",
        "capacity": inputs.objective.capacity,
        "list_length": list_length(rows, inputs.objective.capacity),
        "is_planned": inputs.planned is not None,
        "shown": shown_columns(rows),
        "previous": inputs.previous_counts,
        "fallen_since": "" if fallen is None else f"{fallen.since} {fallen.record}".strip(),
        "plays": sorted(play.name for play in workspace.project.plays),
        "questionnaires": {
            play.name: play.asks for play in workspace.project.plays if play.asks is not None
        },
        "answer_source": workspace.source_named("surveys"),
        "pulse_source": workspace.source_named("csm_notes"),
        "play_source": workspace.source_named("interventions"),
        "made": inputs.now,
        "head": shown_head(workspace.store),
    }


def _alert_rows(
    workspace: Workspace, target: Target, rows: Sequence[AccountRow]
) -> Iterator[tuple[Any, ...]]:
    """Alerts that go on, of accounts that the run lists."""
    listed = {row.account_id for row in rows}
    history = read_alerts(workspace.store, target.name)
    for alert in current_alerts(history):
        if alert.is_active and alert.account_id in listed:
            yield (
                alert.alert_id,
                alert.account_id,
                alert.name,
                alert.kind,
                alert.reason,
                alert.state,
                alert.owner,
                alert.play,
                alert.episode.isoformat(),
                None if alert.due is None else alert.due.isoformat(),
                None if alert.until is None else alert.until.isoformat(),
                plain(alert.value_at_risk),
                alert.currency or "",
                alert.note or "",
            )


def _board_inputs(
    workspace: Workspace, target: Target, inputs: PortfolioInputs, first_page: str, card: str
) -> BoardInputs:
    run_id = inputs.run.run_id
    of_run, of_target = [("run_id", "=", run_id)], [("target", "=", target.name)]
    return BoardInputs(
        portfolio=inputs,
        first_page=first_page,
        card=card,
        renewals=_kept(workspace, "renewal_forecast", of_run),
        effects=_kept(workspace, "effects", of_target, keep_empty=True),
        metrics=_kept(workspace, "metrics", []),
        monitor=_kept(workspace, "monitor", of_run),
        causes=_causes(workspace, run_id),
        owners=_peers(workspace, target, "owner"),
        segments=_peers(workspace, target, "segment"),
        data_use=data_use(workspace),
        customers=customer_boards(workspace, target, run_id),
        metric_owners=workspace.project.metrics.owners,
    )


def _kept(
    workspace: Workspace, table: str, where: list[Any], *, keep_empty: bool = False
) -> pd.DataFrame | None:
    if not workspace.store.exists(table):
        return None
    rows = workspace.store.read(table, filters=where)
    return None if rows.empty and not keep_empty else rows


def _causes(workspace: Workspace, run_id: str) -> pd.DataFrame | None:
    """Accounts that each cause moved by half a point or more since the run before."""
    rows = _kept(workspace, "changes", [("to_run", "=", run_id)])
    if rows is None:
        return None
    points = rows.groupby(["cause", "account_id"])["points"].sum().abs()
    accounts = (points >= 0.5).groupby("cause").sum().reindex(list(CAUSES), fill_value=0)
    return accounts.rename("accounts").rename_axis("cause").reset_index()


def _peers(workspace: Workspace, target: Target, by: By) -> tuple[Peer, ...] | None:
    with suppress(ChurnError):
        return peers_report(workspace, target, by).peers
    return None


def _drop_older(folder: Path, path: Path) -> None:
    others = [file for file in folder.glob(f"*{ENDING}") if file != path]
    others.sort(key=lambda file: file.stat().st_mtime_ns, reverse=True)
    for file in others[KEPT_FILES - 1 :]:
        file.unlink()
