"""``recipe serve``."""

from __future__ import annotations

import errno
import json
import socket
import subprocess
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import httpx

from axolotl_configs.render import Resolved
from inference.answering.adapter import as_one, require_fitting
from inference.answering.answer import longest
from inference.answering.rules import Mode, Rules
from inference.serving.client import URL, ask
from inference.serving.command import BASE, Serving
from recipe.commands.asking import chosen_target, mode_options, target_options
from recipe.commands.options import examples, tensor_parallel_option
from recipe.steps.asking import cpu_settings, unpacked
from recipe.steps.eval import How, Target, gpus_for
from spine.chat import ChatTokenizer
from spine.children import end_of_log, running, what_it_said
from spine.environments import python, variables
from spine.errors import RecipeError
from spine.paths import CACHE, ROOT, RUNS, shown
from spine.progress import timed
from spine.terminal import say

_LOOK_SECONDS = 0.5
_FIRST_SECONDS = 300.0  # for the first answer
_EXAMPLE = "Which one is a fruit?\n0. a fork\n1. a fig\nAnswer:"
_ENGINE_DIED = ("EngineDeadError", "EngineCore encountered a fatal error", "output_handler failed")
_WAYS_OUT = {
    "KV cache": "a smaller --max-length; without a GPU also VLLM_CPU_KVCACHE_SPACE=4 (GiB)",
    "out of memory": "a smaller --max-length, a quantised model (make awq-BLEND), or more GPUs",
    "address already in use": "another --port",
}


@click.command(
    "serve",
    epilog=examples(
        "recipe serve v8",
        "recipe serve v8 --alpha 0.3 --port 8001",
        "recipe serve v8 --model awq-0.5625 --mode winners",
        "recipe serve --model Qwen/Qwen2-7B-Instruct",
    ),
)
@target_options
@mode_options
@tensor_parallel_option
@click.option("--host", default="127.0.0.1", show_default=True, help="0.0.0.0: for other machines, too.")
@click.option("--port", type=click.IntRange(1, 65535), default=8000, show_default=True)
def command(
    blend: str | None, profile: str | None, overrides: str, model: str | None, adapters: tuple[str, ...],
    alpha: float | None, host: str, port: int, **how: Any,
) -> None:  # fmt: skip
    """Serve BLEND's model as OpenAI's API does, with vLLM, until Ctrl-C.

    A chat request with a single message of the user is a question: it gets the system prompt and the decoding rule of
    its task type, as `recipe eval` would ask it. Others are answered as by any server. With an adapter, the base is
    served beside it. VLLM_API_KEY=... asks clients for that key.
    """
    resolved, target = chosen_target(blend, profile, overrides, model, adapters, alpha)
    serving = _serving(resolved, target, How(**how), host, port)
    _refuse_a_taken_port(host, port)
    log = (resolved.run.folder if resolved else RUNS) / f"serve-{port}.log"
    _serve(serving, log)


def _serving(resolved: Resolved | None, target: Target, how: How, host: str, port: int) -> Serving:
    """What is to be served; what of it can be refused is refused here, before anything is loaded."""
    answer = how.settings(resolved)
    Rules.of(str(target.model), ChatTokenizer.load(str(target.model)))
    require_fitting(target.mixture, target.model)
    return Serving(
        name=(f"{resolved.blend.name}-{target.name}" if resolved else target.name).replace(",", ""),
        model=target.model,
        mixture=target.mixture,
        mode=Mode(answer.mode),
        max_length=longest(str(target.model), how.max_length),
        dtype=how.dtype,
        gpus=gpus_for(answer),
        host=host,
        port=port,
    )


def _refuse_a_taken_port(host: str, port: int) -> None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            way_out = f"--port {port + 1}, or end what listens there" if error.errno == errno.EADDRINUSE else "--host"
            raise RecipeError(f"cannot listen on {host}, port {port}: {error.strerror}", way_out=way_out) from error


def _serve(serving: Serving, log: Path) -> None:
    """Runs vLLM's server until it ends or is interrupted.

    Raises:
        RecipeError: it ended by itself.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    values = {**serving.variables, **cpu_settings(), **variables("serve", offline=serving.model.is_dir())}
    with ExitStack() as stack:
        # vLLM leaves files in the temporary folder; what torch compiles there is for the next time, too.
        values["TMPDIR"] = stack.enter_context(TemporaryDirectory(prefix="recipe-serve-"))
        values.setdefault("TORCHINDUCTOR_CACHE_DIR", str(CACHE / "torchinductor"))
        model = stack.enter_context(unpacked(serving.model, serving.gpus, log.with_suffix(".unpacked")))
        adapter = stack.enter_context(as_one(serving.mixture)) if serving.mixture.parts else None
        sink = stack.enter_context(log.open("wb"))
        command = [str(python("serve")), *replace(serving, model=model).arguments(adapter)]
        streams: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": sink, "stderr": subprocess.STDOUT}
        child = stack.enter_context(running(command, cwd=ROOT, env=values, **streams))
        with timed(f"loading {shown(serving.model)} with vllm"):
            ready = _is_ready(child, serving)
        if ready:
            _say_ready(serving, log)
        code = child.wait()
    tail = end_of_log(log)
    text = "\n".join(tail)
    way_out = next((hint for mark, hint in _WAYS_OUT.items() if mark in text), f"the whole log: {shown(log)}")
    if any(mark in text for mark in _ENGINE_DIED):  # then vLLM ends as if it had been asked to, with code 0
        raise RecipeError(
            f"the server's engine died; it {what_it_said(tail, code)}", where=shown(log),
            way_out="the log names the request that it died of; start it again",
        )  # fmt: skip
    raise RecipeError(f"the server {what_it_said(tail, code)}", where=shown(log), way_out=way_out)


def _is_ready(child: subprocess.Popen[bytes], serving: Serving) -> bool:
    """Waits until it has answered a question; whether it has, and not ended before."""
    with httpx.Client(trust_env=False) as client:
        while child.poll() is None:
            try:
                if client.get(f"{serving.url}/health").status_code == httpx.codes.OK:
                    break
            except httpx.TransportError:
                pass  # it does not listen yet
            time.sleep(_LOOK_SECONDS)
        else:
            return False
    ask(serving.url, _EXAMPLE, timeout=_FIRST_SECONDS, probabilities=True)  # for the first one, vLLM imports the rest
    return True


def _say_ready(serving: Serving, log: Path) -> None:
    beside = f", and {BASE}" if serving.mixture.parts else ""
    body = json.dumps({"messages": [{"role": "user", "content": _EXAMPLE}]})
    url = "" if serving.url == URL else f"--url {serving.url} "
    click.echo(f"ready     {serving.url}/v1  serves {serving.name}{beside}; mode {serving.mode.value}")
    click.echo(f"ask       recipe ask {url}{_quoted(_EXAMPLE)}")
    click.echo(f"curl      curl {serving.url}/v1/chat/completions -H 'Content-Type: application/json' -d '{body}'")
    click.echo(f"log       {shown(log)}")
    say("Ctrl-C ends it")


def _quoted(text: str) -> str:
    """For a shell that knows ``$'...'``."""
    return "$'" + text.replace("\n", "\\n") + "'"
