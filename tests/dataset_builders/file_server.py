"""A real server on this machine that cuts, lies, refuses and redirects, and sources whose files lie there."""

from __future__ import annotations

import hashlib
import os
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from dataset_builders.published.fetch import fetch
from dataset_builders.published.sources import File, Licence, Published
from spine.errors import RecipeError

CONTENT = os.urandom(300_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
TOKEN = "hf_notarealtoken"


@dataclass
class Served:
    """One address: what lies there, and what goes wrong when it is asked for (the one byte of the ask is not cut).

    ``cuts``: after how many bytes each answer breaks off, one after the other; -1 holds the connection open.
    """

    content: bytes = CONTENT
    ranges: bool = True
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    announced: int | None = None
    cuts: list[int] = field(default_factory=list)


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.served: dict[str, Served] = {}
        self.asked: list[tuple[str, str | None, str | None]] = []  # path, Range, Authorization
        self.go_on = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, *_: Any) -> None:
        """A client that goes away is what these tests are about."""

    def ranges(self) -> list[str | None]:
        """What was asked for, without the first question."""
        return [asked for _, asked, _ in self.asked if asked != "bytes=0-0"]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        path, wanted = self.path.partition("?")[0], self.headers["Range"]
        self.server.asked.append((path, wanted, self.headers["Authorization"]))
        served = self.server.served.get(path, Served(b"", status=404))
        start, end = 0, len(served.content)
        size = served.announced or end
        if wanted and served.ranges and served.status == 200:
            asked = re.fullmatch(r"bytes=(\d+)-(\d*)", wanted)
            assert asked
            start, end = int(asked[1]), int(asked[2] or size - 1) + 1
            self.send_response(416 if start >= size else 206)
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{size}")
        else:
            self.send_response(served.status)
        body = served.content[start:end]
        self.send_header("Content-Length", str(end - start if served.announced else len(body)))
        for name, value in served.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self._send(body, [] if wanted == "bytes=0-0" else served.cuts)
        self.close_connection |= bool(served.announced)

    def _send(self, body: bytes, cuts: list[int]) -> None:
        cut = cuts.pop(0) if cuts else None
        try:
            self.wfile.write(body if cut is None else body[: abs(cut)])
            self.wfile.flush()
            if cut is not None and cut < 0:
                self.server.go_on.wait(30)
        except OSError:
            pass  # the other side has gone
        self.close_connection = cut is not None or self.close_connection


def source(*files: File, accept: bool = False, by_hand: str = "") -> dict[str, Published]:
    licence = Licence("CC BY-NC 4.0", "https://licence.example", accept, "not for sale")
    return {"esci": Published("ESCI", "https://home.example", licence, files, by_hand)}


def one(server: Server, served: Served, sha256: str | None = None) -> dict[str, Published]:
    """A source whose only file is ``served``."""
    server.served["/published.bin"] = served
    return source(File("deep/file.bin", f"{server.url}/published.bin", sha256=sha256))


def refusal(sources: dict[str, Published], out: Path, **options: Any) -> str:
    with pytest.raises(RecipeError) as caught:
        fetch(sources, out, **options)
    return str(caught.value)
