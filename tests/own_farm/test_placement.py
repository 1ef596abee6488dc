"""Which node gets a chunk, and what is said when none can take it."""

import re
from datetime import datetime
from typing import Any

import pytest

from adapters.farm_config import FarmConfig
from adapters.farm_nodes import KnownNodes
from adapters.farm_placement import BENCH_SECONDS, FAILURES, Bench, FarmView, choose_node, unplaced, why_none
from helios.errors import RequestError
from helios.models.requires import NOTHING, Requires
from helios.own_farm.hours import parse_hours
from helios.own_farm.node_state import NodeState, RunningChunk

GB = 10**9


def node(name: str, **given: Any) -> NodeState:
    return NodeState.model_validate(
        {"name": name, "address": name, "version": "1", "protocol": 1, "slots": 2, "memory": 16 * GB,
         "rendered_by": f"worker {name}"} | given
    )  # fmt: skip


def chosen(
    *nodes: NodeState, requires: Requires = NOTHING, bench: Bench | None = None, now: float = 0,
    avoid: str | None = None, **given: Any,
) -> str | None:  # fmt: skip
    view = FarmView(nodes, "1", given.get("in_flight", {}), given.get("own", ()), bench or Bench())
    found = choose_node(view, requires, now=now, avoid=avoid)
    return None if found is None else found.name


def running(attempt: str, **given: Any) -> RunningChunk:
    return RunningChunk(attempt=attempt, **given)


def test_the_freest_node_that_is_able() -> None:
    """Free slots count this flow's chunks once, and those of others."""
    busy = node("busy", running=(running("other"),))
    assert chosen(busy, node("free")) == "free"
    assert chosen(busy, node("full"), in_flight={"full": [NOTHING, NOTHING]}) == "busy"
    assert chosen(node("a", running=(running("mine"),)), in_flight={"a": [NOTHING]}, own={"mine"}) == "a"
    assert (
        chosen(node("a", running=(running("mine"), running("other"))), in_flight={"a": [NOTHING]}, own={"mine"}) is None
    )
    assert chosen(node("a", given=("helios-mine",)), node("b", given=("theirs",))) == "a"
    assert chosen(node("a", given=("theirs", "theirs too"), running=(running("other"),))) is None
    assert chosen(node("old", version="0"), node("leaving", draining=True), node("closed", is_open=False)) is None


def test_what_finds_no_place() -> None:
    """Chunks that wait are placed one after the other; what is left needs further nodes."""
    gpu = Requires(gpus=1)
    view = FarmView((node("a", gpus=1), node("old", version="0")), "1", {"a": [NOTHING]}, (), Bench())
    assert unplaced(view, [], now=0) == 0
    assert unplaced(view, [gpu, gpu], now=0) == 1
    assert unplaced(view, [Requires(gpus=2)], now=0) == 1
    assert view.in_flight == {"a": [NOTHING]}


def test_gpus_and_memory_are_counted() -> None:
    """A GPU is one chunk's alone; memory is shared out up to what the node has."""
    gpu = Requires(gpus=1)
    assert chosen(node("none"), node("one", gpus=1), requires=gpu) == "one"
    assert chosen(node("one", gpus=1), requires=gpu, in_flight={"one": [gpu]}) is None
    assert chosen(node("one", gpus=1), in_flight={"one": [gpu]}) == "one"
    shared = node("one", gpus=1, chunks_per_gpu=2)
    assert chosen(shared, requires=gpu, in_flight={"one": [gpu]}) == "one"
    assert chosen(shared, requires=gpu, in_flight={"one": [gpu, gpu]}) is None
    assert chosen(shared, requires=Requires(gpus=2)) is None
    assert chosen(node("one", gpus=1, running=(running("other", gpus=1),)), requires=gpu) is None
    large = Requires(memory=10 * GB)
    assert chosen(node("a"), requires=large) == "a"
    assert chosen(node("a"), requires=large, in_flight={"a": [large]}) is None
    assert chosen(node("a"), in_flight={"a": [large]}) == "a"


def test_an_audit_goes_to_another_worker_where_there_is_one() -> None:
    """The worker to avoid gets it where no other has a free slot."""
    assert chosen(node("a", slots=8), node("b"), avoid="worker a") == "b"
    assert chosen(node("a"), node("b"), in_flight={"b": [NOTHING, NOTHING]}, avoid="worker a") == "a"


