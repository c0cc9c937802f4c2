"""Headers and indexes: what is well-formed is read, everything else is one clear message."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spine.checkpoint import INDEX, ITEM, SINGLE, copy_companions, header_bytes, open_checkpoint, read_header, read_json
from spine.errors import RecipeError
from tests.postprocess.checkpoints import model_shapes, write_index, write_model, write_tensors

NAMES = st.text(min_size=1, max_size=20).filter(lambda name: name != "__metadata__")
TENSORS = st.dictionaries(
    NAMES, st.tuples(st.sampled_from(sorted(ITEM)), st.lists(st.integers(0, 5), max_size=3).map(tuple)), max_size=6
)
anything = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def written(path: Path, header: bytes, content: int) -> Path:
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(content))
    return path


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("files") / "x.safetensors"


@anything
@given(TENSORS)
def test_what_is_written_is_read(file: Path, tensors: dict[str, tuple[str, tuple[int, ...]]]) -> None:
    header, begins = header_bytes(tensors)
    size = sum(tensor_bytes(*tensor) for tensor in tensors.values())
    file.write_bytes(header + bytes(size))
    found = {tensor.name: tensor for tensor in read_header(file)}
    assert {name: (tensor.dtype, tensor.shape) for name, tensor in found.items()} == tensors
    assert all(found[name].begin == begin for name, begin in begins.items()) and len(header) % 8 == 0
    file.write_bytes(header + bytes(size + 1))
    with pytest.raises(RecipeError, match="1 bytes that the header does not know"):
        read_header(file)
    if size:
        file.write_bytes(header + bytes(size - 1))
        with pytest.raises(RecipeError, match="cut short"):
            read_header(file)


def tensor_bytes(dtype: str, shape: tuple[int, ...]) -> int:
    size = ITEM[dtype]
    for length in shape:
        size *= length
    return size


@anything
@given(st.binary(max_size=200))
def test_noise_is_refused(file: Path, noise: bytes) -> None:
    file.write_bytes(noise)
    refuse_or_read(file)
    written(file, noise, 0)
    refuse_or_read(file)


def refuse_or_read(file: Path) -> None:
    """Nothing but a RecipeError, or tensors that lie within the file."""
    try:
        found = read_header(file)
    except RecipeError:
        return
    assert all(0 <= tensor.begin <= tensor.begin + tensor.nbytes <= file.stat().st_size for tensor in found)


@anything
@given(st.data())
def test_spoilt_headers_are_refused(file: Path, data: st.DataObject) -> None:
    tensors = data.draw(TENSORS)
    header = bytearray(header_bytes(tensors)[0])
    for _ in range(data.draw(st.integers(1, 4))):
        header[data.draw(st.integers(0, len(header) - 1))] = data.draw(st.integers(0, 255))
    file.write_bytes(bytes(header) + bytes(sum(tensor_bytes(*tensor) for tensor in tensors.values())))
    refuse_or_read(file)


ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@anything
@given(st.dictionaries(NAMES, st.fixed_dictionaries({"dtype": ODD, "shape": ODD, "data_offsets": ODD}) | ODD) | ODD)
def test_entries_of_any_kind_are_refused(file: Path, header: Any) -> None:
    written(file, json.dumps(header).encode(), 16)
    refuse_or_read(file)


@pytest.mark.parametrize(
    ("shape", "offsets"),
    [
        ("[1e999]", "[0, 4]"),
        ("[1]", "[0, Infinity]"),
        ("[NaN]", "[0, 4]"),
        ("[-1]", "[0, -4]"),
        ("[1]", "[-4, 0]"),
        ("[" + "9" * 4000 + "]", "[0, 4]"),
        ("[0]", "[" + "9" * 4000 + ", " + "9" * 4000 + "]"),
        ("[0, 9223372036854775808]", "[0, 0]"),
        ("[1]", "[0]"),
        ("[1]", "4"),
        ("1", "[0, 4]"),
        ("[1]", "[4, 8]"),
    ],
)
def test_numbers_that_are_none(file: Path, shape: str, offsets: str) -> None:
    written(file, f'{{"x": {{"dtype": "F32", "shape": {shape}, "data_offsets": {offsets}}}}}'.encode(), 4)
    with pytest.raises(RecipeError, match="broken safetensors file: x"):
        read_header(file)


def test_overlapping_and_repeated_tensors(file: Path) -> None:
    entry = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
    written(file, json.dumps({"x": entry, "y": entry}).encode(), 4)
    with pytest.raises(RecipeError, match="y begins at byte"):
        read_header(file)
    written(file, b'{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"x":{"dtype":"F32","shape":[0],'
                  b'"data_offsets":[0,0]}}', 4)  # fmt: skip
    with pytest.raises(RecipeError, match="4 bytes that the header does not know"):
        read_header(file)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not a safetensors file, or cut short: 0 bytes"),
        (b"\x02\0\0\0\0\0\0\0", "or cut short: 8 bytes, a header of 2"),
        (b"\xff" * 40, "or cut short"),
        ((10**9).to_bytes(8, "little") + bytes(50), "a header of 1000000000"),
        (b"\x02\0\0\0\0\0\0\0[]", "not a JSON object"),
        (b"\x02\0\0\0\0\0\0\0\xff\xff", "header is not JSON"),
        ((200_000).to_bytes(8, "little") + b"[" * 200_000, "header is not JSON"),
    ],
    ids=range(7),
)
def test_what_is_no_safetensors_file(file: Path, content: bytes, said: str) -> None:
    file.write_bytes(content)
    with pytest.raises(RecipeError, match=said):
        read_header(file)


def test_json_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    for text, said in (("[" * 200_000, "not JSON"), ("{", "not JSON"), ("[]", "not a JSON object"), (b"\xff", "not J")):
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        with pytest.raises(RecipeError, match=said):
            read_json(path)
    with pytest.raises(RecipeError, match="no such file"):
        read_json(tmp_path / "none.json")


def test_shards_and_one_file_hold_the_same_tensors(tmp_path: Path) -> None:
    one, many = write_model(tmp_path / "one"), write_model(tmp_path / "many", 3)
    first, second = open_checkpoint(one), open_checkpoint(many)
    assert first.tensors.keys() == second.tensors.keys() == model_shapes().keys()
    assert first.nbytes == second.nbytes and list(first.files) == [SINGLE] and len(second.files) == 3


@pytest.mark.parametrize("name", ["../x.safetensors", "/etc/x.safetensors", "..", "a/b.safetensors", "weights.bin", ""])
def test_an_index_that_leads_elsewhere(name: str, tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model", 2)
    write_tensors(tmp_path / "x.safetensors", {"a": (2,)})
    write_index(folder, {"a": name})
    with pytest.raises(RecipeError, match=r"index.json: names files that are not shards of this folder"):
        open_checkpoint(folder)


def test_missing_shards_are_counted(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model", 4)
    for number in (2, 3):
        (folder / f"model-0000{number}-of-00004.safetensors").unlink()
    with pytest.raises(RecipeError, match=r"2 of 4 shards are missing: model-00002-of-00004.safetensors, model-00003"):
        open_checkpoint(folder)


def test_index_and_shards_that_disagree(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model", 2)
    places = read_json(folder / INDEX)["weight_map"]
    files = sorted(set(places.values()))
    name = "model.norm.weight"
    for wrong in (
        {**places, "model.rotary.weight": files[0]},
        {key: file for key, file in places.items() if key != name},
        {**places, name: next(file for file in files if file != places[name])},
        {**places, name: [files[0]]},
    ):
        write_index(folder, wrong)
        with pytest.raises(RecipeError, match=r"disagree about 1 tensors: model\.|names files that are not"):
            open_checkpoint(folder)
    for empty in ({}, None, [], "x"):
        write_index(folder, empty)
        with pytest.raises(RecipeError, match="has no weight_map"):
            open_checkpoint(folder)


def test_a_tensor_in_two_shards(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model", 2)
    places = read_json(folder / INDEX)["weight_map"]
    first = sorted(set(places.values()))[0]
    mine = {name: shape for name, shape in model_shapes().items() if places[name] == first}
    write_tensors(folder / first, mine | {name: (8,) for name in places if places[name] != first and "norm" in name})
    with pytest.raises(RecipeError, match="disagree about"):
        open_checkpoint(folder)


def test_pickled_weights_and_empty_folders(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model")
    (folder / SINGLE).unlink()
    with pytest.raises(RecipeError, match=f"neither {SINGLE} nor {INDEX}"):
        open_checkpoint(folder)
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04")
    with pytest.raises(RecipeError, match=r"(?s)pickled weights.*never loaded.*fetch the safetensors version"):
        open_checkpoint(folder)
    with pytest.raises(RecipeError, match="no such model folder"):
        open_checkpoint(tmp_path / "none")


def test_what_lies_beside_the_weights_is_copied_and_nothing_that_is_true_of_them_alone(tmp_path: Path) -> None:
    model, copy = tmp_path / "model", tmp_path / "copy"
    for folder in (model, copy, model / "original"):
        folder.mkdir()
    beside = ["tokenizer.json", "chat_template.jinja", "README.md", "generation_config.json", "vocab.txt"]
    of_weights = ["config.json", "manifest.json", "checksums.json", "quality.json", SINGLE, INDEX, "x.gguf", ".lock"]
    for name in (*beside, *of_weights):
        (model / name).write_text(name)
    copy_companions(model, copy)
    assert sorted(path.name for path in copy.iterdir()) == sorted(beside)
