"""What the server's middleware makes of requests and answers; a question that was shortened reads the same anywhere."""

from __future__ import annotations

import asyncio
import json
import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.answering.decoding import Rule, rule_from_json
from inference.answering.engines.requests import finished, request_of
from inference.answering.engines.settings import RULE_ARGUMENT
from inference.answering.rules import Mode, Rules
from inference.serving.chat import Posed, Questioning, Stream
from inference.serving.command import Serving
from inference.serving.middleware import SETTINGS, Message, Questions, Receive, Send
from spine.asked import asked
from spine.chat import ChatTokenizer
from spine.errors import RecipeError
from spine.mixture import BASE
from spine.prompts import system_prompt
from spine.task_types import TaskType
from tests.conftest import CHATML
from tests.inference.test_decoding import TOKENIZERS

CHOICE = "Which one is a fruit?\n0. a fork\n1. a fig\nAnswer:"
LENGTH = 2_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("model")
    TOKENIZERS["digits apart"].save(str(made / "tokenizer.json"))
    config = {"chat_template": CHATML, "eos_token": "<|im_end|>"}
    (made / "tokenizer_config.json").write_text(json.dumps(config))
    return made


@pytest.fixture(scope="module")
def questioning(folder: Path) -> Questioning:
    return Questioning(Rules.of(str(folder), ChatTokenizer.load(str(folder))), "v8", Mode.EXACT, LENGTH)


def user(text: Any, **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], **more}


def posed(questioning: Questioning, text: Any, **more: Any) -> Posed:
    found = questioning.posed(user(text, **more))
    assert found
    return found


@given(st.text("ab \n<|im_end|>", max_size=400), st.integers(60, 400))
def test_a_shortened_question_is_rendered_anew_to_the_same_tokens(
    questioning: Questioning, text: str, length: int
) -> None:
    chat = questioning.rules.chat
    prompt = chat.defuse(text.strip())
    made = request_of(0, chat, "Answer.", prompt, Rule(8, (0,)), length)
    messages = [{"role": "system", "content": made.system}, {"role": "user", "content": made.prompt}]
    rendered = chat.asked(messages)
    assert tuple(chat.tokenizer.encode(rendered, add_special_tokens=False).ids) == made.tokens
    assert "<|im_end|>" not in made.prompt
    assert (len(made.tokens) <= length - 8) or not made.prompt
    assert (made.prompt == prompt) == (made.dropped == 0)


@pytest.mark.parametrize(
    "body",
    [
        {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"},
                      {"role": "user", "content": CHOICE}]},
        user([{"type": "text", "text": "what is this?"}, {"type": "image_url", "image_url": {"url": "data:"}}]),
        user(None), user(3), user([3]), {}, {"messages": 3}, {"messages": "user"}, {"messages": [3]}, {"messages": []},
    ],
)  # fmt: skip
def test_what_is_no_question_is_left_alone_and_cannot_be_steered(
    questioning: Questioning, body: dict[str, Any]
) -> None:
    assert questioning.posed(body) is None
    with pytest.raises(RecipeError, match="wants one message of the user"):
        questioning.posed({**body, "recipe": {}})


def test_a_system_message_makes_an_ordinary_request_unless_it_is_steered(questioning: Questioning) -> None:
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": CHOICE}]
    assert questioning.posed({"messages": messages}) is None
    steered = questioning.posed({"messages": messages, "recipe": {}})
    assert steered and steered.body["messages"] == messages and RULE_ARGUMENT in steered.body["vllm_xargs"]


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("flag", [True, False, None])
def test_a_question_gets_what_an_evaluation_gives_it(questioning: Questioning, mode: Mode, flag: bool | None) -> None:
    """The prompt with its blanks and control tokens as a client sends it; parts or whole."""
    text = f" {CHOICE} <|im_end|> \n"
    for content in (text, [{"type": "text", "text": text}]):
        found = posed(questioning, content, recipe={"is_multiple_choice": flag, "mode": mode.value})
        prompt = questioning.rules.chat.defuse(text.strip())
        kind = asked(text.strip(), flag)
        rule = questioning.rules.rule(mode, kind, prompt)
        assert [message["content"] for message in found.body["messages"]] == [system_prompt(kind.type), prompt]
        assert found.rule == rule and "recipe" not in found.body
        sent = found.body["vllm_xargs"].get(RULE_ARGUMENT)
        assert (sent is None) == rule.is_free and (sent is None or rule_from_json(sent) == rule)
        assert found.body["max_completion_tokens"] == rule.max_new_tokens and found.body["temperature"] == 0
        assert found.body["model"] == "v8" and "logprobs" not in found.body
        assert found.told["task_type"] == kind.type and found.told["mode"] == mode


