"""Exact SHAP values of LightGBM's trees from tables, for many rows: equal to `pred_contrib` to
rounding.

What a leaf gives to a signal depends on the row only through which conditions on the leaf's path
the row satisfies. So a tree is cut into blocks of a few decisions each; for every block and signal
a table holds the contribution of every pattern of answers, and a row costs one look-up per block
and signal: pattern -> contribution. Each row is summed in the order of trees and blocks, in
doubles, whatever rows stand beside it, so values do not move with the batch.

The tables follow [Lundberg2018, alg. 2] (path-dependent expectation, weights from the counts of the
training rows). For a leaf of value v whose path tests d signals, `z_j` the share of rows that goes
the path's way at all decisions on signal j, and `o_j` 1 when the row does so, else 0:

    phi_i = v (o_i - z_i) * integral over t in [0, 1] of prod_{j != i} (z_j (1 - t) + o_j t) dt

The integral writes the Shapley weights k! (d - 1 - k)! / d! as Beta functions, and Gauss-Legendre
with ceil(d / 2) points is exact for it, as it is a polynomial of degree d - 1.

References
----------
[Lundberg2018] Consistent individualized feature attribution for tree ensembles, algorithm 2.
[Nadel2025] From decision trees to Boolean logic: a fast and unified SHAP algorithm (WOODELF):
contributions as tables over decision patterns.
"""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.polynomial.legendre import leggauss

from features.errors import ArtifactMismatch
from models.methods.base import Floats

MOST_BITS = (11, 10, 9, 8)
"""Decisions per block, most first: more make fewer look-ups, until the tables leave the cache."""
TABLE_BYTES = 400 * 1024**2
"""Largest size of all tables together; a model beyond it at 8 bits is left to `pred_contrib`."""
ROWS_PER_PASS = 16_384
"""Rows whose patterns are held at a time: numpy's cost per call is spread, buffers stay in the
cache.
"""
_LEAVES_AT_ONCE = 512
_LEFT_ALWAYS = 0
Tree = Mapping[str, Any]


class CannotExplain(ArtifactMismatch):
    """Trees that the tables do not cover; `pred_contrib` explains them."""


@dataclass(frozen=True)
class _NodeSplit:
    """`column <= threshold` of one inner node, in codes of the column."""

    column: int
    threshold: float
    missing_goes_left: bool
    missing_is_zero: bool


@dataclass(frozen=True)
class _PathEdge:
    """One edge of a path: the decision, the answer that follows it, and the share of rows that
    does.
    """

    decision: int
    goes_left: bool
    share: float


@dataclass
class _Node:
    """A node with the way to it; leaves have a value and no decision."""

    path: tuple[_PathEdge, ...]
    value: float = 0.0
    decision: int = -1
    children: tuple["_Node", ...] = ()
    inside: tuple[int, ...] = ()
    """Decisions at and below this node."""
    columns: tuple[int, ...] = ()
    table: Floats = field(default_factory=lambda: np.empty((0, 0)))
    """Of a leaf: contribution per pattern (bit j: column j of `columns` goes the path's way) and
    column.
    """

    def leaves(self) -> "Iterator[_Node]":
        """Leaves below, left to right."""
        if not self.children:
            yield self
        for child in self.children:
            yield from child.leaves()


@dataclass(frozen=True)
class _TreePart:
    """A part of a tree: its decisions in order of bits, and a table over their answers for each
    column.
    """

    decisions: tuple[int, ...]
    columns: tuple[int, ...]
    tables: Floats
    """Shape (columns, 2 ** decisions)."""


@dataclass(frozen=True)
class _Coded:
    """A decision in codes: left when `codes[place] <= limit`."""

    place: int
    limit: int
    missing_goes_left: bool


