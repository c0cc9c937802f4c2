"""A small OpenAI-compatible server over a transformers model, one request at a time: for ``recipe synth demo``.

    python -m dataset_builders.synthesis.demo_server models/SmolLM2-135M-Instruct

prints its port. Runs in the train environment. It knows structured outputs for the forms that syntheses have: the
braces, names and commas are its own, and the model writes the values.
"""

from __future__ import annotations

import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

_MOST_VALUE = 24  # tokens of one text
_MOST_ITEMS = 3  # of a list whose form sets no number
_NUCLEUS = 0.9  # of the probability is drawn from


class Writer:
    """A text that the model and we write in turn; the cache keeps what was read. Ids have shape (1, tokens)."""

    def __init__(self, model: Any, tokenizer: Any, prompt: str, temperature: float) -> None:
        self._model, self._tokenizer, self._temperature = model, tokenizer, temperature
        self._past: Any = None
        self.asked, self.text, self.tokens = 0, "", 0
        self._feed(tokenizer.encode(prompt, add_special_tokens=False))
        self.asked = self._read

    def give(self, text: str) -> None:
        """Writes ``text`` ourselves."""
        self.text += text
        self._feed(self._tokenizer.encode(text, add_special_tokens=False))

    def value(self, ends: str, most: int) -> str:
        """What the model writes until a letter of ``ends``, or its own end."""
        ids: list[int] = []
        while len(ids) < most:
            token = self._next()
            if token in self._tokenizer.all_special_ids:
                break
            said = self._tokenizer.decode([*ids, token])
            if any(letter in said for letter in ends):
                return str(said[: min(said.find(letter) for letter in ends if letter in said)])
            ids.append(token)
            self._feed([token])
        return str(self._tokenizer.decode(ids))

    _read = 0

    def _feed(self, ids: list[int]) -> None:
        import torch

        if not ids:
            return
        with torch.inference_mode():
            found = self._model(torch.tensor([ids]), past_key_values=self._past, use_cache=True)
        self._past, self._scores = found.past_key_values, found.logits[0, -1].float()
        self._read += len(ids)

    def _next(self) -> int:
        import torch

        self.tokens += 1
        if self._temperature < 0.01:
            return int(self._scores.argmax())
        chances, order = (self._scores / self._temperature).softmax(-1).sort(descending=True)
        chances[chances.cumsum(-1) - chances > _NUCLEUS] = 0.0
        return int(order[torch.multinomial(chances, 1)])


def write_form(writer: Writer, form: dict[str, Any], root: dict[str, Any]) -> Any:
    """A value of the JSON Schema ``form``, written piece by piece."""
    form = root["$defs"][form["$ref"].rpartition("/")[2]] if "$ref" in form else form
    match form:
        case {"properties": dict() as properties}:
            found = {}
            for number, (name, inner) in enumerate(properties.items()):
                writer.give(f"{', ' if number else '{'}{json.dumps(name)}: ")
                found[name] = write_form(writer, inner, root)
            writer.give("}")
            return found
        case {"type": "array", "items": dict() as inner}:
            writer.give("[")
            values = []
            for number in range(form.get("minItems", _MOST_ITEMS)):
                writer.give(", " if number else "")
                values.append(write_form(writer, inner, root))
            writer.give("]")
            # A list that may be empty is: of what the model leaves blank.
            return values if "minItems" in form else [value for value in values if value]
        case {"type": "number" | "integer" as kind}:
            digits = "".join(letter for letter in writer.value(",}] \n", 8) if letter.isdigit() or letter == ".")
            return _number(digits, kind)
        case {"enum": list() as choices}:
            writer.give('"')
            said = writer.value('"\n', 8)
            return next((choice for choice in choices if said.startswith(choice[:4])), choices[0])
        case _:
            writer.give('"')
            said = writer.value('"\n', _MOST_VALUE).replace("\\n", " ").replace("\\", "")
            writer.give('"')
            return said.strip()


def _number(digits: str, kind: str) -> float:
    try:
        return int(float(digits)) if kind == "integer" else float(digits)
    except ValueError:
        return 0


def answer(model: Any, tokenizer: Any, request: dict[str, Any]) -> dict[str, Any]:
    """The body of a chat completion."""
    prompt = tokenizer.apply_chat_template(request["messages"], tokenize=False, add_generation_prompt=True)
    writer = Writer(model, tokenizer, prompt, float(request.get("temperature", 0.7)))
    if form := (request.get("response_format") or {}).get("json_schema"):
        said = json.dumps(write_form(writer, form["schema"], form["schema"]), ensure_ascii=False)
    else:
        said = writer.value("\0", int(request.get("max_tokens", 200)))
    return {
        "id": "demo",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": request["model"],
        "choices": [{"index": 0, "message": {"role": "assistant", "content": said}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": writer.asked, "completion_tokens": writer.tokens},
    }


def serve(folder: str) -> None:
    """Serves the model in ``folder`` on a free port until it is ended."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.manual_seed(0)
    # One core is left to whoever asks: two threads that wait for each other's core take five times as long.
    torch.set_num_threads(max(1, len(os.sched_getaffinity(0)) - 1))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            name = folder.rstrip("/").rpartition("/")[2]
            self._send({"object": "list", "data": [{"id": name, "object": "model", "created": 0, "owned_by": "-"}]})

        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self._send(answer(model, tokenizer, request))

        def _send(self, body: dict[str, Any]) -> None:
            content = json.dumps(body).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Connection", "close")  # one thread serves: nobody may keep it
            self.end_headers()
            self.wfile.write(content)
            self.close_connection = True

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_address[1], flush=True)
    server.serve_forever()


if __name__ == "__main__":
    serve(sys.argv[1])
