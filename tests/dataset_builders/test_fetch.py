"""Files fetched from a real server on this machine that cuts, lies, refuses and redirects."""

from __future__ import annotations

import hashlib
import json
import os
import re
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from dataset_builders.published import fetch as fetching
from dataset_builders.published import transfer
from dataset_builders.published.fetch import MANIFEST, Outcome, fetch
from dataset_builders.published.sources import SOURCES, File, Licence, Published, in_words, total
from dataset_builders.published.transfer import Part
from dataset_builders.raw import RawData
from dataset_builders.sources import _files, amazon_reviews
from recipe.commands.fetch import command
from spine.errors import RecipeError
from spine.lock import locked
from spine.paths import ROOT

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


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(fetching, "PAUSES", (0.0, 0.0))
    with Server() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.go_on.set()
        server.shutdown()


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


def test_a_file_goes_where_its_reader_looks_and_is_not_fetched_twice(serve: Server, tmp_path: Path) -> None:
    sources, told = one(serve, Served(), SHA256), []
    outcomes = fetch(sources, tmp_path, report=lambda *news: told.append(news))
    assert (tmp_path / "esci/deep/file.bin").read_bytes() == CONTENT
    assert outcomes == [Outcome("esci/deep/file.bin", len(CONTENT), SHA256, "fetched")]
    assert told[-1] == (len(CONTENT), len(CONTENT), "esci/deep/file.bin")
    assert [path.name for path in (tmp_path / "esci/deep").iterdir()] == ["file.bin"]
    before = (tmp_path / MANIFEST).read_bytes()
    serve.asked.clear()
    assert [outcome.how for outcome in fetch(sources, tmp_path)] == ["there already"] and not serve.asked
    assert (tmp_path / MANIFEST).read_bytes() == before


@pytest.mark.parametrize(
    "etag", [{"ETag": f'"{"0" * 64}"'}, {}]
)  # raw.githubusercontent.com's is 64 digits of something else
def test_a_connection_that_breaks_is_taken_up_where_it_broke(
    etag: dict[str, str], serve: Server, tmp_path: Path
) -> None:
    outcomes = fetch(one(serve, Served(headers=etag, cuts=[1000, 150_000, 0, 5])), tmp_path)
    assert serve.ranges() == [None, *(f"bytes={came}-" for came in (1000, 151_000, 151_000, 151_005))]
    assert outcomes[0].sha256 == SHA256
    assert json.loads((tmp_path / MANIFEST).read_text())["esci/deep/file.bin"]["sha256"] == SHA256


def test_a_server_that_knows_no_ranges_sends_it_whole_again(serve: Server, tmp_path: Path) -> None:
    assert fetch(one(serve, Served(ranges=False, cuts=[200_000])), tmp_path)[0].sha256 == SHA256
    assert serve.ranges() == [None, "bytes=200000-"]


def test_a_connection_that_only_breaks_is_given_up_and_what_came_is_kept(serve: Server, tmp_path: Path) -> None:
    sources = one(serve, Served(cuts=[100_000, 0, 0]))
    assert "given up when 100.0 kB had come" in refusal(sources, tmp_path)
    assert fetch(sources, tmp_path)[0] == Outcome("esci/deep/file.bin", len(CONTENT), SHA256, "resumed")
    assert serve.ranges()[-1] == "bytes=100000-"


def test_a_server_that_never_gets_beyond_the_middle_is_given_up(serve: Server, tmp_path: Path) -> None:
    sources = one(serve, Served(ranges=False, cuts=[100_000] * 10))
    assert "given up when 100.0 kB had come" in refusal(sources, tmp_path) and len(serve.ranges()) == 3


def test_a_killed_run_goes_on(serve: Server, tmp_path: Path) -> None:
    served = Served(headers={"ETag": '"a"'}, cuts=[-170_000])
    sources, part = one(serve, served), tmp_path / "esci/deep/file.bin.part"
    code = (
        "import sys; from pathlib import Path; from dataset_builders.published.fetch import fetch\n"
        "from dataset_builders.published.sources import File, Licence, Published\n"
        "files = (File('deep/file.bin', sys.argv[1]),)\n"
        "fetch({'esci': Published('', '', Licence('', ''), files)}, Path(sys.argv[2]))"
    )
    url = f"{serve.url}/published.bin"
    process = subprocess.Popen([sys.executable, "-c", code, url, str(tmp_path)], cwd=ROOT)
    deadline = time.monotonic() + 30
    while not (part.exists() and part.stat().st_size > 100_000) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    came = part.stat().st_size
    assert 100_000 < came <= 170_000
    assert fetch(sources, tmp_path)[0] == Outcome("esci/deep/file.bin", len(CONTENT), SHA256, "resumed")
    assert serve.ranges()[-1] == f"bytes={came}-" and not part.exists()


