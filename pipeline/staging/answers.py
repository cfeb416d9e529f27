"""Survey answers on one scale: 0-100, and the three classes of an NPS answer."""

import re
from dataclasses import dataclass, replace

from pipeline.engine.duckdb import Connection, literal, row, rows
from pipeline.staging.staged import StagedColumn, StagedSource

POINTS, NPS = "points", "nps_points"
# What each kind is asked on where the table has no scale.
USUAL = {"nps": (0, 10), "csat": (1, 5), "ces": (1, 7), "agree": (0, 1)}
TWO_ANSWERS = ("yes-no", "yes/no", "no-yes", "agree-disagree", "agree/disagree", "true-false")
DECIMALS = 2


@dataclass(frozen=True)
class _AnswerScale:
    """One pair of kind and scale as the table writes them, and the ends of the scale."""

    kind: str | None
    scale: str | None
    ends: tuple[int, int] | None

    @property
    def condition(self) -> str:
        return " AND ".join(
            f"{name} IS NOT DISTINCT FROM {literal(value)}"
            for name, value in (("kind", self.kind), ("scale", self.scale))
        )


def add_points(connection: Connection, source: StagedSource) -> StagedSource:
    """Fill `points` (0-100, two decimals) and `nps_points` (100, 0, -100) from score, kind and
    scale.

    A score off its scale, or on one that nobody can tell, has no points; the notes say how many.
    The mean of `nps_points` is the NPS: percent promoters minus percent detractors.
    """
    if source.contract.table != "surveys" or source.is_mapped(POINTS):
        return source
    scales = [
        _AnswerScale(kind, scale, scale_ends(kind, scale))
        for kind, scale in rows(
            connection, f"SELECT DISTINCT kind, scale FROM {source.table} ORDER BY ALL"
        )
    ]
    unit = source.unit("score")
    keeps_nps = source.is_mapped(NPS)
    nps = NPS if keeps_nps else _nps_points(scales, source, unit)
    connection.execute(
        f"CREATE OR REPLACE TABLE {source.table} AS SELECT * REPLACE ({_points(scales, unit)} AS"
        f" {POINTS}, {nps} AS {NPS}) FROM {source.table}"
    )
    added = {POINTS: StagedColumn("number", DECIMALS, is_mapped=True)}
    if not keeps_nps:
        added[NPS] = StagedColumn("number", is_mapped=True)
    return replace(
        source,
        columns={**source.columns, **added},
        notes=(*source.notes, *_notes(connection, source.table, scales)),
    )


def scale_ends(kind: str | None, scale: str | None) -> tuple[int, int] | None:
    """Lowest and highest answer of a scale in words; None where nobody can tell.

    >>> scale_ends("csat", "1-5"), scale_ends("agree", "yes-no")
    ((1, 5), (0, 1))
    >>> scale_ends("nps", None), scale_ends("csat", "stars")
    ((0, 10), None)
    """
    if scale is None:
        return USUAL.get(kind or "")
    if scale.lower() in TWO_ANSWERS:
        return 0, 1
    found = re.fullmatch(r"(-?\d+)\s*(?:-|–|to|\.\.)\s*(-?\d+)", scale.strip())
    if found is None or int(found[1]) >= int(found[2]):
        return None
    return int(found[1]), int(found[2])


def _points(scales: list[_AnswerScale], unit: int) -> str:
    """Whole number of hundredths of a point, rounded half up; integers only, so that every machine
    agrees.
    """
    cases = []
    for each in scales:
        if each.ends is not None:
            low, high = each.ends
            part, whole = f"(score - {low * unit}) * {100 * 10**DECIMALS}", (high - low) * unit
            cases.append(
                f"WHEN {each.condition} AND score BETWEEN {low * unit} AND {high * unit} "
                f"THEN (2 * {part} + {whole}) // {2 * whole}"
            )
    return f"CAST(CASE {' '.join(cases)} END AS BIGINT)" if cases else "CAST(NULL AS BIGINT)"


def _nps_points(scales: list[_AnswerScale], source: StagedSource, unit: int) -> str:
    """Classes of answers to an NPS question on 0-10; the cuts are the project's, 9 and 7 by
    default.
    """
    promoters, passives = (
        source.settings.promoters_from * unit,
        source.settings.passives_from * unit,
    )
    conditions = [a.condition for a in scales if a.kind == "nps" and a.ends == USUAL["nps"]]
    if not conditions:
        return "CAST(NULL AS BIGINT)"
    is_nps = f"({' OR '.join(f'({c})' for c in conditions)}) AND score BETWEEN 0 AND {10 * unit}"
    return (
        f"CAST(CASE WHEN {is_nps} THEN CASE WHEN score >= {promoters} THEN 100 WHEN score >="
        f" {passives} THEN 0 ELSE -100 END END AS BIGINT)"
    )


def _notes(connection: Connection, table: str, scales: list[_AnswerScale]) -> list[str]:
    unclear = sorted(
        {f"{a.kind or 'no kind'} on {a.scale or 'no scale'}" for a in scales if a.ends is None}
    )
    notes = []
    if unclear:
        notes.append(
            f"answers without points, their scale is not clear: {', '.join(unclear)}. Scales are"
            " written 0-10, 1-5 or yes-no; map or translate the column scale with codes."
        )
    known = " OR ".join(f"({a.condition})" for a in scales if a.ends is not None) or "false"
    off = row(connection, f"SELECT count(*) FROM {table} WHERE points IS NULL AND ({known})")[0]
    if off:
        notes.append(f"{off:,} answers lie off their own scale and have no points.")
    return notes
