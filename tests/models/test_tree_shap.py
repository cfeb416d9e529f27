"""SHAP from tables: against brute force over all coalitions, against `pred_contrib`, and whatever
the batch.
"""

from itertools import combinations
from math import factorial

import lightgbm as lgb
import numpy as np
import pandas as pd
import pytest

from features.errors import ArtifactMismatch
from models.methods import BoostingSettings, GradientBoosting
from models.methods import tree_shap as module
from models.methods.tree_shap import CannotExplain, TreeShap


def trained(columns, *, trees=5, leaves=8, depth=4, nulls=0.2, seed=1, rows=600, **more):
    generator = np.random.default_rng(seed)
    values = generator.normal(size=(rows, columns))
    values[generator.random(values.shape) < nulls] = np.nan
    margin = np.nan_to_num(
        values[:, 0] - values[:, 1] * values[:, 2] + 0.5 * np.isnan(values[:, 0])
    )
    labels = (generator.random(rows) < 1 / (1 + np.exp(-margin))).astype(float)
    settings = {
        "objective": "binary",
        "num_leaves": leaves,
        "max_depth": depth,
        "min_data_in_leaf": 5,
        "verbosity": -1,
        "num_threads": 1,
        "seed": seed,
        **more,
    }
    return lgb.train(settings, lgb.Dataset(values, labels, params=settings), trees), values


def expectation(node, row, known):
    """Value of a tree when only the columns in `known` are known: others are averaged by training
    counts.
    """
    if "split_index" not in node:
        return node["leaf_value"]
    column, value = node["split_feature"], row[node["split_feature"]]
    left, right = node["left_child"], node["right_child"]
    if column in known:
        if np.isnan(value) and node["missing_type"] != "NaN":
            value = 0.0
        goes_left = node["default_left"] if np.isnan(value) else value <= node["threshold"]
        return expectation(left if goes_left else right, row, known)

    def count(child):
        return child["internal_count"] if "split_index" in child else child["leaf_count"]

    both = count(left) * expectation(left, row, known) + count(right) * expectation(
        right, row, known
    )
    return both / (count(left) + count(right))


def brute_force(model, row, columns):
    """Shapley's formula, coalition by coalition."""
    phi = np.zeros(columns)
    for tree in model["tree_info"]:
        for i in range(columns):
            others = [j for j in range(columns) if j != i]
            for size in range(columns):
                weight = factorial(size) * factorial(columns - 1 - size) / factorial(columns)
                for known in combinations(others, size):
                    phi[i] += weight * (
                        expectation(tree["tree_structure"], row, {*known, i})
                        - expectation(tree["tree_structure"], row, set(known))
                    )
    return phi


@pytest.mark.parametrize("nulls", [0.0, 0.2])
@pytest.mark.parametrize("more", [{}, {"max_bin": 7}])
def test_agrees_with_brute_force_and_pred_contrib_on_small_trees(nulls, more):
    booster, values = trained(5, trees=3, nulls=nulls, **more)
    model = booster.dump_model()
    values = values[:12].copy()
    values[0] = np.nan  # nulls where training had none are read as 0
    exact = np.array([brute_force(model, row, 5) for row in values])
    assert np.abs(exact - booster.predict(values, pred_contrib=True)[:, :-1]).max() < 1e-6
    assert np.abs(exact - TreeShap(model).values(values)).max() < 1e-12


@pytest.mark.parametrize(("leaves", "depth"), [(2, 1), (15, 8), (63, 8), (31, -1)])
def test_agrees_with_pred_contrib_on_larger_models(leaves, depth):
    booster, values = trained(20, trees=25, leaves=leaves, depth=depth, rows=2000)
    gap = np.abs(
        TreeShap(booster.dump_model()).values(values)
        - booster.predict(values, pred_contrib=True)[:, :-1]
    )
    assert gap.max() < 1e-12


def test_values_do_not_move_with_the_batch_nor_with_threads(monkeypatch):
    booster, values = trained(12, trees=20, leaves=15, rows=1000)
    tables = TreeShap(booster.dump_model())
    whole = tables.values(values)
    assert (np.vstack([tables.values(values[i : i + 1]) for i in range(50)]) == whole[:50]).all()
    monkeypatch.setattr(module, "ROWS_PER_PASS", 170)
    assert (tables.values(values, threads=2) == whole).all()
    assert (tables.values(values[::-1])[::-1] == whole).all()


