"""`[training] cohorts`: the verdict on lines per segment is told with the model, and an unknown
attribute before the search.
"""

from pathlib import Path

import pytest
from small_company import Company

from features.errors import ContractError
from pipeline.jobs import train
from pipeline.jobs.train import train_target


def _by(company: Company, attribute: str) -> None:
    file: Path = company.folder / "tenure.toml"
    text = file.read_text()
    assert "[training]\n" in text
    file.write_text(text.replace("[training]\n", f'[training]\ncohorts = "{attribute}"\n'))


def test_what_segments_are_worth_is_told_and_kept_with_the_model(company_copy: Company) -> None:
    _by(company_copy, "segment")
    workspace, target = company_copy.workspace()
    with workspace.store.writing():
        trained = train_target(workspace, target)
    told = [note for note in trained.bundle.facts.notes if "scores by segment: " in note]
    assert len(told) == 1
    is_apart = "cohorts" in trained.bundle.model.training.recorded
    assert (
        is_apart
        == (trained.bundle.model.members[0].lines is not None)
        == told[0].startswith("scores by segment")
    )


def test_an_attribute_without_signals_is_refused_before_the_search(
    company_copy: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    _by(company_copy, "colour")
    monkeypatch.setattr(train, "train", lambda *rows, **settings: pytest.fail("the search began"))
    workspace, target = company_copy.workspace()
    with pytest.raises(ContractError, match="cohorts = 'colour' needs signals"):
        train_target(workspace, target)