class TreeShap:
    """Tables of one booster; build once, explain many rows.

    Parameters
    ----------
    model
        What `Booster.dump_model()` returns.

    Raises
    ------
    CannotExplain
        Categorical splits, linear trees, zeros read as missing, several classes, or more than
        `TABLE_BYTES` of tables.
    """

    def __init__(self, model: Tree) -> None:
        if model.get("num_tree_per_iteration", 1) != 1:
            raise CannotExplain(
                "several classes per tree are not covered; tenure's targets have two outcomes."
            )
        trees = [_parsed(each["tree_structure"]) for each in model["tree_info"]]
        bits = _bits_that_fit([root for root, _ in trees])
        self.width = int(model["max_feature_idx"]) + 1
        self._thresholds = _thresholds(decision for _, decisions in trees for decision in decisions)
        self._places = {column: place for place, column in enumerate(self._thresholds)}
        self._zero_columns = {
            d.column for _, decisions in trees for d in decisions if d.missing_is_zero
        }
        nan_columns = {
            d.column for _, decisions in trees for d in decisions if not d.missing_is_zero
        }
        if self._zero_columns & nan_columns:
            raise CannotExplain("a column is null-aware in some trees and not in others.")
        _fill_leaf_tables([leaf for root, _ in trees for leaf in root.leaves()])
        self._trees = [
            (
                [self._coded(d) for d in decisions],
                [_block(part, decisions) for part in _parts(root, bits)],
            )
            for root, decisions in trees
        ]

    def values(self, rows: Floats, *, threads: int = 1) -> Floats:
        """Contributions of shape (n_rows, n_columns), in log-odds; a row's do not depend on the
        others.
        """
        if rows.ndim != 2 or rows.shape[1] != self.width:
            raise ArtifactMismatch(
                f"rows of shape {rows.shape}, the trees know {self.width} columns."
            )
        contributions = np.zeros(rows.shape)
        starts = range(0, len(rows), ROWS_PER_PASS)
        passes = [slice(at, at + ROWS_PER_PASS) for at in starts]
        pieces = [(rows[each], contributions[each]) for each in passes]
        if threads <= 1 or len(pieces) == 1:
            for piece in pieces:
                self._explain(*piece)
        else:  # numpy lets go of the interpreter's lock inside its loops, where the time is spent
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(lambda piece: self._explain(*piece), pieces))
        return contributions

    def _explain(self, rows: Floats, contributions: Floats) -> None:
        """Add the contributions of `rows` into `contributions`, tree by tree."""
        right, left = self._codes(rows)
        phi = np.zeros((len(self._places), len(rows)))
        answers = np.empty(
            (max((len(d) for d, _ in self._trees), default=0), len(rows)), dtype=np.uint8
        )
        column_points, shifted = np.empty(len(rows)), np.empty(len(rows), dtype=np.uint8)
        for decisions, blocks in self._trees:
            for answer, each in zip(answers, decisions, strict=False):
                codes = left if each.missing_goes_left else right
                np.less_equal(codes[each.place], each.limit, out=answer.view(np.bool_))
            for block in blocks:
                pattern = _pattern(answers, block.decisions, shifted)
                for column, table in zip(block.columns, block.tables, strict=True):
                    np.take(
                        table, pattern, out=column_points, mode="clip"
                    )  # "raise" would copy through a buffer
                    phi[self._places[column]] += column_points
        for column, place in self._places.items():
            contributions[:, column] = phi[place]

    def _codes(self, rows: Floats) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.uint16]]:
        """Place of each value among its column's thresholds, from 1; a missing one goes right, or
        left.
        """
        right = np.empty((len(self._places), len(rows)), dtype=np.uint16)
        left = np.empty_like(right)
        for column, place in self._places.items():
            thresholds, values = self._thresholds[column], rows[:, column]
            missing = np.isnan(values)
            if column in self._zero_columns:  # LightGBM saw no null in training and reads it as 0
                values, missing = np.where(missing, 0.0, values), np.zeros_like(missing)
            right[place] = np.searchsorted(thresholds, values, side="left") + 1
            left[place] = right[place]
            right[place][missing] = len(thresholds) + 1
            left[place][missing] = _LEFT_ALWAYS
        return right, left

    def _coded(self, decision: _NodeSplit) -> _Coded:
        limit = (
            int(np.searchsorted(self._thresholds[decision.column], decision.threshold, side="left"))
            + 1
        )
        return _Coded(self._places[decision.column], limit, decision.missing_goes_left)


def _pattern(
    answers: npt.NDArray[np.uint8], decisions: tuple[int, ...], shifted: npt.NDArray[np.uint8]
) -> npt.NDArray[np.intp]:
    """Answers of a block as one number per row, the first decision in the lowest bit."""
    pattern = np.zeros(len(shifted), dtype=np.intp)
    for start in range(
        0, len(decisions), 8
    ):  # bytes are eight times as many per instruction as whole numbers
        byte = np.zeros(len(shifted), dtype=np.uint8)
        for bit, decision in enumerate(decisions[start : start + 8]):
            np.left_shift(answers[decision], bit, out=shifted)
            np.bitwise_or(byte, shifted, out=byte)
        pattern |= byte.astype(np.intp) << start
    return pattern


def _parsed(structure: Tree) -> tuple[_Node, list[_NodeSplit]]:
    """A tree of LightGBM's dump as nodes that know their paths, and its decisions."""
    decisions: list[_NodeSplit] = []

    def node(at: Tree, path: tuple[_PathEdge, ...]) -> _Node:
        if "split_index" not in at:
            if "leaf_coeff" in at:
                raise CannotExplain("linear trees are not covered.")
            return _Node(path, float(at["leaf_value"]))
        if min(_rows(at["left_child"]), _rows(at["right_child"])) <= 0:
            raise CannotExplain("a branch counts no training rows, so its weight is not known.")
        number = len(decisions)
        decisions.append(_decision(at))
        children = tuple(
            node(at[side], (*path, _PathEdge(number, goes_left, _rows(at[side]) / _rows(at))))
            for side, goes_left in (("left_child", True), ("right_child", False))
        )
        inside = (number, *(each for child in children for each in child.inside))
        return _Node(path, decision=number, children=children, inside=inside)

    root = node(structure, ())
    for leaf in root.leaves():
        leaf.columns = tuple(dict.fromkeys(decisions[step.decision].column for step in leaf.path))
        leaf.table = np.array([[_share(leaf, column, decisions) for column in leaf.columns]])
    return root, decisions


