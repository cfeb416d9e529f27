"""Pages of the dashboard that are drawn once for a run: the executive's page, renewals, plays,
comparisons, the model, metrics, the use of data.

Each is a fragment of HTML; the server draws the frame around it. A page whose table was never made
says which command makes it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from markupsafe import Markup

from features.metrics import METRICS
from models.changes import CAUSES_IN_WORDS
from models.figures import side_by_side
from models.health.scale import BANDS_IN_WORDS
from models.health.standing import standing
from models.peers import Peer
from models.target_words import TARGET_WORDS, TargetWords
from pipeline.dashboard.questions import address
from pipeline.edge.text import visible
from pipeline.jobs.customer_boards import CustomerBoards, Drawn, SegmentLoad
from pipeline.jobs.data_use import DataUse
from pipeline.jobs.forecast import ALL as EVERY_SEGMENT
from pipeline.jobs.funnel import FunnelReport
from pipeline.jobs.monitor import EVERY_ACCOUNT
from pipeline.jobs.portfolio_metrics import ALL as EVERY_CUSTOMER
from pipeline.jobs.signal_links import EARLIER, LATER
from pipeline.reports.outcomes import first_words, overall_words
from pipeline.reports.portfolio import PortfolioInputs, band_tiles
from pipeline.reports.render import counted, day, money, percent, render, short_money

EVERYBODY, COMPANY, BY_NAME = "everybody", "company", "by name"
"""Who may see a page: every role; who sees sums of all accounts; who sees all accounts by name."""
_QUARTERS, _MONTHS_AHEAD = 4, 12
_MOST_LINKS, _MOST_ADVOCATES = 12, 100
_USE = ("usage", "engagement", "adoption")
_FARED = {"kept": "as before", "lost": "tells nothing any more", "turned": "the other way round"}


@dataclass(frozen=True)
class SectionInputs:
    """A heading, sentences, numbers to read first, and a table.

    `figures` are a number and what it is; columns that start with `#` hold numbers.
    """

    title: str = ""
    lines: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[Any, ...], ...] = ()
    note: str = ""
    figures: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class BoardInputs:
    """What the pages are made of; a table that was never made is None.

    Parameters
    ----------
    portfolio
        What the first page of the run is made of.
    first_page, card
        That page and the model card, drawn.
    renewals, effects, metrics, monitor
        Published tables of the run, or of the target.
    causes
        What moved scores since the run before: cause, accounts it moved up and down.
    owners, segments
        Who left on the test dates beside who was to be expected.
    data_use
        The statement of the project.
    """

    portfolio: PortfolioInputs
    first_page: str
    card: str
    renewals: pd.DataFrame | None
    effects: pd.DataFrame | None
    metrics: pd.DataFrame | None
    monitor: pd.DataFrame | None
    causes: pd.DataFrame | None
    owners: tuple[Peer, ...] | None
    segments: tuple[Peer, ...] | None
    data_use: DataUse
    customers: CustomerBoards
    metric_owners: Mapping[str, str]
    """Metric -> who answers for it, where the project says so."""


@dataclass(frozen=True)
class Board:
    """One page: its name in addresses, its title, who may see it, and its HTML."""

    name: str
    title: str
    audience: str
    html: str


def board_pages(inputs: BoardInputs) -> tuple[Board, ...]:
    """Every page, in the order of the menu."""
    words = TARGET_WORDS[inputs.portfolio.target_kind]
    return (
        _board("executive", "On one screen", COMPANY, executive_sections(inputs, words)),
        _board("renewals", "Renewals by month", COMPANY, renewal_sections(inputs.renewals)),
        _board("plays", "Plays, and what they do", COMPANY, play_sections(inputs.effects, words)),
        _board("compare", "Owners and segments compared", BY_NAME, _compared(inputs, words)),
        Board("trust", "Can I believe it?", BY_NAME, trust_page(inputs.first_page)),
        Board(
            "model",
            "The model",
            EVERYBODY,
            _html(monitor_sections(inputs.monitor, words))
            + "<h2>How it was made and tested</h2>"
            + inner_page(inputs.card),
        ),
        _board(
            "onboarding",
            "Onboarding, step by step",
            COMPANY,
            onboarding_sections(inputs.customers.onboarding, words),
        ),
        _board(
            "use",
            "What they use, and who stays",
            COMPANY,
            use_sections(inputs.customers.links, inputs.metrics, words),
        ),
        _board("support", "Support load", COMPANY, support_sections(inputs.customers.load)),
        _drawn(
            "patterns",
            f"What accounts that {words.past} have in common",
            COMPANY,
            inputs.customers.patterns,
        ),
        _drawn("pulse", "What managers say, and the score", BY_NAME, inputs.customers.pulse),
        _board(
            "advocates",
            "Who may speak for you",
            BY_NAME,
            advocate_sections(inputs.customers.advocates),
        ),
        _board(
            "metrics",
            "Metrics and what they mean",
            EVERYBODY,
            metric_sections(inputs.metrics, inputs.metric_owners),
        ),
        _board("data-use", "What data is used, and why", EVERYBODY, _data_use(inputs.data_use)),
    )


def inner_page(page: str) -> str:
    """What stands in the main part of a page of ours."""
    return page.split("<main>", 1)[1].rsplit("</main>", 1)[0]


def trust_page(page: str) -> str:
    """What the first page of a run says of whether to believe it."""
    return '<section id="trust">' + inner_page(page).split('<section id="trust">', 1)[1]


def executive_sections(inputs: BoardInputs, words: TargetWords) -> list[SectionInputs]:
    """Value by band with its movement, the months ahead, how right we have been, and what plays
    saved.
    """
    page = inputs.portfolio
    currency = _currency(page.portfolio)
    tiles = band_tiles(page.scores, page.portfolio, page.previous_counts)
    moved = (
        ()
        if inputs.causes is None
        else tuple(
            f"{row['accounts']:,} {'account' if row['accounts'] == 1 else 'accounts'} moved by"
            f" half a point or more because of {CAUSES_IN_WORDS.get(row['cause'], row['cause'])}."
            for row in inputs.causes.to_dict("records")
            if row["accounts"]
        )
    )
    why = moved or (
        ("This is the first run, so nothing has moved yet.",)
        if page.previous_counts is None
        else ("Why scores moved is not worked out yet: run `tenure changes`.",)
    )
    sections = [
        SectionInputs(
            "Value by band",
            why,
            ("Band", "#Accounts", "#Value per year", "#Since the last run"),
            tuple(
                (
                    BANDS_IN_WORDS.get(tile.band, tile.band).capitalize(),
                    f"{tile.accounts:,}",
                    short_money(tile.value, currency) if tile.accounts else "–",
                    "first run" if tile.change is None else _signed(tile.change),
                )
                for tile in tiles
            ),
        )
    ]
    months = renewal_sections(inputs.renewals, months=3)
    sections.append(
        SectionInputs(
            "The next three months",
            months[0].lines if not months[0].rows else (),
            months[0].columns,
            months[0].rows,
        )
    )
    sections.append(SectionInputs("How right have we been?", _how_right(inputs, words)))
    sections.append(SectionInputs("What plays saved", _saved(inputs.effects, words)))
    return sections


def renewal_sections(
    table: pd.DataFrame | None, months: int = _MONTHS_AHEAD
) -> list[SectionInputs]:
    """What comes up for renewal in money, month by month, with its interval."""
    if table is None:
        return [SectionInputs("All accounts", (_make("renewals", "tenure forecast"),))]
    every = table[table["segment"] == EVERY_SEGMENT].sort_values("month").head(months)
    if every.empty:
        return [SectionInputs("All accounts", ("No contract comes up for renewal in a year.",))]
    currency = str(every["currency"].iloc[0])
    rows = tuple(
        (
            f"{pd.Timestamp(row['month']):%B %Y}",
            money(row["value_due"], currency),
            money(row["renewed"], currency),
            f"{money(row['renewed_low'])} to {money(row['renewed_high'])}",
            money(row["lost"], currency),
        )
        for row in every.to_dict("records")
    )
    return [
        SectionInputs(
            "All accounts",
            (),
            ("Month", "#Comes up", "#Likely to renew", "#Nine times in ten", "#Likely to be lost"),
            rows,
            note=(
                "What the terms that end in a month are paid, at most a year's money of each. Money"
                " of accounts that gave notice is not in it."
            ),
        )
    ]


def play_sections(effects: pd.DataFrame | None, words: TargetWords) -> list[SectionInputs]:
    """What each play does, or why that cannot be told."""
    if effects is None:
        return [SectionInputs("", (_make("effects of plays", "tenure effects"),))]
    if effects.empty:
        return [SectionInputs("", ("No play has been recorded yet.",))]
    rows = tuple(
        (
            str(row["play"]).replace("_", " "),
            f"{int(row['treated']):,}",
            f"{int(row['untreated']):,}",
            effect_words(row, words),
        )
        for row in effects.to_dict("records")
    )
    return [
        SectionInputs(
            "What each play does",
            (),
            ("Play", "#Assigned", "#Compared with", "What it does"),
            rows,
            note=(
                "Compared by the lot near the end of the list where there is one: comparing those"
                " who were called with those who were not says nothing, because the worst are"
                " called."
            ),
        )
    ]


def effect_words(row: Any, words: TargetWords) -> str:
    """The effect of a play in one sentence, or why it is refused."""
    if row["verdict"] == "refused":
        return f"We cannot tell. {row['reason']}"
    if row["verdict"] == "association":
        return str(row["reason"])
    fewer = -100 * float(row["estimate"])
    low, high = sorted((-100 * float(row["low"]), -100 * float(row["high"])))
    return (
        f"Of 100 accounts {abs(fewer):.1f} {'fewer' if fewer >= 0 else 'more'} {words.verb}"
        f" ({low:.1f} to {high:.1f}). {row['reason']}"
    ).strip()


def monitor_sections(table: pd.DataFrame | None, words: TargetWords) -> list[SectionInputs]:
    """What the scores promise, and which sources moved them since training."""
    if table is None:
        return [SectionInputs("Since training", (_make("monitoring", "tenure monitor"),))]
    sources = table[table["what"] == "source_points"]
    expected = table[(table["what"] == "expected_leavers") & (table["segment"] == EVERY_ACCOUNT)]
    lines = tuple(
        f"The scores expect {row['value']:.0f} accounts to {words.verb} ({row['low']:.0f} to"
        f" {row['high']:.0f})."
        for row in expected.to_dict("records")
    )
    rows = tuple(
        (str(row["segment"]).replace("_", " "), f"{row['value']:+.1f}", str(row["verdict"]))
        for row in sources.sort_values("value", key=abs, ascending=False).to_dict("records")
    )
    return [
        SectionInputs(
            "Since training",
            lines or ("What moved the mean score since the model was trained, by source.",),
            ("Source", "#Points of the mean score", "Verdict"),
            rows,
        )
    ]


def onboarding_sections(report: FunnelReport | str, words: TargetWords) -> list[SectionInputs]:
    """Who reaches each step in time, late or never, and who left of those who missed it."""
    if isinstance(report, str):
        return [SectionInputs("", (report,))]
    telling = [step for step in report.steps if step.tells]
    lines = tuple(
        f"{step.name.replace('_', ' ').capitalize()}: of those who had not reached it when it was"
        f" due {percent(step.left_missed)} {words.past}, of the others"
        f" {percent(step.left_in_time)}. Look at this step first; it need not be the cause."
        for step in telling
    ) or (f"No step tells who {words.past}: chance alone gives differences like these.",)
    return [
        SectionInputs(
            "",
            lines,
            (
                "Step",
                "#Due after",
                "#Accounts",
                "#In time",
                "#Late",
                "#Never",
                f"#{words.past.capitalize()}, in time",
                f"#{words.past.capitalize()}, missed",
            ),
            tuple(
                (
                    step.name.replace("_", " "),
                    counted(step.due_after_days, "day"),
                    f"{step.accounts:,}",
                    percent(step.in_time / step.accounts),
                    percent(step.late / step.accounts),
                    percent(step.never / step.accounts),
                    _with_range(step.left_in_time, step.left_in_time_low, step.left_in_time_high),
                    _with_range(step.left_missed, step.left_missed_low, step.left_missed_high),
                )
                for step in report.steps
            ),
            note="Accounts that were customers on the day a step was due.",
        )
    ]


def _with_range(share: float, low: float, high: float) -> str:
    if share != share:
        return "not known"
    return f"{percent(share)} ({100 * low:.0f}–{100 * high:.0f}%)"


def use_sections(
    links: pd.DataFrame | None, metrics: pd.DataFrame | None, words: TargetWords
) -> list[SectionInputs]:
    """What goes with staying among what customers use, and who stayed by segment."""
    caveat = (
        "What customers who stay use more is not yet what keeps them: who is content uses more of"
        " everything. Before you build on it, try it with some accounts and not with others."
    )
    title = f"Use that tells who {words.past} later"
    if links is None:
        return [
            SectionInputs(title, (_make("links of signals", "tenure metrics"),)),
            *_retention(metrics),
        ]
    later = links[(links["period"] == LATER) & links["dimension"].isin(_USE)]
    known = later.dropna(subset=["auc"])
    telling = known[(known["auc_low"] > 0.5) | (known["auc_high"] < 0.5)]
    largest = (
        telling.loc[(telling["auc"] - 0.5).abs().sort_values(ascending=False, kind="stable").index]
        .drop_duplicates("driver")  # of one measure over several windows the one that tells most
        .head(_MOST_LINKS)
    )
    earlier = links[links["period"] == EARLIER].set_index("signal")["auc"]
    rows = tuple(
        (
            str(row["meaning"]),
            "less" if row["auc"] < 0.5 else "more",
            f"{_pairs(row['auc'])} in 100 ({_pairs_range(row['auc_low'], row['auc_high'])})",
            "–"
            if pd.isna(earlier.get(row["signal"]))
            else f"{_pairs(earlier[row['signal']])} in 100",
            _FARED.get(str(row["state"]), ""),
        )
        for row in largest.to_dict("records")
    )
    nothing = f"No use told who {words.past} by more than chance."
    return [
        SectionInputs(
            title,
            (caveat,) if rows else (nothing,),
            ("What they use", f"Who {words.past} had", "#Right in pairs", "#Before", "Since"),
            rows,
            note=(
                f"Of a pair of accounts, one that {words.past} and one that {words.opposite}: how"
                " often this number alone picks the right one; 50 in 100 is a coin. Pairs are of"
                " the later half of the dates, before it the earlier half."
            ),
        ),
        *_retention(metrics),
    ]


def _pairs(auc: float) -> str:
    return f"{100 * max(auc, 1 - auc):.0f}"


def _pairs_range(low: float, high: float) -> str:
    ends = (low, high) if low > 0.5 else (1 - high, 1 - low)
    return f"{100 * ends[0]:.0f}–{100 * min(ends[1], 1.0):.0f}"


def _retention(metrics: pd.DataFrame | None) -> list[SectionInputs]:
    """Customers who stayed, by segment and quarter: as they are, and as they signed up."""
    title = "Customers who stayed, by segment"
    if metrics is None:
        return [SectionInputs(title, (_make("metrics", "tenure metrics"),))]
    note = "Segments as at the end of each quarter; customers at its start in brackets."
    first = (
        "Segments as accounts first had them: what to know before more of a kind are sold to."
        " Customers at the start of each quarter in brackets."
    )
    signed_up = metrics[metrics["metric"] == "churn_rate_by_first_segment"]
    return [
        _stayed_by(title, metrics[metrics["metric"] == "logo_churn_rate"], note),
        *(
            [_stayed_by("Customers who stayed, by the segment they signed up in", signed_up, first)]
            if len(signed_up)
            else []
        ),
    ]


def _stayed_by(title: str, lost: pd.DataFrame, note: str) -> SectionInputs:
    quarters = sorted(lost["period_start"].unique())[-_QUARTERS:]
    rows = []
    for segment, mine in lost.groupby("segment", sort=False):
        values = {row["period_start"]: row for row in mine.to_dict("records")}
        name = "all customers" if segment == EVERY_CUSTOMER else str(segment)
        rows.append((name, *(_stayed(values.get(each)) for each in quarters)))
    columns = ("Segment", *(f"#from {day(each)}" for each in quarters))
    return SectionInputs(title, (), columns, tuple(rows), note=note)


def _stayed(row: Any) -> str:
    if row is None or pd.isna(row["value"]):
        return "–"
    return f"{percent(1 - row['value'], 1)} ({int(row['denominator']):,})"


def support_sections(load: tuple[SegmentLoad, ...] | str) -> list[SectionInputs]:
    """Tickets by segment, and what the same time ahead will bring."""
    if isinstance(load, str):
        return [SectionInputs("", (load,))]
    days = load[0].days
    every = load[0].load
    share = load[0].at_risk / every.tickets if every.tickets else 0.0
    lines = (
        f"{percent(share)} of the tickets of the last {days} days came from accounts at risk."
        if every.tickets
        else f"No ticket was opened in the last {days} days.",
    )
    return [
        SectionInputs(
            "",
            lines,
            (
                "Segment",
                "#Accounts",
                f"#Tickets in {days} days",
                "#Per 100 accounts",
                f"#The next {days} days",
                "#Open now",
            ),
            tuple(
                (
                    each.segment,
                    f"{each.load.accounts:,}",
                    f"{each.load.tickets:,.0f}",
                    f"{100 * each.load.tickets / each.load.accounts:,.0f}"
                    if each.load.accounts
                    else "–",
                    "not known"
                    if pd.isna(each.load.low)
                    else f"{each.load.low:,.0f} to {each.load.high:,.0f}",
                    "–" if pd.isna(each.open) else f"{each.open:,.0f}",
                )
                for each in load
            ),
            note=(
                "What the next days bring holds 95 times in 100 if accounts go on as they did and"
                " none come or go. Accounts whose tickets are not known are left out."
            ),
        )
    ]


def advocate_sections(rows: pd.DataFrame | str) -> list[SectionInputs]:
    """Healthy accounts of which somebody said that they are content."""
    if isinstance(rows, str):
        return [SectionInputs("", (rows,))]
    who = counted(len(rows), "account")
    lines = [f"{who} may speak for you; ask their managers first."]
    if len(rows) > _MOST_ADVOCATES:
        lines.append(f"The first {_MOST_ADVOCATES} are here; `tenure advocates` lists all.")
    return [
        SectionInputs(
            "",
            tuple(lines),
            ("Account", "Owner", "#Value per year", "#Score", "What speaks for it"),
            tuple(
                (
                    _linked(str(row["account_id"]), row["name"]),
                    row["owner"] if isinstance(row["owner"], str) else "no owner",
                    "unknown" if pd.isna(row["value_per_year"]) else money(row["value_per_year"]),
                    f"{row['health']:.0f}",
                    row["signs"],
                )
                for row in rows.head(_MOST_ADVOCATES).to_dict("records")
            ),
            note=(
                "Healthy accounts of which a survey or their manager said so, with a second sign:"
                " a high score alone may be a quiet account without a reason to leave."
            ),
        )
    ]


def _linked(account_id: str, name: Any) -> Markup:
    """The name of an account, which leads to its page."""
    shown = name if isinstance(name, str) and name else account_id
    return Markup('<a href="{}">{}</a>').format(address(account_id), visible(shown))


def _drawn(name: str, title: str, audience: str, page: Drawn | None) -> Board:
    """A page that a command drew, as it is."""
    if page is None:
        lines = (f"It is not drawn yet. Run `tenure {name} --page`, then `tenure pages`.",)
        return _board(name, title, audience, [SectionInputs("", lines)])
    when = _html([SectionInputs("", (f"As `tenure {name}` drew it on {day(page.on)}.",))])
    return Board(name, title, audience, when + inner_page(page.html))


def metric_sections(table: pd.DataFrame | None, owners: Mapping[str, str]) -> list[SectionInputs]:
    """Metrics by quarter, and what each means and who answers for it."""
    unowned = [metric.name for metric in METRICS if metric.name not in owners]
    dictionary = SectionInputs(
        "What each one means, and who answers for it",
        (f"{counted(len(unowned), 'metric')} without an owner: name them in `[metrics] owners`.",)
        if unowned
        else (),
        ("Metric", "Owner", "Meaning", "Divided", "By", "Unit"),
        tuple(
            (
                metric.name.replace("_", " "),
                owners.get(metric.name, "not named"),
                metric.meaning,
                metric.numerator,
                metric.denominator,
                metric.unit,
            )
            for metric in METRICS
        ),
    )
    if table is None:
        return [SectionInputs("By quarter", (_make("metrics", "tenure metrics"),)), dictionary]
    every = table[table["segment"] == EVERY_CUSTOMER]
    quarters = sorted(every["period_start"].unique())[-_QUARTERS:]
    rows = []
    for (name, wording), mine in every.groupby(["metric", "wording"], sort=False):
        values = {row["period_start"]: row for row in mine.to_dict("records")}
        cells = [_figure(values[each]) if each in values else "–" for each in quarters]
        label = str(name).replace("_", " ") + (f" ({wording})" if wording else "")
        rows.append((label, *cells))
    columns = ("Metric", *(f"#from {day(each)}" for each in quarters))
    return [SectionInputs("By quarter", (), columns, tuple(rows)), dictionary]


def _figure(row: Any) -> str:
    value, unit = row["value"], row["unit"]
    if pd.isna(value):
        return "–"
    return (
        percent(value, 1)
        if unit == "share"
        else f"{value:,.1f}"
        if unit == "points"
        else (f"{value:,.0f}")
    )


def _compared(inputs: BoardInputs, words: TargetWords) -> list[SectionInputs]:
    page = inputs.portfolio
    counts = (
        page.scores[["account_id"]]
        .assign(band=standing(page.scores))
        .merge(page.portfolio[["account_id", "segment"]], on="account_id", how="left")
        .assign(segment=lambda rows: rows["segment"].fillna("no segment"))
        .pivot_table(index="segment", columns="band", values="account_id", aggfunc="count")
        .fillna(0)
        .astype(int)
    )
    bands = [band for band in BANDS_IN_WORDS if band in counts]
    money_of = page.portfolio.assign(segment=page.portfolio["segment"].fillna("no segment"))
    value = money_of.groupby("segment")["value_per_year"].sum(min_count=1)
    growth, currency = growth_by_segment(inputs.metrics), _currency(page.portfolio)
    sections = [
        SectionInputs(
            "Segments by band",
            (),
            (
                "Segment",
                *(f"#{BANDS_IN_WORDS[band].capitalize()}" for band in bands),
                "#Value per year",
                "#Paid against a year before",
            ),
            tuple(
                (
                    str(name),
                    *(f"{counts[b].loc[name]:,}" for b in bands),
                    short_money(value.get(name), currency),
                    growth.get(str(name), "not known"),
                )
                for name in [*counts.index]
            ),
            note=(
                "Paid against a year before: what all customers of a segment pay a month at the end"
                " of the last quarter, beside four quarters earlier."
                + (" " + _make("metrics", "tenure metrics") if inputs.metrics is None else "")
            ),
        )
    ]
    for title, peers, by in (
        ("Owners, on the accounts they have", inputs.owners, "owner"),
        ("Segments, on the accounts they have", inputs.segments, "segment"),
    ):
        sections.append(
            SectionInputs(title, (_make("comparison", f"tenure peers --by {by}"),))
            if peers is None
            else SectionInputs(
                title,
                (
                    "Who has harder accounts loses more of them. So each is compared with what was"
                    " to be expected of such accounts; about one in 20 stands out by chance alone.",
                ),
                (
                    by.capitalize(),
                    "#Accounts",
                    f"#{words.past.capitalize()}",
                    "#Expected",
                    "#By chance",
                    "Verdict",
                ),
                tuple(
                    (
                        peer.group,
                        f"{peer.accounts:,}",
                        f"{peer.left:,}",
                        f"{peer.expected:.1f}",
                        f"{peer.chance_low} to {peer.chance_high}",
                        peer.standing,
                    )
                    for peer in peers
                ),
            )
        )
    return sections


def growth_by_segment(metrics: pd.DataFrame | None) -> dict[str, str]:
    """Segment -> how what its customers pay moved in four quarters; those without both are left
    out.
    """
    if metrics is None:
        return {}
    paid = metrics[metrics["metric"] == "monthly_revenue"].dropna(subset=["value"])
    ends = sorted(metrics["period_start"].unique())
    if len(ends) <= _QUARTERS:
        return {}
    now, before = (
        paid[paid["period_start"] == ends[at]].set_index("segment")["value"]
        for at in (-1, -1 - _QUARTERS)
    )
    return {
        str(segment): f"{100 * (value / before[segment] - 1):+.0f}%".replace("-", "−")
        for segment, value in now.items()
        if before.get(segment, 0) > 0
    }


def _data_use(statement: DataUse) -> list[SectionInputs]:
    personal = tuple(each for each in statement.fields if each.is_personal)
    return [
        SectionInputs("What the scores are for", (), ("Target", "Purpose"), statement.purposes),
        SectionInputs("What is read", (), ("Source", "Read from", "For"), statement.sources),
        SectionInputs(
            "Fields about people",
            () if personal else ("None is read.",),
            ("Source", "Field", "Meaning"),
            tuple((each.source, each.column, each.meaning) for each in personal),
        ),
        SectionInputs("How long it is kept", statement.kept),
        SectionInputs("What leaves this machine", statement.leaves),
    ]


def _how_right(inputs: BoardInputs, words: TargetWords) -> tuple[str, ...]:
    page = inputs.portfolio
    lines = []
    if page.earlier is not None:
        lines += overall_words(page.earlier, words) or [first_words(page.earlier)]
    if page.test is not None:
        figures = side_by_side(page.test)
        if figures.get("auc") is not None:
            lines.append(
                f"In the test, given one customer who {words.past} and one who {words.opposite}, it"
                f" picked the right one {100 * float(figures['auc']):.0f} times in 100."
            )
    return tuple(lines) or ("Not known yet: no score is old enough to be judged.",)


def _saved(effects: pd.DataFrame | None, words: TargetWords) -> tuple[str, ...]:
    if effects is None:
        return ("Not known yet: run `tenure effects` to see what plays do.",)
    known = effects[effects["verdict"] == "effect"]
    if known.empty:
        months = effects["known_in_months"].dropna()
        when = (
            f" At the present pace it will be known in {int(months.min())} months."
            if len(months)
            else " No lot or holdout has run long enough to tell."
        )
        return (f"Not known yet.{when}",)
    return tuple(
        f"{str(row['play']).replace('_', ' ').capitalize()}: {effect_words(row, words)}"
        for row in known.to_dict("records")
    )


def _board(name: str, title: str, audience: str, sections: Sequence[SectionInputs]) -> Board:
    return Board(name, title, audience, _html(sections))


def _html(sections: Sequence[SectionInputs]) -> str:
    return render("_board.html.j2", sections=sections)


def _make(what: str, command: str) -> str:
    return f"There is no table of {what} yet. Run `{command}` to make it, then `tenure pages`."


def _signed(change: int) -> str:
    return f"{change:+,d}".replace("-", "−") if change else "0"


def _currency(portfolio: pd.DataFrame) -> str:
    known = portfolio["currency"].dropna()
    return str(known.mode().iloc[0]) if len(known) else ""