def test_part_of_an_older_file_is_not_taken_up(serve: Server, tmp_path: Path) -> None:
    sources = one(serve, Served(bytes(300_000), headers={"ETag": '"old"'}, cuts=[100_000, 0, 0]))
    refusal(sources, tmp_path)
    serve.served["/published.bin"] = Served(headers={"ETag": '"new"'})
    assert fetch(sources, tmp_path)[0] == Outcome("esci/deep/file.bin", len(CONTENT), SHA256, "fetched")


def test_bytes_that_are_not_the_file_are_removed(serve: Server, tmp_path: Path) -> None:
    said = refusal(one(serve, Served(), "0" * 64), tmp_path)
    assert f"300,000 bytes, sha256 {SHA256}; expected 300,000 bytes, sha256 {'0' * 64}" in said and "again" in said
    assert list((tmp_path / "esci/deep").iterdir()) == []


def test_a_file_shorter_than_announced_is_not_taken_for_whole(serve: Server, tmp_path: Path) -> None:
    said = refusal(one(serve, Served(announced=400_000)), tmp_path)
    assert "given up when 300.0 kB had come" in said and not (tmp_path / "esci/deep/file.bin").exists()


def test_a_packed_file_stays_packed(serve: Server, tmp_path: Path) -> None:
    fetch(one(serve, Served(headers={"Content-Encoding": "gzip"})), tmp_path)
    assert (tmp_path / "esci/deep/file.bin").read_bytes() == CONTENT


def test_the_hub_tells_the_sha256_and_its_token_goes_nowhere_else(
    serve: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Server() as store:
        threading.Thread(target=store.serve_forever, args=(0.01,), daemon=True).start()
        store.served["/signed"] = Served(headers={"ETag": '"of-the-store"'})
        headers = {"Location": f"{store.url}/signed?Signature=secret", "X-Linked-ETag": f'"{SHA256}"'}
        sources = one(serve, Served(b"", status=302, headers=headers))
        monkeypatch.setattr(transfer, "HUB", serve.url)
        assert fetch(sources, tmp_path / "one", token=TOKEN)[0].sha256 == SHA256
        assert {signed for _, _, signed in serve.asked} == {f"Bearer {TOKEN}"}
        assert [path for path, _, signed in store.asked if signed is None] == ["/signed", "/signed"]

        headers["X-Linked-ETag"] = f'"{"0" * 64}"'
        said = refusal(sources, tmp_path / "two", token=TOKEN)
        assert "what came is not the file" in said and "Signature" not in said and TOKEN not in said
        monkeypatch.setattr(transfer, "HUB", "https://huggingface.co")
        serve.asked.clear()
        refusal(sources, tmp_path / "three", token=TOKEN)
        assert {signed for _, _, signed in serve.asked} == {None}
        store.shutdown()


def test_another_file_on_the_server_is_refused_before_it_comes(serve: Server, tmp_path: Path) -> None:
    said = refusal(one(serve, Served(headers={"X-Linked-ETag": SHA256}), "0" * 64), tmp_path)
    assert "the server has another file than the one this recipe knows" in said and not serve.ranges()


@pytest.mark.parametrize(
    ("status", "token", "said"),
    [
        (401, None, "asks who you are (HTTP 401)\n  -> accept the terms at https://home.example, then: HF_TOKEN="),
        (403, TOKEN, "refuses the account of HF_TOKEN (HTTP 403)\n  -> accept the terms at https://home.example"),
        (404, None, "the file is not there any more (HTTP 404)\n  -> see https://home.example"),
        (418, None, "the server answers HTTP 418"),
    ],
)
def test_a_refusal_is_explained(
    status: int, token: str | None, said: str, serve: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "HUB", serve.url)
    told = refusal(one(serve, Served(status=status)), tmp_path, token=token)
    assert told.startswith(f"{serve.url}/published.bin: ") and said in told and TOKEN not in told


def test_the_refusals_of_all_sources_are_told_at_once_and_nothing_is_fetched(serve: Server, tmp_path: Path) -> None:
    sources = one(serve, Served())
    for name in ("gated", "gone"):
        files = tuple(File(f"{part}.bin", f"{serve.url}/{name}/{part}") for part in "ab")
        sources[name] = Published(name, f"https://{name}.example", Licence("", ""), files)
    serve.served["/gated/a"] = Served(status=403)
    said = refusal(sources, tmp_path)
    assert "see https://gated.example" in said and "see https://gone.example" in said and not serve.ranges()
    assert len(serve.asked) == 3  # a source that is refused is not asked for its other files


def test_a_busy_server_is_tried_again(serve: Server, tmp_path: Path) -> None:
    sources = one(serve, Served(cuts=[100_000, 0]))

    def be_busy(done: int, whole: int | None, name: str) -> None:
        serve.served["/published.bin"].status = 503 if serve.ranges() else 200

    said = refusal(sources, tmp_path, report=be_busy)
    assert "given up when 100.0 kB had come: the server answers HTTP 503" in said and len(serve.ranges()) == 3
    serve.served["/published.bin"].status = 200
    assert fetch(sources, tmp_path)[0].how == "resumed"


def test_no_network_and_pages_in_place_of_files(serve: Server, tmp_path: Path) -> None:
    nobody = source(File("a.bin", "http://127.0.0.1:1/a.bin"))
    assert "no connection: " in refusal(nobody, tmp_path) and "HTTPS_PROXY" in refusal(nobody, tmp_path)
    page = one(serve, Served(b"<html>", headers={"Content-Type": "text/html; charset=utf-8"}))
    assert "a web page comes in place of the file" in refusal(page, tmp_path)


@pytest.mark.parametrize("token", [f"{TOKEN}\nX", f"{TOKEN} x", "hf_ü"])
def test_a_token_with_a_stray_character_is_refused_unseen(token: str, tmp_path: Path) -> None:
    said = refusal(source(), tmp_path, token=token)
    assert "HF_TOKEN" in said and TOKEN not in said and "ü" not in said


def test_a_proxy_that_cannot_be_used_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "gopher://user:password@proxy.example")
    said = refusal(source(), tmp_path)
    assert "the proxy of this environment" in said and "password" not in said


