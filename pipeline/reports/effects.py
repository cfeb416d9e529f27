"""What plays do, in words and as plain values."""

from typing import Any

import numpy as np
from rich.text import Text

from models.plays import WITHIN, MeasuredEffect, ScoreEffect
from models.target_words import TargetWords
from pipeline.config.schema import Play
from pipeline.jobs.effects import EffectsReport, PlayEffect, effect_rows
from pipeline.reports.render import counted, day, percent

DESIGN_WORDS = {
    "lot": "drawn at random near the end of the list",
    "holdout": "drawn as a holdout",
    "observed": "chosen by people",
    "none": "",
}


def effects_lines(report: EffectsReport, plays: dict[str, Play], words: TargetWords) -> list[Any]:
    """Renderables: a paragraph for each play."""
    lines: list[Any] = [
        Text(f"{report.target}: what plays do, with data until {day(report.until)}", style="bold")
    ]
    for each in report.plays:
        lines.append(Text(""))
        lines.append(Text(_title(each.effect.play, plays.get(each.effect.play)), style="bold"))
        play = plays.get(each.effect.play)
        is_declared = None if play is None else (play.aim == "grow") == each.is_good
        said = play_words(each, words, report.horizon_days, is_declared=is_declared)
        lines += [Text(f"  {line}") for line in said]
    return lines


def _title(name: str, play: Play | None) -> str:
    if play is None:
        return f"{name} (recorded, not declared under [[plays]])"
    facts = [play.role or "the account's owner", f"{play.minutes} minutes"]
    return f"{name} ({', '.join(facts)})"


def play_words(
    each: PlayEffect, words: TargetWords, horizon_days: int | None, *, is_declared: bool | None
) -> list[str]:
    """Sentences about one play: the effect or why it cannot be told, and when more is known.

    Parameters
    ----------
    is_declared
        Whether it is planned for this target; None: it is not declared at all.
    """
    effect = each.effect
    lines = [_effect_words(effect, words, horizon_days)]
    if effect.treated and effect.untreated:
        lines.append(
            f"{counted(effect.treated, 'assignment')} and {effect.untreated:,} without, "
            f"{DESIGN_WORDS[effect.design]}: {_share(effect.treated_events, effect.treated)} and"
            f" {_share(effect.untreated_events, effect.untreated)} {words.past}."
        )
    if each.waiting:
        lines.append(f"{each.waiting:,} more: outcome not known yet.")
    if each.score is not None:
        lines.append(_score_words(each.score))
    if effect.verdict != "effect" or effect.high - effect.low > 2 * WITHIN:
        lines += _when_known(each, is_declared=is_declared)
    if np.isnan(each.measured_share) and is_declared:
        assumed = (
            f"{percent(each.prior)} more {words.verb} with it"
            if each.is_good
            else f"it keeps {percent(each.prior)} of those who would {words.verb}"
        )
        lines.append(f"Until then the worklist assumes that {assumed}.")
    return lines


def _effect_words(effect: MeasuredEffect, words: TargetWords, horizon_days: int | None) -> str:
    if effect.verdict == "refused":
        return f"We cannot tell. {effect.reason}"
    if effect.verdict == "association":
        return effect.reason
    within = "" if horizon_days is None else f" within {horizon_days} days"
    points = [100 * -each for each in (effect.estimate, effect.high, effect.low)]
    if effect.design == "observed":
        said = (
            f"Of 100 accounts with it, {abs(points[0]):.1f}"
            f" {'fewer' if points[0] >= 0 else 'more'} {words.past}{within} than of comparable"
            f" accounts without ({_range(*points[1:])})."
        )
        return f"{said} {effect.reason}"
    said = (
        f"Of 100 accounts it is given to, {abs(points[0]):.1f}"
        f" {'fewer' if points[0] >= 0 else 'more'} {words.verb}{within} ({_range(*points[1:])})."
    )
    return f"{said} {effect.reason}".strip()


def _range(low: float, high: float) -> str:
    """`1.2 to 5.0 fewer`, `0.4 more to 2.0 fewer`."""
    if low >= 0:
        return f"{low:.1f} to {high:.1f} fewer"
    if high <= 0:
        return f"{-high:.1f} to {-low:.1f} more"
    return f"between {-low:.1f} more and {high:.1f} fewer: no clear effect"


def _score_words(score: ScoreEffect) -> str:
    """Whether scores improve after attention, with what scores do by themselves taken out."""
    moved = f"{abs(score.estimate):.1f} points {'more' if score.estimate >= 0 else 'less'}"
    unclear = "" if score.low > 0 or score.high < 0 else ", no clear difference"
    return (
        f"Scores rose {moved} than of those left alone ({score.low:+.1f} to"
        f" {score.high:+.1f}{unclear}). Low scores rise by themselves; that is taken out."
    )


def _share(events: int, rows: int) -> str:
    return f"{events:,} of {rows:,} ({100 * events / rows:.1f}%)"


def _when_known(each: PlayEffect, *, is_declared: bool | None) -> list[str]:
    points = f"{100 * WITHIN:.0f} percentage points"
    if each.known_in_months is not None:
        return [
            f"At the present pace ({each.per_arm_per_month:.0f} accounts a month on each side) you"
            f" will know what this play does to within {points}"
            f" {counted(each.known_in_months, 'month')} after its first assignment."
        ]
    if not np.isnan(each.per_arm_per_month) and each.effect.untreated:
        return [f"At the present pace even ten years will not tell to within {points}."]
    if is_declared is None:
        return ["A random draw would tell: declare the play under [[plays]]."]
    lot = "The random draw of the worklist will tell, once its first outcomes are known."
    return [lot] if is_declared else []


def effects_json(report: EffectsReport) -> dict[str, Any]:
    """Everything as plain values."""
    rows = effect_rows(report).drop(columns="target").astype(object)
    return {
        "target": report.target,
        "horizon_days": report.horizon_days,
        "data_until": report.until,
        "plays": rows.where(rows.notna(), None).to_dict("records"),
    }
