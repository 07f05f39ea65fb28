"""A plan goes in, a checked networkx DiGraph comes out: nodes are role calls, edges run from a need to its user.

Every node is a call's id and carries the call as its attribute `call`. A graph made by hand is as good as one made
from a plan: `validate` looks at nodes and edges only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import networkx as nx

from roles.errors import GraphError
from roles.types import Plan, RoleCall


@dataclass(frozen=True, slots=True)
class RoleKind:
    """What a role consumes and produces, so that a graph can be checked before anything runs.

    Attributes:
        name: The role's name in a plan.
        takes: Things that something it directly needs must give.
        optional: Things it uses where they are given.
        gives: The one thing it produces.
        span_kind: Its OpenInference span kind in the trace.
    """

    name: str
    takes: frozenset[str] = frozenset()
    optional: frozenset[str] = frozenset()
    gives: str = "output"
    span_kind: str = "CHAIN"


KINDS: Mapping[str, RoleKind] = {
    kind.name: kind
    for kind in (
        RoleKind("planner", gives="plan", span_kind="AGENT"),
        RoleKind("grounder", gives="moments", span_kind="RETRIEVER"),
        RoleKind("verifier", takes=frozenset({"moments"}), gives="moments", span_kind="RERANKER"),
        RoleKind("answerer", optional=frozenset({"moments"}), gives="answer", span_kind="LLM"),
    )
}
"""The built-in roles; pass a larger mapping to add your own."""


def build_graph(plan: Plan, kinds: Mapping[str, RoleKind] = KINDS) -> nx.DiGraph[str]:
    """Turns a plan into a checked graph.

    Args:
        plan: Role calls, in any order.
        kinds: The roles that exist.

    Returns:
        A directed acyclic graph of call ids.

    Raises:
        GraphError: The plan is no valid graph; every problem is listed.
    """
    graph: nx.DiGraph[str] = nx.DiGraph()
    seen: set[str] = set()
    problems: list[str] = []
    for call in plan.calls:
        if call.id in seen:
            problems.append(f"id {call.id!r} is used more than once")
            continue
        seen.add(call.id)
        graph.add_node(call.id, call=call)
    for call in plan.calls:
        for need in call.needs:
            graph.add_edge(need, call.id)
    _raise(problems + _problems(graph, kinds))
    return graph


def validate(graph: nx.DiGraph[str], kinds: Mapping[str, RoleKind] = KINDS) -> None:
    """Checks a graph of role calls.

    Args:
        graph: Node ids with a `RoleCall` as attribute `call`; edges from need to user.
        kinds: The roles that exist.

    Raises:
        GraphError: Lists every problem: no calls, unknown roles, unknown needs, cycles, missing inputs.
    """
    _raise(_problems(graph, kinds))


def _problems(graph: nx.DiGraph[str], kinds: Mapping[str, RoleKind]) -> list[str]:
    calls: dict[str, RoleCall | None] = {node: graph.nodes[node].get("call") for node in graph}
    if not calls:
        return ["it has no calls; expected at least one"]
    problems: list[str] = []
    for node, call in calls.items():
        if call is None:
            users = " and ".join(repr(user) for user in sorted(graph.successors(node)))
            needed = f"call {users} needs {node!r}" if users else f"node {node!r} has no attribute 'call'"
            problems.append(f"{needed}, which is no call of the plan; expected one of {', '.join(_known(calls))}")
            continue
        if call.id != node:
            problems.append(f"node {node!r} holds the call {call.id!r}; expected the same id")
        if call.role not in kinds:
            problems.append(f"unknown role {call.role!r} of call {node!r}; expected one of {', '.join(kinds)}")
        for need in sorted(set(call.needs) - set(graph.predecessors(node))):
            problems.append(f"call {node!r} names its need {need!r}, but there is no edge {need!r} -> {node!r}")
        problems += _missing_inputs(graph, node, calls, kinds)
    if not nx.is_directed_acyclic_graph(graph):
        edges = nx.find_cycle(graph)
        path = [edges[0][0], *(edge[1] for edge in edges)]
        problems.append(f"calls wait for each other: {' -> '.join(path)}")
    return problems


def _missing_inputs(
    graph: nx.DiGraph[str], node: str, calls: Mapping[str, RoleCall | None], kinds: Mapping[str, RoleKind]
) -> list[str]:
    call = calls[node]
    if call is None or call.role not in kinds:
        return []
    given: set[str] = set()
    for need in graph.predecessors(node):
        needed = calls[need]
        if needed is None or needed.role not in kinds:
            return []  # that need is a problem already; what it would have given is not known
        given.add(kinds[needed.role].gives)
    missing = sorted(kinds[call.role].takes - given)
    return [f"{call.role} {node!r} needs {thing}, but nothing it depends on gives any" for thing in missing]


def _known(calls: Mapping[str, RoleCall | None]) -> list[str]:
    return [node for node, call in calls.items() if call is not None] or ["(none)"]


def _raise(problems: list[str]) -> None:
    if problems:
        raise GraphError(f"the plan cannot be run: {'; '.join(problems)}")
