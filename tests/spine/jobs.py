"""Jobs for ``test_child_job``: what a module in another environment can do, without its libraries."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spine.child_job import Teller, serve
from spine.errors import RecipeError


def work(job: Mapping[str, Any], tell: Teller) -> dict[str, Any]:
    """Does what ``job["do"]`` says."""
    print("a library's chatter, on the output that carries the messages")
    tell("working", 1, 2)
    match job["do"]:
        case "explain":
            raise RecipeError("too small", where="model.safetensors", way_out="a larger one")
        case "fail":
            raise MemoryError("DefaultCPUAllocator: can't allocate: out of memory")
        case "be killed":
            os.kill(os.getpid(), 9)
        case "say nothing":
            os._exit(0)
        case "be stopped":
            raise KeyboardInterrupt
        case "listen":
            tell.say({"pid": os.getpid()})
            time.sleep(600)
    if scratch := os.environ.get("TMPDIR"):
        (Path(scratch) / "left behind").touch()
    print("the end", file=sys.stderr)
    return {"folder": str(Path.cwd()), "job": job, "own": os.environ.get("OWN")}


if __name__ == "__main__":
    serve(work, at_once=len(sys.argv) > 1)
