"""How nodes are shared out among workers of Ray, and questions among the workers; no Ray is needed for that."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.answering.engines.cluster import Node, Room, room
from inference.answering.engines.ray import shares_of
from spine.errors import RecipeError

HEAD: Node = (0, 4)


def test_a_worker_has_the_gpus_of_one_node() -> None:
    assert room([HEAD, (8, 64), (8, 64)], 0, 4) == Room(4, 4, 1)
    assert room([HEAD, (8, 64), (8, 64)], 0, None) == Room(2, 8, 1)
    assert room([HEAD, (8, 64), (6, 64)], 3, 4) == Room(3, 4, 1)
    with pytest.raises(RecipeError, match="room for 3 workers with 4 GPUs each"):
        room([HEAD, (8, 64), (6, 64)], 4, 4)
    with pytest.raises(RecipeError, match="no node of Ray has 16 GPUs, the largest 8"):
        room([HEAD, (8, 64)], 0, 16)


def test_without_gpus_there_is_a_worker_a_node() -> None:
    assert room([(0, 2)], 0, 0) == Room(1, 0, 2)
    assert room([(0, 2)], 2, None) == Room(2, 0, 1)
    assert room([(0, 64)] * 3, 5, 0) == Room(5, 0, 32)
    with pytest.raises(RecipeError, match="room for 2 workers with a core each"):
        room([(0, 2)], 3, 0)


@given(st.lists(st.tuples(st.integers(0, 8), st.integers(1, 64)), min_size=1, max_size=6), st.integers(0, 40))
def test_no_node_is_asked_for_more_than_it_has(nodes: list[Node], workers: int) -> None:
    try:
        found = room(nodes, workers, None)
    except RecipeError:
        return
    fits = sum(gpus // found.gpus if found.gpus else cores // found.cores for gpus, cores in nodes)
    assert 1 <= found.workers <= fits and workers in (0, found.workers)


@given(st.integers(1, 10_000), st.integers(1, 64))
def test_every_worker_has_a_share_and_none_is_too_large(requests: int, workers: int) -> None:
    shares = shares_of(requests, workers)
    assert min(requests, workers) <= shares <= requests and -(-requests // shares) <= 512
