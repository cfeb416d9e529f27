"""One account's scores over time: past, published, and where they are expected."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from markupsafe import Markup, escape

from models.health.scale import BANDS_IN_WORDS
from pipeline.jobs.history import AccountTrajectory
from pipeline.reports.render import day

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 860, 210, 34, 96, 10, 24
_BESIDE_FAN = 30


@dataclass(frozen=True)
class _Paper:
    """From dates and scores to places in the picture."""

    first: pd.Timestamp
    last: pd.Timestamp

    def x(self, moment: Any) -> float:
        share = (pd.Timestamp(moment) - self.first) / max(
            self.last - self.first, pd.Timedelta(days=1)
        )
        return round(_LEFT + float(share) * (_WIDTH - _LEFT - _RIGHT), 1)

    def y(self, score: float) -> float:
        return round(
            _TOP
            + (100.0 - min(max(float(score), 0.0), 100.0)) / 100.0 * (_HEIGHT - _TOP - _BOTTOM),
            1,
        )


def trajectory_svg(
    trajectory: AccountTrajectory,
    history: pd.DataFrame,
    edges: tuple[int, int],
    names: Sequence[str],
) -> Markup:
    """The past as this model would have said it (line), published scores (dots), and where it is
    expected (bars).

    Parameters
    ----------
    history
        Published scores: as_of, health, marker.
    edges, names
        Last scores of the two lower bands, and the bands, lowest first.
    """
    row, now = trajectory.row, pd.Timestamp(trajectory.row["as_of"])
    past = trajectory.past.dropna(subset=["health_exact"])
    ahead = [
        each
        for each in sorted(trajectory.summary.projections)
        if not pd.isna(row[f"health_{each}d"])
    ]
    paper = _Paper(
        min([*past["as_of"], *history["as_of"], now]),
        now + pd.Timedelta(days=max(ahead, default=0)),
    )
    points = [*zip(past["as_of"], past["health_exact"], strict=True), (now, float(row["health"]))]
    parts = [
        (
            f'<svg class="trajectory" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="Score'
            f' over time, now {int(row["health"])}">'
        ),
        *_bands(paper, edges, names),
    ]
    parts += [
        f'<polyline class="past" points="{_places(paper, run)}"/>'
        for run in _unbroken(points, float(trajectory.summary.step_days))
    ]
    parts += [
        f'<circle class="published" cx="{paper.x(each["as_of"])}" cy="{paper.y(each["health"])}"'
        f' r="3.5"><title>published {day(each["as_of"])}:'
        f" {int(each['health'])}{escape(_marked(each['marker']))}</title></circle>"
        for each in history.dropna(subset=["health"]).to_dict("records")
    ]
    parts += _expected(paper, row, ahead, now)
    parts.append(
        f'<line class="now" x1="{paper.x(now)}" y1="{_TOP}" x2="{paper.x(now)}"'
        f' y2="{_HEIGHT - _BOTTOM}"/>'
    )
    # Numbers of ours, and words escaped one by one.
    return Markup("".join([*parts, *_ticks(paper, ahead, now), "</svg>"]))  # noqa: S704


def _bands(paper: _Paper, edges: tuple[int, int], names: Sequence[str]) -> list[str]:
    limits, right = (0.0, edges[0] + 0.5, edges[1] + 0.5, 100.0), paper.x(paper.last)
    parts = [
        f'<text x="{_LEFT - 6}" y="{paper.y(score) + 4}" text-anchor="end">{score}</text>'
        for score in (0, *edges, 100)
    ]
    for name, low, high in zip(names, limits, limits[1:], strict=False):
        top, bottom = paper.y(high), paper.y(low)
        words = escape(BANDS_IN_WORDS.get(name, name))
        parts += [
            (
                f'<rect class="{name}" x="{_LEFT}" y="{top}" width="{right - _LEFT:.1f}"'
                f' height="{bottom - top:.1f}" fill="var(--b)"/>'
            ),
            f'<text x="{right + _BESIDE_FAN:.1f}" y="{(top + bottom) / 2 + 4:.1f}">{words}</text>',
        ]
    return parts


def _places(paper: _Paper, points: Sequence[tuple[Any, float]]) -> str:
    return " ".join(f"{paper.x(at)},{paper.y(score)}" for at, score in points)


def _unbroken(
    points: Sequence[tuple[Any, float]], step_days: float
) -> list[list[tuple[Any, float]]]:
    """Stretches of dates that follow one another: no line is drawn over a time without scores."""
    runs: list[list[tuple[Any, float]]] = []
    for at, score in points:
        if runs and (pd.Timestamp(at) - pd.Timestamp(runs[-1][-1][0])).days <= 1.5 * step_days:
            runs[-1].append((at, score))
        else:
            runs.append([(at, score)])
    return runs


def _expected(
    paper: _Paper, row: Mapping[str, Any], ahead: Sequence[int], now: pd.Timestamp
) -> list[str]:
    """A dashed line through the middles, and a bar from low to high on each day."""
    if not ahead:
        return []
    middles, bars = [(now, float(row["health"]))], []
    for days in ahead:
        at = now + pd.Timedelta(days=days)
        low, middle, high = (float(row[f"health{end}_{days}d"]) for end in ("_low", "", "_high"))
        middles.append((at, middle))
        x, words = paper.x(at), f"in {days} days, if it stays: {middle:.0f} ({low:.0f}-{high:.0f})"
        bars.append(
            f'<line class="range" x1="{x}" y1="{paper.y(high)}" x2="{x}"'
            f' y2="{paper.y(low)}"><title>{words}</title></line><text class="middle"'
            f' x="{x + 6:.1f}" y="{paper.y(middle) + 4:.1f}">{middle:.0f}</text>'
        )
    return [f'<polyline class="expected" points="{_places(paper, middles)}"/>', *bars]


def _ticks(paper: _Paper, ahead: Sequence[int], now: pd.Timestamp) -> list[str]:
    ticks = [(now, day(now), "end" if paper.first < now else "start")]
    ticks += [(paper.first, day(paper.first), "start")] if paper.first < now else []
    ticks += [(now + pd.Timedelta(days=days), f"+{days}", "middle") for days in ahead]
    return [
        f'<text x="{paper.x(at)}" y="{_HEIGHT - 6}" text-anchor="{anchor}">{escape(words)}</text>'
        for at, words, anchor in ticks
    ]


def _marked(marker: Any) -> str:
    return f"; new {marker}" if isinstance(marker, str) and marker else ""