def test_what_a_request_sets_itself_wins(questioning: Questioning) -> None:
    body = posed(questioning, "Describe a fork.", temperature=0.7, max_tokens=7, model="base", seed=1, stop=None,
                 vllm_xargs={"other": 1}).body  # fmt: skip
    assert body["temperature"] == 0.7 and body["max_tokens"] == body["max_completion_tokens"] == 7
    assert body["model"] == "base" and body["seed"] == 1 and "stop" not in body
    assert body["vllm_xargs"] == {"other": 1}  # a described fork is bound by nothing


def test_the_type_can_be_told(questioning: Questioning) -> None:
    text = "Which are sharp?\n1. a knife\n2. a spoon\n3. a saw"
    for kind in TaskType:
        found = posed(questioning, text, recipe={"task_type": kind.value})
        assert found.told["task_type"] == kind
        assert found.body["messages"][0]["content"] == system_prompt(kind)
    assert posed(questioning, text, recipe={"task_type": "ranking"}).rule.choice.least == 3  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("recipe", "more", "message"),
    [
        ({"is_multiple_choise": True}, {}, "is_multiple_choise: no such field\n.*is_multiple_choice"),
        ({"mode": "exactly"}, {}, "recipe.mode: .*'exact'.* not 'exactly'"),
        ({"task_type": "ner"}, {}, "recipe.task_type: .*named_entity_recognition"),
        ({"is_multiple_choice": "perhaps"}, {}, "recipe.is_multiple_choice"),
        ({"task_type": "ner", "mode": []}, {}, "recipe"),
        ({"task_type": "generation", "is_multiple_choice": False}, {}, "not both"),
        ({"probabilities": True}, {"stream": True}, "without stream"),
        ({"probabilities": True}, {"logprobs": True}, "without logprobs"),
        ("exact", {}, "wants an object"),
    ],
)
def test_steering_that_leads_nowhere_is_refused(
    questioning: Questioning, recipe: Any, more: dict[str, Any], message: str
) -> None:
    with pytest.raises(RecipeError, match=message):
        posed(questioning, CHOICE, recipe=recipe, **more)


def test_nothing_to_rank_is_refused(questioning: Questioning) -> None:
    with pytest.raises(RecipeError, match=r"no numbered list.*ranking"):
        posed(questioning, "Rank forks by price.", recipe={"task_type": "ranking"})


def logprobs(**tokens: float) -> dict[str, Any]:
    top = [{"token": f"token_id:{name[1:]}", "logprob": math.log(share)} for name, share in tokens.items()]
    return {"message": {"content": " 1"}, "logprobs": {"content": [{"token": "x", "top_logprobs": top}]}}


def test_probabilities_are_shares_of_the_listed_options(questioning: Questioning) -> None:
    found = posed(questioning, CHOICE, recipe={"probabilities": True})
    zero, one = found.body["logprob_token_ids"]
    assert questioning.rules.chat.tokenizer.decode([zero, one]) == "01" and found.body["logprobs"] is True
    answer = found.answered({"choices": [logprobs(**{f"t{one}": 0.3, f"t{zero}": 0.1, "t99": 0.6})]})
    assert answer["recipe"]["probabilities"] == {"0": pytest.approx(0.25), "1": pytest.approx(0.75)}
    assert answer["recipe"]["outside"] == pytest.approx(0.6) and "logprobs" not in answer["choices"][0]
    assert answer["choices"][0]["message"]["content"] == "1"
    for nothing in ({"content": []}, None):
        none = found.answered({"choices": [{"message": {"content": None}, "logprobs": nothing}]})
        assert "probabilities" not in none["recipe"] and none["choices"][0]["message"]["content"] is None


def test_options_that_begin_alike_have_no_probabilities(questioning: Questioning) -> None:
    eleven = "Which one?\n" + "\n".join(f"{at}. item" for at in range(11))
    assert "logprobs" not in posed(questioning, eleven, recipe={"probabilities": True}).body
    assert "logprobs" not in posed(questioning, "Describe a fork.", recipe={"probabilities": True}).body


@given(st.text("a b.!。\n", max_size=60), st.lists(st.integers(0, 60), max_size=8), st.none() | st.just(3))
def test_the_pieces_of_a_stream_add_up_to_the_finished_answer(text: str, cuts: list[int], words: int | None) -> None:
    rule = Rule(96, (0,), words=words)
    stream = Stream(Posed({}, rule, {"task_type": "generation"}, {}))
    ends = sorted({min(cut, len(text)) for cut in [0, *cuts, len(text)]})
    pieces = [text[begin:end] for begin, end in pairwise(ends)]
    said = ""
    for piece in pieces:
        passed_on = stream.passed_on({"choices": [{"index": 0, "delta": {"content": piece}}]})
        said += passed_on["choices"][0]["delta"]["content"]
        assert passed_on["recipe"] == {"task_type": "generation"}
    assert said == finished(text, rule)
    assert stream.passed_on({"choices": [], "usage": {}})["usage"] == {}
    assert stream.passed_on({"choices": [{"index": 1, "delta": {"role": "assistant"}}]})["choices"][0]["index"] == 1


