"""The engine `ray`: the same engines in workers of Ray, on this machine or a cluster; Ray Data hands the questions out.

A question that a worker died over is asked again by another; which worker answers changes no answer. Ray itself is
imported where it has been started, which is in the serve environment.
"""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped,unused-ignore]

from inference.answering.decoding import rule_from_json
from inference.answering.engines.cluster import LOG, Room, cluster, worker_fault
from inference.answering.engines.requests import Engine, Request
from spine.errors import RecipeError
from spine.mixture import Mixture
from spine.paths import shown

# Requests of a share, which goes to a worker at once. Its engine queues them all; what is out at a kill is asked again.
_LEAST, _MOST = 16, 512
_SHARES = 4  # for each worker: they do not all take the same time
_IN_HAND = 2  # shares that a worker has, so that the next one is there when one is done
_DEATHS = 3  # over the same questions
_Load = Callable[[int, Mixture], Engine]


class RayEngine:
    """Workers that are loaded for each run and let go after it.

    Args:
        load: makes a worker's engine, for a model that is split over so many GPUs, with adapters mixed so.
        workers, gpus: see ``inference.answering.engines.cluster.room``.
    """

    def __init__(self, load: _Load, workers: int, gpus: int | None, mixture: Mixture) -> None:
        self._load, self._workers, self._gpus, self._mixture = load, workers, gpus, mixture

    def mix(self, mixture: Mixture) -> None:
        """Sets the shares of the following runs."""
        self._mixture = mixture

    def generate(self, requests: Sequence[Request]) -> Iterator[tuple[int, str]]:
        """Yields (index, answer), share by share.

        Raises:
            RecipeError: there is no room for the workers, or one of them failed, with its reason.
        """
        with cluster(self._workers, self._gpus) as room:
            from ray.exceptions import RayError

            print(f"ray: {room}", file=sys.stderr, flush=True)
            try:
                for row in self._answers(requests, room):
                    if row["fault"]:
                        raise RecipeError(row["fault"])
                    yield row["index"], row["answer"]
            except RayError as error:
                raise RecipeError(
                    f"a worker of Ray died, and again when tried {_DEATHS} times more: {str(error).splitlines()[-1]}",
                    where=shown(LOG),
                    way_out="is there memory for it on its node? The same command goes on where it was",
                ) from error

    def _answers(self, requests: Sequence[Request], room: Room) -> Iterator[dict[str, Any]]:
        import ray.data
        from ray.util.annotations import RayDeprecationWarning

        logging.getLogger("ray.data").setLevel(logging.CRITICAL)
        ray.data.DataContext.get_current().enable_progress_bars = False  # there is one already
        asked = sorted(requests, key=lambda r: (-r.rule.max_new_tokens, r.tokens))  # a share is of like kind and length
        shares = shares_of(len(asked), room.workers)
        dataset = ray.data.from_items([_row(one) for one in asked], override_num_blocks=shares)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RayDeprecationWarning)  # there is no other way yet to say max_task_retries
            found = dataset.map_batches(
                _Worker,
                fn_constructor_args=[self._load, room.gpus, self._mixture],
                compute=ray.data.ActorPoolStrategy(
                    size=min(shares, room.workers), max_tasks_in_flight_per_actor=_IN_HAND
                ),
                batch_size=None,
                batch_format="pyarrow",
                max_task_retries=_DEATHS,
                **room.each,
            )
        yield from found.iter_rows()


def shares_of(requests: int, workers: int) -> int:
    """Into how many shares of equal size so many requests are cut: something for each worker, where there is enough."""
    few, many = -(-requests // _MOST), requests // _LEAST
    return max(min(requests, workers), few, min(many, workers * _SHARES))


def _row(request: Request) -> dict[str, Any]:
    return {"index": request.index, "tokens": request.tokens, "rule": request.rule.to_json()}


def _request(row: dict[str, Any]) -> Request:
    return Request(row["index"], tuple(row["tokens"]), rule_from_json(row["rule"]))


class _Worker:
    """One engine. What it cannot do it says in a row."""

    def __init__(self, load: _Load, gpus: int, mixture: Mixture) -> None:
        self._fault = ""
        try:
            self._engine = load(gpus, mixture)
        except Exception as error:
            self._fault = worker_fault(error)

    def __call__(self, share: pa.Table) -> pa.Table:
        try:
            found = {} if self._fault else dict(self._engine.generate([_request(row) for row in share.to_pylist()]))
        except Exception as error:
            found, self._fault = {}, worker_fault(error)
        rows = [{"index": index, "answer": text, "fault": ""} for index, text in found.items()]
        return pa.Table.from_pylist(rows or [{"index": -1, "answer": "", "fault": self._fault}])