def test_a_second_attempt_goes_to_another_node_than_the_first() -> None:
    """While a node has an attempt of a chunk, another attempt of it knows the node, and another chunk does not."""
    known = KnownNodes()
    with known.having(node("a"), NOTHING, "farm://flow/run/chunk-7/attempt-1"):
        assert known.beside("farm://flow/run/chunk-7/attempt-2") == "worker a"
        assert known.beside("farm://flow/run/chunk-70/attempt-1") is None
        assert chosen(node("a"), node("b", slots=1), avoid=known.beside("farm://flow/run/chunk-7/attempt-2")) == "b"
    assert known.beside("farm://flow/run/chunk-7/attempt-2") is None


def test_a_node_that_fails_again_and_again_is_benched_and_comes_back() -> None:
    """After so many failures of its environment in a row it gets nothing for a while; one success forgives all."""
    bench = Bench()
    for _ in range(FAILURES - 1):
        bench.count("a", failed=True, now=0)
    bench.count("a", failed=False, now=0)
    for _ in range(FAILURES - 1):
        bench.count("a", failed=True, now=0)
    assert chosen(node("a"), bench=bench, now=1) == "a"
    bench.count("a", failed=True, now=1)
    assert chosen(node("a"), node("b"), bench=bench, now=2) == "b"
    assert chosen(node("a"), bench=bench, now=2) is None
    assert chosen(node("a"), bench=bench, now=2 + BENCH_SECONDS) == "a"
    bench.count("a", failed=True, now=70)
    assert chosen(node("a"), bench=bench, now=71) is None, "its one try failed"


@pytest.mark.parametrize(
    ("nodes", "requires", "said"),
    [
        ([], NOTHING, "the farm has no nodes; run the line"),
        ([node("a", version="0.9")], NOTHING, r"nodes of another version than this one, 1: a \(0.9\)"),
        ([node("a")], Requires(tags=frozenset({"b"})), "no node has the tag b; start one with --tag b"),
        ([node("a", gpus=1)], Requires(gpus=2), "no node has 2 GPUs, the most are 1"),
        ([node("a")], Requires(memory=64 * GB), "no node has 64 GB of memory, the most are 16 GB"),
        ([node("a", draining=True)], NOTHING, "every node is being stopped"),
        ([node("a", is_open=False, hours="19:00-07:00")], NOTHING, "takes chunks from 19:00-07:00 alone"),
        (
            [node("a", gpus=1), node("b", tags=frozenset({"x"}))],
            Requires(tags=frozenset({"x"}), gpus=1),
            "no node has all of this together: the tag x, 1 GPUs",
        ),
    ],
)  # fmt: skip
def test_what_is_missing_is_named(nodes: list[NodeState], requires: Requires, said: str) -> None:
    """One line for each kind."""
    reason = why_none(nodes, requires, version="1")
    assert reason is not None
    assert re.search(said, reason), reason
    assert why_none([*nodes, node("all", gpus=8, memory=99 * GB, tags=frozenset(requires.tags))], requires,
                    version="1") is None  # fmt: skip


def test_settings_of_an_adapter_take_tags_alone() -> None:
    """A list is one of tags; an object has all."""
    assert FarmConfig.model_validate({"requires": ["x"]}).requires == Requires(tags=frozenset({"x"}))
    config = FarmConfig.model_validate({"requires": {"gpus": 1, "memory": "24 GB"}})
    assert config.requires == Requires(gpus=1, memory=24 * GB)


@pytest.mark.parametrize(("hours", "at", "held"), [
    ("19:00-07:00", "23:10", True), ("19:00-07:00", "06:59", True), ("19:00-07:00", "07:00", False),
    ("19:00-07:00", "12:00", False), ("09:30-17:00", "09:30", True), ("09:30-17:00", "17:00", False),
])  # fmt: skip
def test_hours_go_over_midnight(hours: str, at: str, held: bool) -> None:
    """From the first time up to the second one."""
    assert parse_hours(hours).hold(datetime.fromisoformat(f"2026-01-01T{at}")) is held
    assert str(parse_hours(hours)) == hours


@pytest.mark.parametrize("text", ["", "19-7", "24:00-07:00", "07:00-07:00", "19:00–07:00"])
def test_no_hours(text: str) -> None:
    """Says what is expected."""
    with pytest.raises(RequestError, match=r"expected two different times such as 19:00-07:00"):
        parse_hours(text)
