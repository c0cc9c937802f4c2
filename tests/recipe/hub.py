"""A Hugging Face hub on this machine, as far as the real client asks for one: repositories, files, commits, faults.

Its answers have the forms that huggingface_hub 1.33 and hf_xet 1.8 read. It keeps what it was sent, and shows it as the
hub would; of a large file that went to the storage service, it keeps the sha256.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "hf_notarealtokenofanybody"
LARGE = (".safetensors", ".parquet", ".png")
BROKEN = 0  # as a status: the connection is closed without a word


@dataclass
class Repo:
    """``commits``: of each commit, the paths that there are after it."""

    private: bool
    files: dict[str, bytes] = field(default_factory=lambda: {".gitattributes": b"*.safetensors filter=lfs\n"})
    commits: list[set[str]] = field(default_factory=list)

    @property
    def head(self) -> str:
        return hashlib.sha1(repr(sorted(self.files.items())).encode()).hexdigest()


@dataclass
class Fault:
    """What a request whose method and path match ``where`` is answered, ``times`` times, once ``after`` have passed."""

    where: str
    status: int
    message: str = ""
    times: int = 1
    after: int = 0


class Hub(ThreadingHTTPServer):
    """``stored``: large files by sha256, in the order in which they came."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repos: dict[tuple[str, str], Repo] = {}
        self.stored: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.faults: list[Fault] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def repo(self, name: str, kind: str = "model") -> Repo:
        return self.repos[kind, name]

    def handle_error(self, *_: Any) -> None:
        """A client that goes away is what some tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 2**16  # an answer in one piece: the client's system would wait 40 ms before it asks for a second
    server: Hub

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._answer()

    do_HEAD = do_POST = do_PUT = do_GET

    def _answer(self) -> None:
        path = self.path.partition("?")[0]
        asked = f"{self.command} {path}"
        body = self._body()
        self.server.asked.append(asked)
        if fault := self._fault(asked):
            if fault.status == BROKEN:
                self.close_connection = True
                return
            self._send({"error": fault.message}, fault.status, {"X-Error-Message": fault.message})
        elif path.startswith("/cas/"):
            self._cas(path)
        elif self.command == "PUT":  # as with S3, the address itself is the permission
            self.server.stored[path.rpartition("/")[2]] = body
            self._send({})
        elif self.headers["Authorization"] != f"Bearer {TOKEN}":
            said = "Invalid credentials in Authorization header"
            self._send({"error": said}, 401, {"X-Error-Message": said})
        else:
            self._serve(path, json.loads(body) if body and b"\n{" not in body else body)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _cas(self, path: str) -> None:
        """The storage service that large files go to by default. It knows every chunk already, so none is sent."""
        if path.startswith("/cas/v1/chunks/"):
            self._send({}, 404)
        else:
            self._send({"was_inserted": True} if "xorb" in path else {"type": "result", "result": 1})

    def _fault(self, asked: str) -> Fault | None:
        for fault in self.server.faults:
            if re.search(fault.where, asked):
                fault.after -= 1
                if fault.after < 0 < fault.times:
                    fault.times -= 1
                    return fault
        return None

    def _serve(self, path: str, body: Any) -> None:
        if path == "/api/repos/create":
            self._create(body)
        elif path == "/api/validate-yaml":
            good = body["content"].startswith("---\n")
            self._send(
                {"errors": [] if good else [{"message": "no front matter"}], "warnings": []}, 200 if good else 400
            )
        elif path.endswith("/xet-write-token/main"):
            place, ends = f"{self.server.url}/cas", int(time.time()) + 3_600
            told = {"X-Xet-Cas-Url": place, "X-Xet-Access-Token": "x", "X-Xet-Token-Expiration": str(ends)}
            self._send({"casUrl": place, "accessToken": "x", "exp": ends}, 200, told)
        elif found := re.fullmatch(r"/(?:(dataset)s/)?([\w.-]+/[\w.-]+)\.git/info/lfs/objects/batch", path):
            self._batch(body)
        elif found := re.fullmatch(r"/api/(model|dataset)s/([\w.-]+/[\w.-]+)(?:/(preupload|commit)/main)?", path):
            repo = self.server.repos.get((found[1], found[2]))
            if repo is None:
                self._send({"error": "Repository not found"}, 404, {"X-Error-Code": "RepoNotFound"})
            else:
                {"preupload": self._modes, "commit": self._commit, None: self._info}[found[3]](repo, found[2], body)
        else:
            self._send({"error": f"what is {path}?"}, 404)

    def _create(self, asked: Mapping[str, Any]) -> None:
        kind, name = asked.get("type", "model"), f"{asked['organization']}/{asked['name']}"
        self.server.repos[kind, name] = Repo(asked.get("visibility") == "private")
        self._send({"url": f"{self.server.url}/{'datasets/' * (kind == 'dataset')}{name}"})

    def _info(self, repo: Repo, name: str, _: Any) -> None:
        blobs = [
            {"rfilename": path, "size": len(content), "blobId": git_hash(content)}
            for path, content in sorted(repo.files.items())
        ]
        self._send({"_id": "1", "id": name, "sha": repo.head, "private": repo.private, "tags": [], "siblings": blobs})

    def _modes(self, repo: Repo, _: str, asked: Mapping[str, Any]) -> None:
        files = [
            {"path": one["path"], "uploadMode": "lfs" if one["path"].endswith(LARGE) else "regular",
             "shouldIgnore": False, "oid": git_hash(there) if (there := repo.files.get(one["path"])) else None}
            for one in asked["files"]
        ]  # fmt: skip
        self._send({"files": files})

    def _batch(self, asked: Mapping[str, Any]) -> None:
        objects = []
        for one in asked["objects"]:
            upload = {"actions": {"upload": {"href": f"{self.server.url}/store/{one['oid']}"}}}
            objects.append(one | ({} if one["oid"] in self.server.stored else upload))
        self._send({"objects": objects, "transfer": "basic"})

    def _commit(self, repo: Repo, name: str, body: bytes) -> None:
        lines = [json.loads(line) for line in body.splitlines()]
        if (parent := lines[0]["value"].get("parentCommit")) and parent != repo.head:
            self._send({"error": "the branch has moved"}, 412)
            return
        for line in lines[1:]:
            key, value = line["key"], line["value"]
            if key == "file":
                repo.files[value["path"]] = base64.b64decode(value["content"])
            elif key == "lfsFile":
                repo.files[value["path"]] = self.server.stored.get(value["oid"], value["oid"].encode())
            elif key == "deletedFile":
                del repo.files[value["path"]]
        repo.commits.append(set(repo.files))
        self._send({"commitUrl": f"{self.server.url}/{name}/commit/{repo.head}", "commitOid": repo.head})

    def _send(self, body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        content = json.dumps(body).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(content)


def git_hash(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
