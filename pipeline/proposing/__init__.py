"""What `tenure init` proposes: a commented tenure.toml from the tables that are there."""

from pipeline.proposing.contract_words import contract_text
from pipeline.proposing.propose import Proposal, propose

__all__ = ["Proposal", "contract_text", "propose"]
