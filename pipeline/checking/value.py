"""Money per account: is there any, and for whom? Without it lists ignore money."""

from collections.abc import Iterator

from pipeline.checking.evidence import Evidence
from pipeline.checking.report import Finding
from pipeline.jobs.account_value import account_values, value_columns
from pipeline.proposing.names import MONEY_NAME

FEW_UNKNOWN = 0.1
"""Share of accounts without a value that lists can bear: they are ranked by the median."""
MANY_UNKNOWN = 0.5
SHOWN_MONEY_COLUMNS = 4


def value_findings(evidence: Evidence) -> Iterator[Finding]:
    """No money at all, or none for many of the accounts that are still there."""
    objective = evidence.workspace.project.objective
    groups = value_columns(objective, evidence.staged)
    if not groups:
        yield _no_value(evidence)
        return
    is_customer = "and has_contract" if evidence.first("subscriptions") else ""
    evidence.connection.execute(f"""
create or replace temp table asked as select account_id, {evidence.end_day} as as_of_day
from check_accounts where not coalesce(is_gone, false) {is_customer}""")
    values = account_values(evidence.connection, objective, evidence.staged)
    unknown = values.isna()
    if not len(values) or unknown.mean() <= FEW_UNKNOWN:
        return
    places = " and ".join(f"{v.source.name}.{v.column}" for group in groups for v in group)
    yield Finding(
        "value-unknown",
        "warn" if unknown.mean() > MANY_UNKNOWN else "info",
        groups[0][0].source.name if len(groups) == 1 else "",
        f"accounts that are still there have no value ({places}): lists rank them as if they were"
        " worth the median, and money at risk leaves them out",
        "Fill it for them, or name a column that knows them all:"
        ' [objective] value = "source.column".',
        int(unknown.sum()),
        len(values),
        "accounts",
        tuple(sorted(values.index[unknown])[:5]),
    )


def _no_value(evidence: Evidence) -> Finding:
    """Nothing says what accounts are worth; columns that may are named."""
    named = [
        f"{source.name}.{name}"
        for source in evidence.staged.values()
        for name, column in source.columns.items()
        if column.is_mapped and _is_money(name, column.type)
    ]
    without = 'Where there is no money, say so: [checks] accept = { no-value = "free of charge" }.'
    if named:
        others = named[1:SHOWN_MONEY_COLUMNS]
        hint = f" ({' or '.join(others)} may be it, too)" if others else ""
        todo = f'Under [objective] write value = "{named[0]}"{hint}. {without}'
    else:
        todo = (
            "Map value_per_year of accounts or amount_per_month of subscriptions, or name any"
            f' column of money: [objective] value = "source.column". {without}'
        )
    return Finding(
        "no-value",
        "warn" if named else "info",
        "",
        "no column says what an account is worth: pages show no money at risk, and lists rank by"
        " risk alone",
        todo,
    )


def _is_money(name: str, type_: str) -> bool:
    return type_ == "money" or (type_ == "number" and MONEY_NAME.search(name) is not None)
