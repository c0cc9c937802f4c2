"""Jobs for ``test_awq_export``: what a backend's process can do, without its libraries."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spine.child_job import OnProgress, serve
from spine.errors import RecipeError


def work(settings: Mapping[str, Any], progress: OnProgress) -> dict[str, Any]:
    """Does what the name of the model says."""
    print("a library's chatter, on the output that carries the messages")
    progress("working", 1, 2)
    match settings["model"]:
        case "explained":
            raise RecipeError("too small", where="model.safetensors", way_out="a larger one")
        case "traced":
            raise MemoryError("DefaultCPUAllocator: can't allocate: out of memory")
        case "killed":
            os.kill(os.getpid(), 9)
        case "silent":
            os._exit(0)
    (Path(os.environ["TMPDIR"]) / "left behind").touch()
    print("the end", file=sys.stderr)
    return {"tmp": os.environ["TMPDIR"], "group": settings["group"]}


if __name__ == "__main__":
    serve(work)
