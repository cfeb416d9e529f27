"""What a careful analyst would ask of the sources before anything is learnt from them."""

from pipeline.checking.check import check_sources, refuse_training
from pipeline.checking.report import CheckReport, DateCount, Finding, SourceCheck
from pipeline.checking.text import check_text

__all__ = [
    "CheckReport",
    "DateCount",
    "Finding",
    "SourceCheck",
    "check_sources",
    "check_text",
    "refuse_training",
]