def _decision(at: Tree) -> _NodeSplit:
    if at["decision_type"] != "<=":
        raise CannotExplain("categorical splits are not covered.")
    if at["missing_type"] == "Zero":
        raise CannotExplain("zeros that mean missing are not covered.")
    knows_missing = at["missing_type"] == "NaN"
    return _NodeSplit(
        int(at["split_feature"]),
        float(at["threshold"]),
        knows_missing and bool(at["default_left"]),
        not knows_missing,
    )


def _rows(at: Tree) -> float:
    return float(at["internal_count"] if "split_index" in at else at["leaf_count"])


def _share(leaf: _Node, column: int, decisions: list[_NodeSplit]) -> float:
    """Share of rows that goes the leaf's way at all decisions on one column."""
    return float(
        np.prod([step.share for step in leaf.path if decisions[step.decision].column == column])
    )


def _thresholds(decisions: Iterator[_NodeSplit]) -> dict[int, Floats]:
    """Column -> its thresholds in the whole model, ascending."""
    seen: dict[int, set[float]] = {}
    for each in decisions:
        seen.setdefault(each.column, set()).add(each.threshold)
    return {column: np.array(sorted(seen[column])) for column in sorted(seen)}


def _parts(node: _Node, bits: int) -> Iterator[_Node]:
    """The largest parts of a tree whose decisions, with those on the way to them, are at most
    `bits`.
    """
    if not node.children or len(node.path) + len(node.inside) <= bits:
        yield node
        return
    for child in node.children:
        yield from _parts(child, bits)


def _bits_that_fit(roots: list[_Node]) -> int:
    for bits in MOST_BITS:
        size = sum(
            8 * 2 ** len(_decisions_of(part)) * len(_columns_of(part))
            for root in roots
            for part in _parts(root, bits)
        )
        if size <= TABLE_BYTES:
            return bits
    raise CannotExplain(
        f"tables of {size / 1024**2:.0f} MB would be needed, at most {TABLE_BYTES / 1024**2:.0f} MB"
        " are built."
    )


def _decisions_of(part: _Node) -> tuple[int, ...]:
    return (*(step.decision for step in part.path), *part.inside)


def _columns_of(part: _Node) -> tuple[int, ...]:
    return tuple(dict.fromkeys(column for leaf in part.leaves() for column in leaf.columns))


def _fill_leaf_tables(leaves: list[_Node]) -> None:
    """Replace the shares that leaves carry by their tables, many leaves of one path length at a
    time.
    """
    by_length: dict[int, list[_Node]] = {}
    for leaf in leaves:
        by_length.setdefault(len(leaf.columns), []).append(leaf)
    for length, group in by_length.items():
        for start in range(0, len(group) if length else 0, _LEAVES_AT_ONCE):
            some = group[start : start + _LEAVES_AT_ONCE]
            tables = _leaf_tables(
                np.vstack([leaf.table for leaf in some]), np.array([leaf.value for leaf in some])
            )
            for leaf, table in zip(some, tables, strict=True):
                leaf.table = table


def _leaf_tables(shares: Floats, values: Floats) -> Floats:
    """Contributions of every pattern: (n, d) shares and (n,) leaf values to shape (n, 2 ** d,
    d).
    """
    count, length = shares.shape
    points, weights = leggauss((length + 1) // 2)
    t, weights = (points + 1.0) / 2.0, weights / 2.0
    missed = shares[:, :, None] * (1.0 - t)
    factors = np.stack([missed, missed + t], axis=2)  # leaf, signal, whether satisfied, point
    product = np.ones((count, 1, len(t)))
    for j in range(length):
        product = (factors[:, j, :, None, :] * product[:, None, :, :]).reshape(count, -1, len(t))
    patterns = np.arange(2**length)
    tables = np.empty((count, 2**length, length))
    for i in range(length):
        satisfied = (patterns >> i) & 1
        others = (product / factors[:, i][:, satisfied, :]) @ weights
        tables[:, :, i] = values[:, None] * (satisfied - shares[:, i, None]) * others
    return tables


def _block(part: _Node, decisions: list[_NodeSplit]) -> _TreePart:
    """Sum the tables of a part's leaves over the patterns of all its decisions."""
    used, columns = _decisions_of(part), _columns_of(part)
    bit = {decision: place for place, decision in enumerate(used)}
    patterns = np.arange(2 ** len(used))
    answers = {decision: ((patterns >> place) & 1).astype(bool) for decision, place in bit.items()}
    tables = np.zeros((len(columns), len(patterns)))
    for leaf in part.leaves():
        followed = np.ones((len(leaf.columns), len(patterns)), dtype=bool)
        for step in leaf.path:
            followed[leaf.columns.index(decisions[step.decision].column)] &= (
                answers[step.decision] == step.goes_left
            )
        of_leaf = (followed << np.arange(len(leaf.columns))[:, None]).sum(axis=0)
        for place, column in enumerate(leaf.columns):
            tables[columns.index(column)] += leaf.table[of_leaf, place]
    return _TreePart(used, columns, tables)