def test_what_does_not_fit_is_not_begun(serve: Server, tmp_path: Path) -> None:
    said = refusal(one(serve, Served(announced=10**18)), tmp_path)
    assert "1000000.0 TB are to come" in said and "--only" in said and not serve.ranges()


def test_a_disk_that_fills_up_is_explained_and_what_came_is_kept(serve: Server, tmp_path: Path) -> None:
    sources, limits = one(serve, Served()), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        said = refusal(sources, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "cannot write: File too large" in said and "--out" in said
    assert (tmp_path / "esci/deep/file.bin.part").stat().st_size == 100_000
    assert fetch(sources, tmp_path)[0] == Outcome("esci/deep/file.bin", len(CONTENT), SHA256, "resumed")


def test_a_folder_that_cannot_be_made_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "cannot write: Not a directory" in refusal(source(), tmp_path / "file" / "out")


def test_terms_are_accepted_before_anything_is_asked(serve: Server, tmp_path: Path) -> None:
    one(serve, Served())
    sources = source(File("a.bin", f"{serve.url}/published.bin"), accept=True)
    said = refusal(sources, tmp_path)
    assert "CC BY-NC 4.0; not for sale" in said and "read https://licence.example" in said and not serve.asked
    assert fetch(sources, tmp_path, accepted=True)[0].how == "fetched"


@pytest.mark.parametrize("there", ["products.csv", "products.parquet"])
def test_files_that_are_fetched_by_hand(there: str, tmp_path: Path) -> None:
    sources = source(File("products.csv", None), by_hand="log in at AIcrowd")
    said = refusal(sources, tmp_path)
    assert "products.csv must be fetched by hand" in said and "-> log in at AIcrowd" in said
    (tmp_path / "esci").mkdir()
    (tmp_path / "esci" / there).write_bytes(CONTENT)
    assert fetch(sources, tmp_path) == [Outcome(f"esci/{there}", len(CONTENT), SHA256, "there already")]
    (tmp_path / "esci" / there).write_bytes(b"something else")
    assert "this is not the published file" in refusal(sources, tmp_path)


def test_a_file_of_the_users_own_is_recognised_or_left_alone(serve: Server, tmp_path: Path) -> None:
    path = tmp_path / "esci/deep/file.bin"
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)
    sources = one(serve, Served())
    assert fetch(sources, tmp_path)[0].how == "there already" and not serve.ranges()
    (tmp_path / MANIFEST).unlink()
    path.write_bytes(b"mine")
    said = refusal(sources, tmp_path)
    assert "this is not the published file" in said and f"rm {path}" in said and path.read_bytes() == b"mine"


def test_a_file_that_has_changed_since_it_came_is_noticed(serve: Server, tmp_path: Path) -> None:
    sources = one(serve, Served())
    fetch(sources, tmp_path)
    (tmp_path / "esci/deep/file.bin").write_bytes(CONTENT[:-1] + b"!")
    assert f"expected {SHA256}" in refusal(sources, tmp_path)
    (tmp_path / MANIFEST).write_text("{")
    assert MANIFEST in refusal(sources, tmp_path)


def test_one_at_a_time(tmp_path: Path) -> None:
    with locked(tmp_path):
        assert f"pid {os.getpid()}" in refusal(source(), tmp_path)


