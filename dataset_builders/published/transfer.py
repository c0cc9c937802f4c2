"""One file over HTTP: asked for, received, taken up again where it broke off, and refused with a reason.

Plain https and the Hugging Face hub alike. ``HF_TOKEN`` goes to the hub and nowhere else: httpx takes it out of a
redirect to another host, and no message repeats where a redirect led, for such addresses are signed.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

import httpx

from dataset_builders.published.sources import HUB
from spine.errors import RecipeError
from spine.paths import shown

CHUNK = 1 << 20
_TIMEOUT = httpx.Timeout(60, connect=20)  # seconds
_OF_HUB = (".huggingface.co", ".hf.co")
_AGAIN = {408, 425, 429, 500, 502, 503, 504}  # a server that may answer better in a moment
_LATER = "the same command goes on where this one stopped"


class Remote(NamedTuple):
    """What a server says of a file; ``sha256`` only the hub, ``etag`` changes when the file does."""

    size: int | None
    sha256: str | None
    etag: str | None


class Broken(Exception):
    """A transfer that broke off and is worth another try; its text says why."""


class Part:
    """The bytes of ``path`` so far, in ``NAME.part``, with their sha256: what an earlier run left is hashed too."""

    def __init__(self, path: Path, *, keep: bool) -> None:
        self.path = path.with_name(f"{path.name}.part")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self.path.open("a+b" if keep else "w+b")
        self.size, self._digest = 0, hashlib.sha256()
        self._file.seek(0)
        while chunk := self._file.read(CHUNK):
            self._count(chunk)

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def write(self, chunk: bytes) -> None:
        self._file.write(chunk)
        self._count(chunk)

    def clear(self) -> None:
        self._file.truncate(0)
        self._file.seek(0)
        self.size, self._digest = 0, hashlib.sha256()

    def keep_as(self, path: Path) -> None:
        """The whole file under its own name, once it is on the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self.path.replace(path)

    def _count(self, chunk: bytes) -> None:
        self._digest.update(chunk)
        self.size += len(chunk)

    def __enter__(self) -> Part:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        try:
            self._file.close()
        except OSError:  # a full disk refuses the last bytes a second time
            if not isinstance(error, OSError):
                raise


@contextmanager
def session(token: str | None) -> Iterator[httpx.Client]:
    """A client that sends ``token`` to the hub, and gets every file as it is, not packed for the way."""
    if token and not re.fullmatch(r"[\x21-\x7e]+", token):  # the libraries' own complaint would print it
        raise RecipeError("HF_TOKEN holds a blank or another character that no token has", where="environment")

    def sign(request: httpx.Request) -> None:
        if token and str(request.url).startswith(f"{HUB}/"):
            request.headers["Authorization"] = f"Bearer {token}"

    def follow(response: httpx.Response) -> None:
        begin = response.request.url
        if response.has_redirect_location and not _may_lead(begin, end := begin.join(response.headers["Location"])):
            what = f"the server of {begin.host} leads to another one: {end.scheme}://{end.host}"
            raise RecipeError(what, way_out="no proxy of yours? fetch the file by hand, where its publisher says")

    headers = {"User-Agent": "shopbench-recipe", "Accept-Encoding": "identity"}
    try:
        hooks: dict[str, list[Callable[..., None]]] = {"request": [sign], "response": [follow]}
        client = httpx.Client(follow_redirects=True, timeout=_TIMEOUT, headers=headers, event_hooks=hooks)
    except (ImportError, ValueError, httpx.InvalidURL) as error:
        way_out = "give HTTPS_PROXY and ALL_PROXY an http:// address, or empty them"
        raise RecipeError("the proxy of this environment cannot be used", way_out=way_out) from error
    with client:
        yield client


def _may_lead(begin: httpx.URL, end: httpx.URL) -> bool:
    """Never from https to http; to the same host, and on the hub to the stores where its large files lie."""
    if begin.scheme == "https" and end.scheme != "https":
        return False
    return begin.host == end.host or all(f".{url.host}".endswith(_OF_HUB) for url in (begin, end))


