"""One stamp for whatever a result depends on and this repository does not hold: a base, raw files, a JSON of settings.

A stamp is of contents alone: neither a folder's place, nor its name, nor a file's time is part of it. What was read
once is not read again while size, times and inode stay the same: the digests of large files are kept in
``data/cache/stamps``. Of a file that the Hugging Face hub's cache holds by its sha256, the name is taken for it.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock

from spine import manifest
from spine.atomic import write_text
from spine.errors import RecipeError
from spine.manifest import digest
from spine.paths import CACHE, shown
from spine.progress import Meter

# What a model or an adapter is: pickled weights too, where there are no others; no card, no picture, no optimiser.
_MODEL = ("*.safetensors", "*.json", "*.jinja", "*.py", "*.model", "merges.txt", "vocab.txt")
_MODELS_CONFIG = ("config.json", "adapter_config.json")
_PICKLES = "*.bin"
_KEPT_FROM = 2**20  # bytes from which a digest is kept: smaller files are read as fast as their note would be
_SHOWN_FROM = 2 * 2**30  # bytes to be read from which on progress is shown
_CHUNK = 8 * 2**20
_SETTLED_NS = 2 * 10**9  # a file changed later than that may change again without another time (ext4: 4 ms, FAT: 2 s)
_SHA256 = re.compile(r"[0-9a-f]{64}")


def stamp(path: Path) -> str:
    """A hash in hex that changes with any byte of a file, or of a folder's files.

    Of a folder with a model or an adapter its weights, configs and tokenizer count; of one that a step of ours wrote,
    what its manifest lists (a merged model's shards by their sizes: `recipe verify` proves their bytes); of any other
    every file below it. What is hidden (``.cache``) never counts.

    Raises:
        RecipeError: there is nothing at ``path``.
        OSError: a file cannot be read.
    """
    if path.is_file():
        return _digests([path])[0]
    if not path.is_dir():
        raise RecipeError("no such file or folder", where=shown(path))
    made = manifest.read(path) or {}
    if made.keys() >= {"step", "key", "outputs"}:
        return _of_outputs(path, made["outputs"])
    files = sorted(_files(path))
    return digest(dict(zip(_names(path, files), _digests(files), strict=True)))


def _of_outputs(folder: Path, known: Mapping[str, Mapping[str, object]]) -> str:
    """A step's results as they are now: the digest of its manifest's ``outputs`` while these are intact."""
    there = {name: folder / name for name in known if (folder / name).is_file()}
    hashed = [name for name in there if "sha256" in known[name]]
    content = dict(zip(hashed, _digests([there[name] for name in hashed]), strict=True))
    return digest(
        {
            name: {"bytes": path.stat().st_size} | ({"sha256": content[name]} if name in content else {})
            for name, path in there.items()
        }
    )


def _names(folder: Path, files: Sequence[Path]) -> list[str]:
    return [str(file.relative_to(folder)) for file in files]


def _files(folder: Path) -> Iterator[Path]:
    if any((folder / name).is_file() for name in _MODELS_CONFIG):
        weights = () if any(folder.glob("*.safetensors")) else (_PICKLES,)
        found = (path for pattern in (*_MODEL, *weights) for path in folder.glob(pattern))
    else:
        found = folder.rglob("*")
    shown_ones = (path for path in found if not any(part.startswith(".") for part in path.relative_to(folder).parts))
    return (path for path in shown_ones if path.is_file())


def _digests(files: Sequence[Path]) -> list[str]:
    """sha256 of each file; what is not known already is read, several files side by side."""
    notes = [_Note(file.resolve()) for file in files]
    known = [note.known() for note in notes]
    unread = [note for note, content in zip(notes, known, strict=True) if content is None]
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as executor, _progress(unread) as tick:
        read = executor.map(lambda note: note.read(tick), unread)
        return [content or next(read) for content in known]


@contextmanager
def _progress(unread: Sequence[_Note]) -> Iterator[Callable[[int], None]]:
    """Yields what is told the bytes that were read; a little is read in silence."""
    total, done, lock = sum(note.size for note in unread), 0, Lock()
    if total < _SHOWN_FROM:
        yield lambda count: None
        return
    with Meter("reading inputs, to know them by their content", "MB") as meter:

        def tick(count: int) -> None:
            nonlocal done
            with lock:
                done += count
                meter.update(done // 10**6, total // 10**6)

        yield tick


class _Note:
    """What is kept of one file: its digest, beside what shows whether the file is still the one that was read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size, self.changed, self._state = self._now()
        self._place = CACHE / "stamps" / hashlib.sha256(os.fsencode(path)).hexdigest()[:32]

    def _now(self) -> tuple[int, int, str]:
        """Size in bytes; when it changed, in ns since 1970; and both with all else that a change would show in."""
        stat = self.path.stat()
        # The inode's time, too: `touch -d` and `cp -p` set the file's own one back, but not this.
        times = stat.st_mtime_ns, stat.st_ctime_ns
        return stat.st_size, max(times), f"{stat.st_size} {times[0]} {times[1]} {stat.st_ino}"

    def known(self) -> str | None:
        """The digest, where it is known without reading the file."""
        if self.path.parent.name == "blobs" and _SHA256.fullmatch(self.path.name):
            return self.path.name
        if self.size >= _KEPT_FROM:
            with suppress(OSError, ValueError):
                state, _, content = self._place.read_text(encoding="ascii").rpartition(" ")
                return content if state == self._state and _SHA256.fullmatch(content) else None
        return None

    def read(self, tick: Callable[[int], None]) -> str:
        """The digest of what the file holds; kept, unless the file may change again without a trace."""
        began, content = time.time_ns(), hashlib.sha256()
        with self.path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                content.update(chunk)
                tick(len(chunk))
        settled = self.changed < began - _SETTLED_NS and self._now()[2] == self._state
        if settled and self.size >= _KEPT_FROM:
            with suppress(OSError, RecipeError):  # a full disk: it is read again next time
                write_text(self._place, f"{self._state} {content.hexdigest()}")
        return content.hexdigest()
