"""Accounts that were merged into another: did their contracts move as well?"""

from collections.abc import Iterator

from features.errors import ChurnError
from features.windows import OPEN_END
from pipeline.checking.evidence import LATEST, PAID, Evidence, view
from pipeline.checking.report import Finding
from pipeline.jobs.merges import merged_accounts


def merge_findings(evidence: Evidence) -> Iterator[Finding]:
    """Contracts left under the id of an account that is asked about no more."""
    source = evidence.first("subscriptions")
    try:
        if source is None or merged_accounts(evidence.connection, evidence.staged) is None:
            return
    except ChurnError:
        return  # said where labels are counted
    cover = (
        f"select f.account_id, max(coalesce(f.ends_at, {OPEN_END})) as until_us from {view(source)}"
        f" f where {LATEST} and {PAID} group by 1"
    )
    merged = f"""(
select h.account_id, h.from_us as merged_us, own.until_us as own_until_us, kept.until_us
  as kept_until_us from holders h
left join ({cover}) own on own.account_id = h.account_id left join ({cover}) kept
  on kept.account_id = h.holder_id
where h.until_us = {OPEN_END})"""
    hits, total, examples = evidence.count(
        merged, "own_until_us > merged_us and coalesce(kept_until_us, 0) <= merged_us"
    )
    if hits:
        yield Finding(
            "merged-still-covered",
            "warn",
            source.name,
            "accounts that were merged into another have paid terms that run on under their old id,"
            " while the account that was kept has none: there is no score for such customers, and"
            " they count as leaving at the merge",
            "Load these terms under the id of the kept account.",
            hits,
            total,
            "merged accounts",
            examples,
        )
