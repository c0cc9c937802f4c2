"""Stamps: any byte of an input is noticed, nothing else is, and nothing large is read twice."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spine import manifest, stamp
from spine.errors import RecipeError
from spine.manifest import Step

LONG_AGO = 10**9  # seconds since 1970
NAMES = st.sampled_from(["a", "b.json", "folder/c", "folder/deeper/d.gz"])
FOLDERS = st.dictionaries(NAMES, st.binary(max_size=8), max_size=4)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every file's digest is kept from its first byte on, as if it had lain there for long."""
    monkeypatch.setattr(stamp, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(stamp, "_KEPT_FROM", 0)
    monkeypatch.setattr(stamp, "_SETTLED_NS", -(10**18))
    return tmp_path / "cache" / "stamps"


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that are read from now on."""
    names, real = list[str](), stamp._Note.read
    monkeypatch.setattr(stamp._Note, "read", lambda note, tick: names.append(note.path.name) or real(note, tick))
    return names


def write(folder: Path, files: dict[str, bytes]) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(first=FOLDERS, second=FOLDERS)
def test_two_folders_have_one_stamp_if_and_only_if_they_hold_the_same(
    tmp_path: Path, first: dict[str, bytes], second: dict[str, bytes]
) -> None:
    stamps = [stamp.stamp(write(tmp_path / name, files)) for name, files in (("one", first), ("other", second))]
    assert (stamps[0] == stamps[1]) == (first == second)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(content=st.binary(min_size=1, max_size=64), bit=st.integers(0))
def test_a_flipped_bit_is_noticed_though_the_file_says_that_it_is_old(tmp_path: Path, content: bytes, bit: int) -> None:
    file = tmp_path / "base" / "model.safetensors"
    write(file.parent, {file.name: content, "config.json": b"{}"})
    os.utime(file, (LONG_AGO, LONG_AGO))
    before = [stamp.stamp(file), stamp.stamp(file.parent)]
    changed = bytearray(content)
    changed[bit // 8 % len(content)] ^= 1 << bit % 8
    time.sleep(0.011)  # a tick of the kernel's clock; files are only kept 2 s after they changed
    file.write_bytes(changed)
    os.utime(file, (LONG_AGO, LONG_AGO))
    after = [stamp.stamp(file), stamp.stamp(file.parent)]
    assert before[0] == hashlib.sha256(content).hexdigest()
    assert after[0] == manifest.file_digest(file) != before[0]
    assert after[1] != before[1]


def test_what_was_read_once_is_not_read_again(tmp_path: Path, read: list[str]) -> None:
    folder = write(tmp_path / "raw", {"a": b"1", "folder/b": b"2"})
    first = stamp.stamp(folder)
    assert stamp.stamp(folder) == first
    assert sorted(read) == ["a", "b"]
    (folder / "a").write_bytes(b"3")
    assert stamp.stamp(folder) != first
    assert sorted(read) == ["a", "a", "b"]


def test_a_file_that_has_just_changed_is_not_believed_to_stay(
    tmp_path: Path, cache: Path, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stamp, "_SETTLED_NS", 2 * 10**9)
    file = write(tmp_path / "raw", {"a": b"1"}) / "a"
    assert stamp.stamp(file) == stamp.stamp(file)
    assert read == ["a", "a"]
    assert not cache.exists()


@pytest.mark.parametrize("spoilt", [b"", b"nonsense", b"\xff", b"0 0 0 0 nonsense"])
def test_a_broken_note_is_made_anew(tmp_path: Path, cache: Path, spoilt: bytes) -> None:
    file = write(tmp_path / "raw", {"a": b"1"}) / "a"
    first = stamp.stamp(file)
    (note,) = cache.iterdir()
    note.write_bytes(spoilt)
    assert stamp.stamp(file) == first


def test_a_note_that_cannot_be_written_is_no_failure(tmp_path: Path, cache: Path) -> None:
    cache.parent.write_text("a file where the folder should be")
    assert stamp.stamp(write(tmp_path / "raw", {"a": b"1"})) == stamp.stamp(write(tmp_path / "copy", {"a": b"1"}))


def test_a_shard_in_the_hubs_cache_is_called_by_its_hash_and_not_read(tmp_path: Path, read: list[str]) -> None:
    content = hashlib.sha256(b"weights").hexdigest()
    blobs = write(tmp_path / "hub" / "blobs", {content: b"weights", "a" * 40: b"{}"})  # small files by git's hash
    snapshot = write(tmp_path / "hub" / "snapshots" / "1", {})
    (snapshot / "model.safetensors").symlink_to(blobs / content)
    (snapshot / "config.json").symlink_to(blobs / ("a" * 40))
    copy = write(tmp_path / "copy", {"model.safetensors": b"weights", "config.json": b"{}"})
    found = stamp.stamp(snapshot)
    assert read == ["a" * 40]
    assert found == stamp.stamp(copy)


def test_of_a_model_what_it_is_and_not_what_lies_beside_it(tmp_path: Path) -> None:
    counts = {"config.json": b"{}", "model.safetensors": b"1", "merges.txt": b"2", "chat_template.jinja": b"3"}
    beside = {"README.md": b"4", "pytorch_model.bin": b"5", "original/consolidated.pth": b"6", ".cache/a.json": b"7"}
    first = stamp.stamp(write(tmp_path / "base", counts))
    assert stamp.stamp(write(tmp_path / "base", counts | beside)) == first
    for name in counts:
        assert stamp.stamp(write(tmp_path / "base", counts | {name: b"other"})) != first
    pickled = {"config.json": b"{}", "pytorch_model.bin": b"5"}
    bins = {stamp.stamp(write(tmp_path / "base", pickled | {"pytorch_model.bin": weights})) for weights in (b"5", b"6")}
    assert len(bins) == 2


def test_of_a_steps_folder_what_its_manifest_lists(tmp_path: Path) -> None:
    folder = write(tmp_path / "merged", {"config.json": b"{}", "model.safetensors": b"12", "merge.log": b"x"})
    Step(folder, "merge", {}).finish(["config.json", "model.safetensors"], sealed=["model.safetensors"])
    first = stamp.stamp(folder)
    known = json.loads((folder / manifest.NAME).read_text())
    assert first == manifest.digest(known["outputs"])
    (folder / "merge.log").write_bytes(b"y")
    assert stamp.stamp(folder) == first
    for name, changed in (("model.safetensors", b"123"), ("config.json", b"[]")):
        kept = (folder / name).read_bytes()
        (folder / name).write_bytes(changed)
        assert stamp.stamp(folder) != first
        (folder / name).write_bytes(kept)
    (folder / "config.json").unlink()
    assert stamp.stamp(folder) != first


def test_much_is_not_read_in_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(stamp, "_SHOWN_FROM", 10**6)
    folder = write(tmp_path / "base", {f"model-{number}.safetensors": bytes(10**6) for number in (1, 2)})
    stamp.stamp(folder)
    assert "reading inputs, to know them by their content 2/2 MB" in capsys.readouterr().err
    stamp.stamp(folder)
    assert capsys.readouterr().err == ""


def test_nothing_is_there(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="no such file or folder"):
        stamp.stamp(tmp_path / "nothing")
