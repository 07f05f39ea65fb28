"""Role calls and who needs whom go in, places on a plane come out: the graph of a plan, from left to right."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import networkx as nx

NODE_WIDTH_PX, NODE_HEIGHT_PX = 150, 56
STEP_X_PX, STEP_Y_PX = 196, 84
MARGIN_PX = 12
"""The page draws boxes of this size around the places."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where nodes are.

    Attributes:
        width_px: Of the whole drawing.
        height_px: Of the whole drawing.
        places: Centre of each node, in pixels from the upper left.
        edges: From a need to its user; those of nodes that are not there are left out.
    """

    width_px: float
    height_px: float
    places: Mapping[str, tuple[float, float]]
    edges: Sequence[tuple[str, str]]


def lay_out(nodes: Iterable[str], edges: Iterable[tuple[str, str]]) -> Layout:
    """Puts every node right of all that it needs, and nodes that could run side by side above each other.

    Args:
        nodes: Ids; the first comes first wherever nothing else decides.
        edges: From a need to its user. A circle, as a foreign file may hold, is drawn as one column.
    """
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(nodes)
    graph.add_edges_from((need, user) for need, user in edges if need in graph and user in graph and need != user)
    if not len(graph):
        return Layout(2.0 * MARGIN_PX, 2.0 * MARGIN_PX, {}, ())
    acyclic = nx.is_directed_acyclic_graph(graph)
    layers = [list(layer) for layer in nx.topological_generations(graph)] if acyclic else [list(graph)]
    most = max(len(layer) for layer in layers)
    width_px = 2 * MARGIN_PX + NODE_WIDTH_PX + STEP_X_PX * (len(layers) - 1)
    height_px = 2 * MARGIN_PX + NODE_HEIGHT_PX + STEP_Y_PX * (most - 1)
    places: dict[str, tuple[float, float]] = {}
    for number, layer in enumerate(layers):
        x_px = MARGIN_PX + NODE_WIDTH_PX / 2 + STEP_X_PX * number
        # A node beside what it needs crosses few edges; `sorted` keeps the given order where that says nothing.
        ranked = sorted(
            layer, key=lambda node: _mean([places[need][1] for need in graph.predecessors(node) if need in places])
        )
        for row, node in enumerate(ranked):
            y_px = height_px / 2 + STEP_Y_PX * (row - (len(ranked) - 1) / 2)
            places[node] = (round(x_px, 1), round(y_px, 1))
    return Layout(width_px, height_px, places, list(graph.edges))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
