"""Files fetched from a real server on this machine that cuts, lies, refuses and redirects."""

from __future__ import annotations

import json
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest

from dataset_builders.published import transfer
from dataset_builders.published.fetch import MANIFEST, Outcome, fetch
from dataset_builders.published.sources import File, Licence, Published
from dataset_builders.published.transfer import Part
from spine.paths import ROOT
from tests.dataset_builders.file_server import CONTENT, SHA256, TOKEN, Served, Server, one, refusal, source


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


HUB, STORE = "https://huggingface.co/a", "https://cas-bridge.xethub.hf.co/b"


@pytest.mark.parametrize(
    ("begin", "end", "may"),
    [
        (HUB, STORE, True), (HUB, "https://cdn-lfs.huggingface.co/b", True), (HUB, "http://huggingface.co/b", False),
        (HUB, "https://evilhuggingface.co/b", False), (HUB, "https://hf.co.evil.example/b", False),
        (HUB, "https://raw.githubusercontent.com/b", False), ("https://a.example", "https://b.example", False),
        ("https://a.example/1", "https://a.example/2", True), ("http://a.example", "https://a.example", True),
    ],
)  # fmt: skip
def test_where_a_server_may_lead(begin: str, end: str, may: bool) -> None:
    assert transfer._may_lead(httpx.URL(begin), httpx.URL(end)) is may


def test_a_server_that_leads_elsewhere_is_not_followed(serve: Server, tmp_path: Path) -> None:
    headers = {"Location": "http://localhost:1/signed?Signature=secret"}
    said = refusal(one(serve, Served(b"", status=302, headers=headers)), tmp_path)
    assert "leads to another one: http://localhost" in said and "secret" not in said


@pytest.mark.parametrize("record", ["[]", "[" * 100_000, '{"a": 1}', "{"])
def test_a_damaged_record_is_explained(record: str, serve: Server, tmp_path: Path) -> None:
    (tmp_path / "fetched.json").write_text(record)
    assert "the files themselves are verified again" in refusal(one(serve, Served()), tmp_path)


@pytest.mark.parametrize("length", ["9" * 5_000, "-1", "x"])
def test_a_length_that_is_none_is_none(length: str) -> None:
    response = httpx.Response(206, headers={"Content-Range": f"bytes 0-0/{length}", "Content-Length": length})
    assert transfer._remote(response).size is None


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
