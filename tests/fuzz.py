"""`make fuzz`: the property tests as they are, with 20,000 inputs each, for as long as MINUTES says.

A test's share of the time is that of each that is still to come. Told at the end: how
many inputs each has seen.
"""

from __future__ import annotations

import functools
import math
import os
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.errors import FlakyStrategyDefinition, HypothesisException

INPUTS, _OVER = 20_000, "its time is over"
MINUTES = float(os.environ.get("FUZZ_MINUTES") or 0)
_seen: Counter[str] = Counter()
_left: list[str] = []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Of properties alone; a test's own ``max_examples`` is for everyday runs."""
    items[:] = [item for item in items if item.get_closest_marker("hypothesis")]
    for item in items:
        assert isinstance(item, pytest.Function)
        test = getattr(item.obj, "__func__", item.obj)
        more = settings(max_examples=INPUTS, deadline=None, suppress_health_check=list(HealthCheck))
        test._hypothesis_internal_use_settings = more


@pytest.hookimpl(wrapper=True)
def pytest_collection_finish(session: pytest.Session) -> Any:
    _left[:] = [item.nodeid for item in session.items]
    session.config.stash[_END] = time.monotonic() + 60 * MINUTES
    return (yield)


_END = pytest.StashKey[float]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Function) -> Any:
    now = time.monotonic()
    until = now + (item.config.stash[_END] - now) / max(1, len(_left))
    _left.remove(item.nodeid)
    handle = item.obj.hypothesis
    inner = handle.inner_test
    handle.inner_test = _for_a_while(inner, item.nodeid, until)
    try:
        return (yield)
    except pytest.skip.Exception as error:
        if error.msg != _OVER:
            raise
        return None
    except FlakyStrategyDefinition:  # so it calls a test that ends before it has drawn all
        if time.monotonic() < until:
            raise
        return None
    finally:
        handle.inner_test = inner


def _for_a_while(test: Callable[..., None], name: str, until: float) -> Callable[..., None]:
    @functools.wraps(test)
    def run(*arguments: Any, **named: Any) -> None:
        nonlocal until
        if time.monotonic() > until:
            pytest.skip(_OVER)  # which hypothesis passes on at once
        _seen[name] += 1
        try:
            test(*arguments, **named)
        except HypothesisException:
            raise
        except Exception:
            until = math.inf  # what was found is made small, however long that takes
            raise

    return run


def pytest_terminal_summary(terminalreporter: Any) -> None:
    for name, count in _seen.most_common():
        terminalreporter.write_line(f"{count:>9,}  {name}")
