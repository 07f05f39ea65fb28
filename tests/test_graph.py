from __future__ import annotations

import networkx as nx
import pytest

from agent.errors import GraphError
from agent.graph import KINDS, RoleKind, build_graph, validate
from roles.planner import route_plan
from roles.types import Plan, RoleCall


def plan(*calls: RoleCall) -> Plan:
    return Plan(calls, "forced")


@pytest.mark.parametrize(
    ("route", "edges"),
    [
        ("ground", [("grounder", "verifier"), ("verifier", "answerer")]),
        ("moment", [("grounder", "verifier")]),
        ("answer", []),
    ],
)
def test_every_route_becomes_a_graph_of_its_calls(route: str, edges: list[tuple[str, str]]) -> None:
    made = route_plan(route, "query", "question", "planner")
    graph = build_graph(made)
    assert list(graph.edges) == edges
    assert [graph.nodes[node]["call"] for node in graph] == list(made.calls)


def test_calls_may_be_named_before_what_they_need() -> None:
    graph = build_graph(plan(RoleCall("v", "verifier", "q", ("g",)), RoleCall("g", "grounder", "q")))
    assert list(nx.lexicographical_topological_sort(graph)) == ["g", "v"]


def test_all_problems_are_named_at_once() -> None:
    with pytest.raises(GraphError) as caught:
        build_graph(
            plan(
                RoleCall("g", "grounder", "q"),
                RoleCall("g", "answerer", "q"),
                RoleCall("j", "judge", "q"),
                RoleCall("v1", "verifier", "q", ("j", "g9")),
                RoleCall("v2", "verifier", "q"),
                RoleCall("a", "answerer", "q", ("b",)),
                RoleCall("b", "answerer", "q", ("a",)),
            )
        )
    message = str(caught.value)
    assert "id 'g' is used more than once" in message
    assert "unknown role 'judge' of call 'j'; expected one of planner, grounder, verifier, answerer" in message
    assert "call 'v1' needs 'g9', which is no call of the plan; expected one of g, j, v1, v2, a, b" in message
    assert "verifier 'v2' needs moments, but nothing it depends on gives any" in message
    assert "calls wait for each other: a -> b -> a" in message or "b -> a -> b" in message
    assert "verifier 'v1' needs moments" not in message  # what its unknown need would give is not known
    assert "\n" not in message


def test_a_need_of_the_wrong_kind_is_a_missing_input() -> None:
    with pytest.raises(GraphError, match="verifier 'v' needs moments, but nothing it depends on gives any"):
        build_graph(plan(RoleCall("a", "answerer", "q"), RoleCall("v", "verifier", "q", ("a",))))


def test_an_empty_plan_is_refused() -> None:
    with pytest.raises(GraphError, match="it has no calls; expected at least one"):
        build_graph(plan())


def test_a_call_that_needs_itself_is_a_cycle() -> None:
    with pytest.raises(GraphError, match="calls wait for each other: a -> a"):
        build_graph(plan(RoleCall("a", "answerer", "q", ("a",))))


def test_graphs_made_by_hand_are_checked_too() -> None:
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_node("g", call=RoleCall("g", "grounder", "q"))
    graph.add_node("v", call=RoleCall("w", "verifier", "q", ("x",)))
    graph.add_node("bare")
    graph.add_edge("g", "v")
    with pytest.raises(GraphError) as caught:
        validate(graph)
    assert "node 'bare' has no attribute 'call'" in str(caught.value)
    assert "node 'v' holds the call 'w'; expected the same id" in str(caught.value)
    assert "call 'v' names its need 'x', but there is no edge 'x' -> 'v'" in str(caught.value)
    only: nx.DiGraph[str] = nx.DiGraph()
    only.add_node("bare")
    with pytest.raises(GraphError, match=r"expected one of \(none\)"):
        validate(only)


def test_own_roles_join_the_built_in_ones() -> None:
    kinds = {**KINDS, "narrator": RoleKind("narrator", takes=frozenset({"answer"}), gives="story")}
    calls = RoleCall("a", "answerer", "q"), RoleCall("n", "narrator", "q", ("a",))
    assert list(build_graph(plan(*calls), kinds).edges) == [("a", "n")]
    with pytest.raises(GraphError, match="unknown role 'narrator'"):
        build_graph(plan(*calls))