def ask(client: httpx.Client, url: str, home: str) -> Remote:
    """What the server says of the file, for the price of one byte of it.

    Raises:
        RecipeError: it cannot be reached, or does not give the file.
    """
    try:
        with client.stream("GET", url, headers={"Range": "bytes=0-0"}) as response:
            if not response.is_success:
                raise _refused(response, url, home)
            if "text/html" in response.headers.get("Content-Type", ""):
                way_out = "a login page or a proxy stands between; open the address in a browser"
                raise RecipeError("a web page comes in place of the file", where=url, way_out=way_out)
            return _remote(response)
    except httpx.HTTPError as error:
        raise given_up(f"no connection: {str(error) or type(error).__name__}", url) from error


def _remote(response: httpx.Response) -> Remote:
    hops = (hop.headers for hop in (*response.history, response))
    linked = next((headers for headers in hops if "X-Linked-ETag" in headers), None)
    etag = (linked["X-Linked-ETag"] if linked else response.headers.get("ETag", "")).removeprefix("W/").strip('"')
    partial = re.fullmatch(r"bytes 0-0/(\d{1,20})", response.headers.get("Content-Range", ""))
    size = partial[1] if partial else response.headers.get("Content-Length", "")
    sha256 = etag if linked and re.fullmatch("[0-9a-f]{64}", etag) else None  # elsewhere an ETag may be anything
    return Remote(int(size) if re.fullmatch(r"\d{1,20}", size) else None, sha256, etag or None)


def receive(client: httpx.Client, url: str, home: str, part: Part, report: Callable[[int], None]) -> None:
    """Appends to ``part`` what is missing of it; starts anew when the server gives files only as a whole.

    Raises:
        Broken: it broke off; what came is in ``part``.
        RecipeError: the server does not give the file.
    """
    try:
        with client.stream("GET", url, headers={"Range": f"bytes={part.size}-"} if part.size else {}) as response:
            if response.status_code in _AGAIN:
                raise Broken(f"the server answers HTTP {response.status_code}")
            if response.status_code == 416:  # it has less than we have
                part.clear()
                raise Broken("the server's file is shorter than what came of it")
            if not response.is_success:
                raise _refused(response, url, home)
            if part.size and not response.headers.get("Content-Range", "").startswith(f"bytes {part.size}-"):
                part.clear()
                if response.status_code == 206:
                    raise Broken("the server sends another part than the one asked for")
            for chunk in response.iter_raw():  # raw: a .gz is to stay packed, whatever the server calls it
                part.write(chunk)
                report(part.size)
    except httpx.HTTPError as error:
        raise Broken(str(error) or type(error).__name__) from error


def given_up(what: str, url: str) -> RecipeError:
    """For a network that does not carry the file."""
    return RecipeError(what, where=url, way_out=f"look at the network and at HTTPS_PROXY; {_LATER}")


def _refused(response: httpx.Response, url: str, home: str) -> RecipeError:
    code, asked = response.status_code, [*response.history, response][0].request
    look = f"see {home}; a file fetched by hand goes to the same place"
    if code in (401, 403) and url.startswith(f"{HUB}/"):
        if "Authorization" in asked.headers:
            what, look = "refuses the account of HF_TOKEN", f"accept the terms at {home} with that account"
        else:
            what, look = "asks who you are", f"accept the terms at {home}, then: HF_TOKEN=... ({HUB}/settings/tokens)"
        return RecipeError(f"the hub {what} (HTTP {code})", where=url, way_out=look)
    if code in (401, 403):
        return RecipeError(f"the server refuses (HTTP {code})", where=url, way_out=look)
    if code in (404, 410):
        return RecipeError(f"the file is not there any more (HTTP {code})", where=url, way_out=look)
    return RecipeError(f"the server answers HTTP {code}", where=url, way_out=f"try later; {_LATER}")


@contextmanager
def disk_explained(folder: Path) -> Iterator[None]:
    """A disk that takes no more, a folder of somebody else's: what came is kept, unlike in ``spine.atomic``."""
    try:
        yield
    except OSError as error:
        where = shown(Path(error.filename) if error.filename else folder)
        way_out = f"make room, or --out /big/disk; {_LATER}"
        raise RecipeError(f"cannot write: {error.strerror or error}", where=where, way_out=way_out) from error
