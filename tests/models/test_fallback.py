"""Where a feed does not come, a model that never read it speaks: better than the model in use with
nothing in it.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.definition import Signal
from features.errors import ArtifactMismatch
from models.bundle import Bundle, pack_bundle, read_bundle, unpack_bundle, write_bundle
from models.dataset import TrainingSet, training_set
from models.fallback import check_fallbacks, fit_fallbacks, heavy_sources
from models.health import scale_from_anchors
from models.plan import TrainingPlan
from models.training import TrainingResult, train

PLAN = TrainingPlan(trials=0, threads=1, folds=2, max_trees=40, bags=1)


@pytest.fixture(scope="module")
def rows() -> TrainingSet:
    """400 accounts on 14 dates: `use` decides, `mail` tells nearly the same, `noise` nothing."""
    random = np.random.default_rng(5)
    accounts, dates = 400, pd.date_range("2024-01-07", periods=14, freq="28D")
    use = np.cumsum(random.normal(scale=0.7, size=(len(dates), accounts)), axis=0)
    mail = use + random.normal(scale=0.8, size=use.shape)
    noise = random.normal(size=use.shape)
    keys = pd.DataFrame(
        [(f"A-{n:03d}", d) for d in dates for n in range(accounts)], columns=["account_id", "as_of"]
    )
    keys = keys.assign(
        label_until=keys["as_of"] + pd.Timedelta(days=28), is_test=keys["as_of"] >= dates[-3]
    )
    features = pd.DataFrame({"use": use.ravel(), "mail": mail.ravel(), "noise": noise.ravel()})
    chance = 1 / (1 + np.exp(1.5 + 1.5 * features["use"]))
    labels = (random.random(len(keys)) < chance).to_numpy().astype(np.int8)
    sources = {"use": "usage", "mail": "touchpoints", "noise": "tickets"}
    signals = [
        Signal(name, name, "usage", source, "a number", "number", "{value}")
        for name, source in sources.items()
    ]
    return training_set(keys, features, labels, signals)


@pytest.fixture(scope="module")
def trained(rows: TrainingSet) -> TrainingResult:
    return train(rows, PLAN)


def test_a_heavy_source_has_a_model_without_it_and_a_light_one_has_none(
    rows: TrainingSet, trained: TrainingResult
) -> None:
    assert heavy_sources(trained.model, rows, ())[0] == "usage"
    assert "tickets" not in heavy_sources(trained.model, rows, ())
    assert "usage" not in heavy_sources(trained.model, rows, ["usage"])
    fallbacks = fit_fallbacks(trained.model, rows, PLAN, ())
    assert "usage" in fallbacks and "use" not in fallbacks["usage"].columns
    low, high = fallbacks["usage"].interval(rows.test.features)
    assert np.isfinite(low).all() and (low < high).all()


def test_a_fallback_never_looks_at_the_test(rows: TrainingSet, trained: TrainingResult) -> None:
    is_test = rows.keys["is_test"].to_numpy(dtype=bool)
    turned = replace(rows, labels=np.where(is_test, 1 - rows.labels, rows.labels).astype(np.int8))
    one = fit_fallbacks(trained.model, rows, PLAN, ())["usage"]
    other = fit_fallbacks(trained.model, turned, PLAN, ())["usage"]
    features = rows.test.features
    assert np.array_equal(one.probability(features), other.probability(features))


def test_the_fallback_beats_the_emptied_model_and_the_constant(
    rows: TrainingSet, trained: TrainingResult
) -> None:
    fallbacks = fit_fallbacks(trained.model, rows, PLAN, ())
    checks = check_fallbacks(trained.model, fallbacks, trained.baselines, rows, ())
    usage = next(each for each in checks if each.source == "usage")
    assert usage.refused == ()
    assert usage.compared.log_loss < usage.emptied - 0.01
    assert usage.compared.log_loss < usage.constant - 0.01
    assert usage.compared.difference.low > 0  # it costs something to do without
    assert "speaks for accounts where usage did not come" in usage.words
    random = np.random.default_rng(1)
    worthless = rows.features.assign(mail=random.normal(size=len(rows)))
    other = replace(rows, features=worthless)
    checks = check_fallbacks(
        trained.model,
        fit_fallbacks(trained.model, other, PLAN, ["touchpoints"]),
        trained.baselines,
        other,
        (),
    )
    assert checks[0].refused and "it is not used" in checks[0].words


def test_without_a_light_source_the_model_itself_speaks_and_reads_nothing_of_it(
    rows: TrainingSet, trained: TrainingResult
) -> None:
    fallbacks = fit_fallbacks(trained.model, rows, PLAN, ())
    checks = check_fallbacks(trained.model, fallbacks, trained.baselines, rows, ["touchpoints"])
    tickets = next(each for each in checks if each.source == "tickets")
    assert "touchpoints" not in {each.source for each in checks} - set(fallbacks)
    assert not tickets.has_own_model and tickets.refused == () and tickets.signals == 2
    assert "the model with its signals unknown" in tickets.words
    bundle = Bundle(trained.model, None, scale_from_anchors(0.4, 0.1), {}, fallbacks=fallbacks)
    speaks = bundle.without("tickets")
    assert speaks is not None and speaks.model.absent == {"noise"}
    assert speaks.model_version == bundle.model_version  # the same model, told less
    empty = rows.features.assign(noise=np.nan)
    assert np.array_equal(speaks.model.margin(rows.features), trained.model.margin(empty))
    base, phi = speaks.model.contributions(rows.features)
    np.testing.assert_allclose(base + phi.sum(axis=1), trained.model.margin(empty), atol=1e-9)
    stated = Bundle(trained.model, None, bundle.scale, {}, basis="scorecard")
    assert stated.without("tickets") is None


def test_fallbacks_travel_with_the_bundle(
    rows: TrainingSet, trained: TrainingResult, tmp_path: Path
) -> None:
    fallbacks = fit_fallbacks(trained.model, rows, PLAN, ())
    bundle = Bundle(trained.model, None, scale_from_anchors(0.4, 0.1), {}, fallbacks=fallbacks)
    folder = write_bundle(bundle, tmp_path / "bundle")
    packed = pack_bundle(folder, tmp_path / "model.zip")
    read = unpack_bundle(packed, tmp_path / "unpacked")
    speaks, expected = read.without("usage"), fallbacks["usage"]
    assert speaks is not None and not speaks.model.absent
    assert np.array_equal(
        speaks.model.probability(rows.features), expected.probability(rows.features)
    )
    [first, *_] = sorted(folder.glob("fallback_*/hashes.json"))
    first.write_text(first.read_text() + " ")
    with pytest.raises(ArtifactMismatch, match="is not what was written"):
        read_bundle(folder)