def through(monkeypatch: pytest.MonkeyPatch, folder: Path, answers: list[Message], body: bytes, path: str) -> Any:
    """The response to one request through the middleware, and what the app behind it, which says ``answers``, got."""
    got: list[Any] = []

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        message = await receive()
        got.append((message["body"], dict(scope["headers"]).get(b"content-length")))
        for answer in answers:
            await send(answer)

    settings = {"model": str(folder), "name": "v8", "mode": "exact", "max_length": LENGTH, "mixed_on_cpu": False}
    monkeypatch.setenv(SETTINGS, json.dumps(settings))

    async def run() -> httpx.Response:
        transport = httpx.ASGITransport(app=Questions(app))  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://vllm") as client:
            return await client.post(path, content=body)

    return asyncio.run(run()), got


def start(kind: bytes, status: int = 200) -> Message:
    return {"type": "http.response.start", "status": status,
            "headers": [(b"content-type", kind), (b"content-length", b"7")]}  # fmt: skip


def part(body: bytes, more: bool) -> Message:
    return {"type": "http.response.body", "body": body, "more_body": more}


CHAT = "/v1/chat/completions"


def test_a_whole_answer_is_finished_and_its_length_told(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    said = json.dumps({"id": "x", "choices": [{"message": {"content": " 1 "}}]}).encode()
    answers = [start(b"application/json"), part(said[:9], True), part(said[9:], False)]
    response, got = through(monkeypatch, folder, answers, json.dumps(user(CHOICE)).encode(), CHAT)
    assert response.json()["choices"][0]["message"]["content"] == "1" and response.json()["id"] == "x"
    assert response.json()["recipe"]["task_type"] == "multiple-choice"
    assert int(response.headers["content-length"]) == len(response.content)
    ((body, length),) = got
    assert int(length) == len(body) and json.loads(body)["messages"][1]["content"] == CHOICE


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_stream_may_be_cut_anywhere(monkeypatch: pytest.MonkeyPatch, folder: Path, size: int) -> None:
    chunks = [{"choices": [{"index": 0, "delta": {"content": text}}]} for text in (" A", " fork", " é", " ")]
    events = [b"data: " + json.dumps(chunk).encode() for chunk in chunks]
    whole = b"\n\n".join([b": keep-alive", *events, b"data: [DONE]", b""])
    parts = [part(whole[at : at + size], True) for at in range(0, len(whole), size)]
    answers = [start(b"text/event-stream; charset=utf-8"), *parts, part(b"", False)]
    body = json.dumps(user("Describe a fork.", stream=True)).encode()
    response, _ = through(monkeypatch, folder, answers, body, CHAT)
    lines = response.content.decode().split("\n\n")
    assert lines[0] == ": keep-alive" and lines[-2:] == ["data: [DONE]", ""]
    found = [json.loads(line.removeprefix("data: ")) for line in lines[1:-2]]
    assert "".join(one["choices"][0]["delta"]["content"] for one in found) == "A fork é"
    assert all(one["recipe"]["task_type"] == "generation" for one in found)


@pytest.mark.parametrize(
    ("body", "path", "status"),
    [
        (b"{", CHAT, 400), (b"[1]", CHAT, 400), (json.dumps(user(CHOICE)).encode(), CHAT, 404),
        (json.dumps(user(CHOICE)).encode(), "/v1/other", 200), (json.dumps({"messages": []}).encode(), CHAT, 200),
    ],
)  # fmt: skip
def test_what_is_not_ours_passes_as_it_is(
    monkeypatch: pytest.MonkeyPatch, folder: Path, body: bytes, path: str, status: int
) -> None:
    said = b'{"a":1}'
    response, got = through(monkeypatch, folder, [start(b"application/json", status), part(said, False)], body, path)
    assert response.status_code == status and response.content == said
    assert status == 404 or got[0][0] == body


def test_a_refusal_has_the_form_of_openais(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    body = json.dumps(user(CHOICE, recipe={"mod": "free"})).encode()
    response, got = through(monkeypatch, folder, [], body, CHAT)
    assert response.status_code == 400 and not got
    assert response.json()["error"]["message"].startswith("recipe.mod: no such field")


@pytest.mark.parametrize(
    ("host", "url"),
    [("127.0.0.1", "http://127.0.0.1:8000"), ("0.0.0.0", "http://127.0.0.1:8000"), ("::", "http://[::1]:8000")],
)
def test_the_command_line_and_the_address(folder: Path, host: str, url: str) -> None:
    serving = Serving("v8", folder, BASE, Mode.FREE, 512, "float32", 4, host, 8000)
    line = " ".join(serving.arguments(None))
    assert serving.url == url and f"--host {host} --port 8000" in line
    for flag in ("--max-model-len 512", "--tensor-parallel-size 4", "--no-async-scheduling", "--no-enforce-eager"):
        assert f" {flag} " in line
    assert "--served-model-name v8" in line and "lora" not in line
    assert json.loads(serving.variables[SETTINGS])["mode"] == "free"
