"""Pages people read: the portfolio page and the model card, each one self-contained file."""

from pipeline.reports.model_card import ModelCardInputs, model_card
from pipeline.reports.portfolio import PortfolioInputs, portfolio_page

__all__ = ["ModelCardInputs", "PortfolioInputs", "model_card", "portfolio_page"]