@pytest.mark.parametrize(
    ("only", "chosen"),
    [
        (["All_Beauty"], ["raw/review_categories/All_Beauty.jsonl.gz", "raw/meta_categories/meta_All_Beauty.jsonl.gz"]),
        (["*/Gift*", "meta_Soft"], [
            "raw/review_categories/Gift_Cards.jsonl.gz", "raw/meta_categories/meta_Software.jsonl.gz",
        ]),
    ],
)  # fmt: skip
def test_files_are_chosen_by_pattern(only: list[str], chosen: list[str], tmp_path: Path) -> None:
    wanted = fetching.choose({"amazon_reviews": SOURCES["amazon_reviews"]}, tmp_path, only)
    assert [found.file.path for found in wanted] == chosen


def test_a_misspelt_choice_names_the_nearest(tmp_path: Path) -> None:
    said = refusal({"amazon_reviews": SOURCES["amazon_reviews"]}, tmp_path, only=["All_Beuaty"])
    assert "did you mean 'All_Beauty'" in said


def test_the_facts_are_of_the_right_form() -> None:
    for found in SOURCES.values():
        assert found.licence.url.startswith("https://") and found.home.startswith("https://")
        assert bool(found.by_hand) == any(file.url is None for file in found.files)
        assert len({file.path for file in found.files}) == len(found.files)
        for file in found.files:
            assert file.url is None or file.url.startswith("https://")
            assert file.url is None or "/main/" not in file.url  # a branch moves; a commit does not
            assert file.sha256 is None or re.fullmatch("[0-9a-f]{64}", file.sha256)


def test_every_file_is_where_its_reader_looks(tmp_path: Path) -> None:
    for name, found in SOURCES.items():
        for file in found.files:
            path = tmp_path / name / file.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    raw = RawData(tmp_path)
    assert len(amazon_reviews.categories(raw)) == 33
    for category in amazon_reviews.categories(raw):
        assert _files.find(raw / "amazon_reviews/raw/meta_categories", f"meta_{category}")
    for folder, stem in (
        ("alpaca", "alpaca_data_cleaned"), ("amazon_m2", "products_train"), ("amazon_m2", "sessions_train"),
        ("ecinstruct", "dataset"), ("esci", "shopping_queries_dataset_examples"), ("mmlu", "auxiliary_train"),
        ("esci", "shopping_queries_dataset_products"), ("mmlu/test", "*_test"),
    ):  # fmt: skip
        assert _files.find_all(raw / folder, stem)


def test_a_part_hashes_what_an_earlier_run_left(tmp_path: Path) -> None:
    with Part(tmp_path / "a.bin", keep=True) as part:
        part.write(CONTENT[:1000])
    with Part(tmp_path / "a.bin", keep=True) as part:
        part.write(CONTENT[1000:])
        assert (part.size, part.sha256) == (len(CONTENT), SHA256)
        part.clear()
        part.write(b"anew")
        part.keep_as(tmp_path / "a.bin")
    assert (tmp_path / "a.bin").read_bytes() == b"anew"
    with Part(tmp_path / "a.bin", keep=False) as part:
        assert part.size == 0


def test_sizes_in_words() -> None:
    assert [in_words(size) for size in (None, 0, 999, 1000, 51_286_808, 999_999_999)] == [
        "?", "0 B", "999 B", "1.0 kB", "51.3 MB", "1.0 GB",
    ]  # fmt: skip
    files = (File("a", None, 1_000_000, estimated=True), File("b", None))
    assert total(files) == "over 1.0 MB" and total(files[:1]) == "about 1.0 MB" and total(files[1:]) == "?"


def test_the_command_lists_and_refuses(tmp_path: Path) -> None:
    listed = CliRunner().invoke(command, ["--list", "amazon_reviews"])
    assert listed.exit_code == 0 and "CC BY-NC 4.0" in listed.output and "about 98.0 GB" in listed.output
    assert "amazon_reviews/raw/meta_categories/meta_Video_Games.jsonl.gz" in listed.output
    assert "name at least one source" in CliRunner().invoke(command, []).output
    unknown = CliRunner().invoke(command, ["ecsi"]).exception
    assert isinstance(unknown, RecipeError) and "did you mean 'esci'" in str(unknown)
    refused = CliRunner().invoke(command, ["alpaca", "--out", str(tmp_path)]).exception
    assert isinstance(refused, RecipeError) and "--accept-licence" in str(refused)


def test_the_command_fetches(serve: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SOURCES, "esci", one(serve, Served())["esci"])
    monkeypatch.setenv("HF_TOKEN", f"{TOKEN}\n")
    done = CliRunner().invoke(command, ["esci", "--out", str(tmp_path)])
    assert done.exit_code == 0 and SHA256[:16] in done.output and TOKEN not in done.output
    assert f"make data-v8 DATA={tmp_path}" in done.output
