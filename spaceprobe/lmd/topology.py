"""The topology of a neighbour graph: how many components and how many holes it has.

A hole is a cycle that no triangles of the graph fill: the first Betti number of its clique complex, over the
field of two elements. A surface sampled densely enough keeps its own: 0 for a sheet or a sphere, 2 for a
torus (Niyogi, Smale and Weinberger, Discrete & Computational Geometry 39, 2008).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64
from scipy import sparse

from spaceprobe.lmd.graph import NeighbourGraph

MAX_TRIANGLES = 60_000
"""Chosen: as many take a few seconds, and the time grows faster than their number."""


@dataclass(frozen=True)
class Topology:
    """The Betti numbers of a graph with its triangles filled.

    Attributes:
        num_components: b₀.
        num_holes: b₁; None where there are more than `MAX_TRIANGLES` triangles.
        num_edges: each undirected edge once.
        num_triangles: triples of points that are all joined.
    """

    num_components: int
    num_holes: int | None
    num_edges: int
    num_triangles: int


def topology(graph: NeighbourGraph) -> Topology:
    """Return the Betti numbers of a graph with its triangles filled.

    b₁ = edges - points + b₀ - rank ∂₂, the rank by reducing the columns of ∂₂ modulo 2 as for persistent
    homology (Edelsbrunner, Letscher and Zomorodian, Discrete & Computational Geometry 28, 2002), triangles of
    short edges first. Of weights it reads their order alone.
    """
    edges = sparse.triu(graph.laplacian, k=1).tocoo()
    # Heavy edges are short; of equal ones the smaller points come first.
    order = np.lexsort((edges.col, edges.row, edges.data))
    low = edges.row[order].astype(np.int64)
    high = edges.col[order].astype(np.int64)
    num_edges = len(low)
    num_cycles = num_edges - graph.num_points + graph.num_components
    adjacency = sparse.csr_array((np.ones(num_edges), (low, high)), shape=graph.laplacian.shape)
    num_triangles = round((adjacency @ adjacency).multiply(adjacency).sum())
    num_holes = None
    if num_triangles <= MAX_TRIANGLES:
        num_holes = num_cycles - _rank_mod_2(_triangles(low, high, graph.num_points), num_cycles)
    return Topology(graph.num_components, num_holes, num_edges, num_triangles)


def _triangles(
    low: Int64[np.ndarray, "edges"], high: Int64[np.ndarray, "edges"], num_points: int
) -> list[tuple[int, int, int]]:
    """Return the numbers of the three edges of each triangle, descending, in the order of the last edge."""
    number: list[dict[int, int]] = [{} for _ in range(num_points)]
    for edge, (a, b) in enumerate(zip(low.tolist(), high.tolist(), strict=True)):
        number[a][b] = number[b][a] = edge
    triangles = []
    for edge, (a, b) in enumerate(zip(low.tolist(), high.tolist(), strict=True)):
        first, second = number[a], number[b]
        for point in first.keys() & second.keys():
            others = first[point], second[point]
            if max(others) < edge:  # each triangle once, at its last edge
                triangles.append((edge, max(others), min(others)))
    return sorted(triangles)


def _rank_mod_2(columns: list[tuple[int, int, int]], largest: int) -> int:
    """Return the rank over the field of two elements of a matrix, given the rows of its ones by column.

    Args:
        columns: of the matrix.
        largest: the rank cannot exceed it; once it is reached, nothing else is looked at.
    """
    pivots: dict[int, frozenset[int]] = {}
    for column in columns:
        if len(pivots) == largest:
            break
        rest = frozenset(column)
        while rest:
            pivot = max(rest)
            if pivot not in pivots:
                pivots[pivot] = rest
                break
            rest ^= pivots[pivot]
    return len(pivots)