@pytest.mark.parametrize("bits", [(3,), (6,), (11,)])
def test_the_size_of_blocks_changes_nothing_but_rounding(bits, monkeypatch):
    booster, values = trained(12, trees=10, leaves=15, depth=8, rows=500)
    monkeypatch.setattr(module, "MOST_BITS", bits)
    gap = (
        TreeShap(booster.dump_model()).values(values)
        - booster.predict(values, pred_contrib=True)[:, :-1]
    )
    assert np.abs(gap).max() < 1e-12


def test_a_constant_tree_explains_nothing():
    booster, values = trained(3, trees=2, leaves=2, min_gain_to_split=1e9)
    assert (TreeShap(booster.dump_model()).values(values) == 0).all()


def test_what_the_tables_do_not_cover_is_refused():
    generator = np.random.default_rng(0)
    values = generator.integers(0, 5, (300, 2)).astype(float)
    settings = {
        "objective": "binary",
        "verbosity": -1,
        "min_data_in_leaf": 5,
        "num_threads": 1,
        "min_data_per_group": 1,
        "max_cat_to_onehot": 1,
        "cat_smooth": 0.0,
    }
    labels = np.isin(values[:, 0], [1, 3]).astype(float)
    categorical = lgb.train(
        settings, lgb.Dataset(values, labels, categorical_feature=[0], params=settings), 3
    )
    with pytest.raises(CannotExplain, match="categorical"):
        TreeShap(categorical.dump_model())
    zeros, _ = trained(4, zero_as_missing=True)
    with pytest.raises(CannotExplain, match="zeros"):
        TreeShap(zeros.dump_model())


def test_models_that_need_too_large_tables_are_refused(monkeypatch):
    monkeypatch.setattr(module, "TABLE_BYTES", 1000)
    with pytest.raises(CannotExplain, match="at most 0 MB"):
        TreeShap(trained(6)[0].dump_model())


def test_rows_of_other_width_are_refused():
    with pytest.raises(ArtifactMismatch, match="know 5 columns"):
        TreeShap(trained(5)[0].dump_model()).values(np.zeros((2, 4)))


def method_on(columns=8, bags=2):
    _, values = trained(columns)
    features = pd.DataFrame(values)
    labels = (np.nan_to_num(values[:, 0]) > 0.3).astype(np.int8)
    settings = BoostingSettings(trees=10, leaves=7)
    return GradientBoosting(settings, bags=bags, threads=1).fit(features, labels, ()), features


def test_bags_are_averaged_and_add_to_the_margin():
    method, features = method_on()
    base, phi = method.contributions(features)
    assert method.explained_by_ == "tables"
    assert np.abs(base + phi.sum(axis=1) - method.margin(features)).max() < 1e-9
    again = GradientBoosting.from_dict(method.to_dict())
    assert (again.contributions(features)[1] == phi).all()


def test_tables_that_differ_from_pred_contrib_are_left_and_said(monkeypatch):
    method, features = method_on()
    right = method.contributions(features)[1]
    values = TreeShap.values
    monkeypatch.setattr(TreeShap, "values", lambda self, rows, threads=1: values(self, rows) + 3e-5)
    base, phi = method.contributions(features)
    assert method.explained_by_.startswith("pred_contrib: the tables differ from it by 3e-05")
    assert np.abs(phi - right).max() < 1e-12
    assert np.abs(base + phi.sum(axis=1) - method.margin(features)).max() < 1e-9


def test_no_rows_have_no_contributions():
    method, features = method_on()
    base, phi = method.contributions(features.head(0))
    assert phi.shape == (0, 8) and np.isfinite(base)


def test_woodelf_agrees_to_float32():
    woodelf = pytest.importorskip("woodelf")
    booster, values = trained(10, trees=20, leaves=15, rows=800)
    frame = pd.DataFrame(values, columns=booster.feature_name())
    theirs = np.asarray(woodelf.WoodelfExplainer(booster).shap_values(frame, verbose=False))
    assert np.abs(theirs - TreeShap(booster.dump_model()).values(values)).max() < 2e-5
