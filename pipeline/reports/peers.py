"""Owners or segments side by side: for a terminal and as plain values."""

from dataclasses import asdict
from typing import Any

from rich.table import Table
from rich.text import Text

from models.target_words import TargetWords
from pipeline.jobs.peers import PeersReport
from pipeline.reports.render import counted, day


def peers_lines(report: PeersReport, words: TargetWords) -> list[Any]:
    """Renderables: who stands out, then everybody."""
    out = [peer for peer in report.peers if peer.standing != "as expected"]
    lines: list[Any] = [
        Text(
            f"{report.target} by {report.by}, test dates {day(report.dates[0])} to"
            f" {day(report.dates[-1])}",
            style="bold",
        )
    ]
    lines += [
        Text(
            f"{peer.group}: {peer.left} of {counted(peer.accounts, 'account')} {words.past};"
            f" {peer.chance_low} to {peer.chance_high} were to be expected with such accounts."
        )
        for peer in out
    ] or [Text("Nobody stands out: with accounts like these, chance alone gives such numbers.")]
    if out:
        lines.append(
            Text(
                f"About one {report.by} in 20 stands out by chance alone. Look at the accounts"
                " before you judge."
            )
        )
    table = Table(box=None, pad_edge=False)
    for name in (report.by, "accounts", words.past, "expected", "by chance", "ratio", "95%"):
        table.add_column(name, justify="left" if name == report.by else "right")
    for peer in report.peers:
        table.add_row(
            peer.group,
            f"{peer.accounts:,}",
            f"{peer.left:,}",
            f"{peer.expected:.1f}",
            f"{peer.chance_low}-{peer.chance_high}",
            f"{peer.ratio:.2f}",
            f"{peer.ratio_low:.2f}-{peer.ratio_high:.2f}",
        )
    return [*lines, table]


def peers_json(report: PeersReport) -> dict[str, Any]:
    """Everything as plain values."""
    return {
        "target": report.target,
        "by": report.by,
        "dates": list(report.dates),
        "peers": [{**asdict(peer), "standing": peer.standing} for peer in report.peers],
    }
