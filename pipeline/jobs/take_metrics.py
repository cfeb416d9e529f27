"""Work out the portfolio's metrics and the links of its signals, and keep both in the store."""

from dataclasses import dataclass

import pandas as pd

from pipeline.config.schema import Target
from pipeline.engine.duckdb import Connection
from pipeline.jobs.portfolio_metrics import portfolio_metrics
from pipeline.jobs.prepare import load_training
from pipeline.jobs.signal_links import signal_links
from pipeline.jobs.stage import load_staged
from pipeline.workspace import Workspace


@dataclass(frozen=True)
class TakenMetrics:
    """What was written: tables `metrics` and `signal_links`; links None where features were not built yet."""

    metrics: pd.DataFrame
    links: pd.DataFrame | None


def take_metrics(workspace: Workspace, connection: Connection, target: Target) -> TakenMetrics:
    """Write `metrics`, and `signal_links` of the target where its features are built."""
    store = workspace.store
    metrics = portfolio_metrics(workspace, connection, load_staged(workspace, connection), target)
    store.write("metrics", metrics)
    if not store.exists(f"features_{target.name}"):
        return TakenMetrics(metrics, None)
    training, found, _ = load_training(workspace, target)
    links = signal_links(training, found.signals).assign(target=target.name)
    store.write("signal_links", links, replace=f"target = '{target.name}'", partition_by=["target"])
    return TakenMetrics(metrics, links)


def metrics_text(taken: TakenMetrics, target: Target) -> str:
    """The last four quarters for all accounts, and the signals whose link was lost or turned, for a terminal."""
    if taken.metrics.empty:
        return "no whole quarter of subscriptions or surveys yet: no metrics."
    every = taken.metrics[taken.metrics["segment"] == "all"]
    wording = every["wording"].map(lambda version: f" ({version})" if version else "")
    shown = every.assign(metric=every["metric"] + wording, text=[_said(v, u) for v, u in zip(
        every["value"], every["unit"], strict=True)])
    wide = shown.pivot(index="metric", columns="period_start", values="text").reindex(shown["metric"].unique()).iloc[:, -4:]
    lines = [f"{'quarter from':<28}" + "".join(f"{day:%Y-%m-%d}".rjust(14) for day in wide.columns)]
    lines += [f"{name:<28}" + "".join(("-" if pd.isna(v) else str(v)).rjust(14) for v in row)
              for name, row in zip(wide.index, wide.to_numpy(), strict=True)]
    return "\n".join([*lines, "", *_links_text(taken.links, target)])


def _said(value: float, unit: str) -> str:
    if pd.isna(value):
        return "-"
    return f"{value:.1%}" if unit == "share" else f"{value:,.1f}" if unit == "points" else f"{value:,.0f}"


def _links_text(links: pd.DataFrame | None, target: Target) -> list[str]:
    """Signals that no longer tell what they told."""
    if links is None:
        return [f"links of signals to {target.name}: run `tenure features --target {target.name}` first."]
    told = links[links["state"] != ""]
    counts = told["state"].value_counts()
    lines = [f"signals and {target.name}, earlier against later dates: {counts.get('kept', 0)} keep their link, "
             f"{counts.get('lost', 0)} lost it, {counts.get('turned', 0)} turned, {counts.get('none', 0)} had none"]
    for state in ("lost", "turned"):
        for signal in told.loc[told["state"] == state, "signal"]:
            before, after = links.loc[links["signal"] == signal, "auc"]
            lines.append(f"  {state}: {signal}  AUC {before:.2f}, now {after:.2f}")
    return lines
