"""Every operation on random shapes against plain float64, whatever the blocks it is cut into."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from postprocess.merge import kernel
from postprocess.merge import sums as arithmetic
from postprocess.merge.kernel import add_scaled
from postprocess.merge.operation import Change, LowRank, Operation, Replace, Shift
from postprocess.merge.sums import TYPES, Arithmetic, Array, Cpu, Files, as_bytes, finite
from spine.checkpoint import ITEM, header_bytes, read_header
from spine.errors import RecipeError

KINDS = ("F32", "F16", "BF16", "F64")
# Relative to the largest value: fp32's own error in sums of a few dozen products, then one rounding.
TOLERANCE = {"F32": 2e-6, "F64": 2e-6, "F16": 2**-11 + 2e-6, "BF16": 2**-8 + 2e-6}


def tiles(rows: int, columns: int) -> Cpu:
    """numpy with tiles of another size."""
    made = Cpu()
    made.rows, made.columns = rows, columns  # type: ignore[misc]
    return made


def write(file: Path, tensors: dict[str, tuple[str, Array]]) -> None:
    """A safetensors file; name -> type and values."""
    header, _ = header_bytes({name: (kind, values.shape) for name, (kind, values) in tensors.items()})
    file.write_bytes(header + b"".join(values.tobytes() for _, values in tensors.values()))


@st.composite
def cases(draw: Any) -> dict[str, Any]:
    """Sizes and types of an operation; the values come of a seed."""
    rows, columns = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    vector = draw(st.booleans())
    low_rank = [] if vector else draw(st.lists(st.tuples(st.integers(1, 9), st.booleans()), max_size=3))
    others = draw(st.lists(st.sampled_from(["shift", "replace"] if vector else ["replace"]), max_size=2))
    sources = len(low_rank) + len(others)
    weight = st.sampled_from([0.0, 1.0]) | st.floats(0, 2, allow_subnormal=False)
    return {
        "shape": (columns,) if vector else (rows, columns),
        "low_rank": low_rank,
        "others": others,
        "kinds": draw(st.tuples(*[st.sampled_from(KINDS)] * 3)),
        "weights": draw(st.lists(st.lists(weight, min_size=sources, max_size=sources), min_size=1, max_size=3)),
        "wider": draw(st.tuples(st.integers(0, 20), st.integers(0, 20))),
        "tile": draw(st.tuples(st.sampled_from([1, 3, 7, 128]), st.sampled_from([1, 2, 5, 1024]))),
        "seed": draw(st.integers(0, 2**31)),
        "scales": draw(st.lists(st.floats(0.01, 4), min_size=sources, max_size=sources)),
    }


def build(case: dict[str, Any], file: Path) -> tuple[Operation, list[Array]]:
    """The operation with its tensors in ``file``, and each change at weight 1 in float64, or what takes its place."""
    random = np.random.default_rng(case["seed"])
    base_kind, kind, result = case["kinds"]
    shape = case["shape"]
    made: dict[str, tuple[str, Array]] = {}

    def draw(name: str, kind: str, shape: tuple[int, ...], transposed: bool = False) -> Array:
        """Values as they are stored; returned in float64."""
        values = random.standard_normal(shape).astype(TYPES[kind])
        made[name] = kind, np.ascontiguousarray(values.T if transposed else values)
        return values.astype(np.float64)

    base = draw("base", base_kind, shape)
    deltas, changes = [], list[tuple[type, int, dict[str, Any]]]()
    for number, (rank, transposed) in enumerate(case["low_rank"]):
        left = draw(f"left{number}", kind, (shape[0], rank), transposed)
        right = draw(f"right{number}", kind, (rank, shape[1]), transposed)
        deltas.append(case["scales"][number] * (left @ right))
        changes.append((LowRank, number, {"scale": case["scales"][number], "transposed": transposed}))
    for number, what in enumerate(case["others"], len(case["low_rank"])):
        value, scale = draw(f"other{number}", kind, shape), case["scales"][number]
        deltas.append(scale * value if what == "shift" else value - base)
        changes.append((Shift, number, {"scale": scale}) if what == "shift" else (Replace, number, {}))
    write(file, made)
    found = {tensor.name: tensor for tensor in read_header(file)}

    def change(of: type, number: int, more: dict[str, Any]) -> Change:
        names = ("left", "right") if of is LowRank else ("other",)
        built: Change = of(number, *(found[f"{name}{number}"] for name in names), **more)
        return built

    wide = tuple(size + more for size, more in zip(shape, case["wider"][-len(shape) :], strict=True))
    operation = Operation("x", found["base"], result, wide, shape, tuple(change(*parts) for parts in changes))
    return operation, [base, *deltas]


def whole(operation: Operation, weights: Any, rows_at_once: int, device: Any = None) -> list[Array]:
    """The results put together from pieces of ``rows_at_once`` rows."""
    files, (rows, columns) = Files(), arithmetic.by_rows(operation.shape)
    made = [np.full((rows, columns), 77).astype(TYPES[operation.dtype]) for _ in weights]
    try:
        todo = Arithmetic(operation, weights, files, device or Cpu())
        for start in range(0, rows, rows_at_once):
            for first, results in todo.blocks(start, min(rows, start + rows_at_once)):
                for number, part in enumerate(made):
                    block = results[number % len(results)]
                    assert block.shape[1] == columns and block.dtype == part.dtype
                    part[first : first + block.shape[0]] = block
    finally:
        files.close()
    return [part.reshape(operation.shape) for part in made]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tensors") / "tensors.safetensors"


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(case=cases(), pieces=st.integers(1, 60))
def test_sums_are_those_of_float64(case: dict[str, Any], pieces: int, file: Path) -> None:
    operation, (base, *deltas) = build(case, file)
    ours = whole(operation, case["weights"], pieces, tiles(*case["tile"]))
    real = tuple(slice(0, size) for size in operation.logical)
    for row, result in zip(case["weights"], ours, strict=True):
        terms = [weight * delta for weight, delta in zip(row, deltas, strict=True)]
        wanted = base + sum(terms)
        most = max(float(np.abs(term).max()) for term in [base, wanted, *terms])
        assert np.abs(result[real].astype(np.float64) - wanted).max() <= TOLERANCE[operation.dtype] * most + 1e-7
        padding = np.ones(operation.shape, bool)
        padding[real] = False
        assert (result[padding] == 0).all()
    if not operation.changes and operation.base.dtype == operation.dtype:
        assert np.array_equal(ours[0][real].astype(np.float64), base)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(case=cases())
def test_a_result_is_the_same_bits_alone_and_beside_others(case: dict[str, Any], file: Path) -> None:
    operation, _ = build(case, file)
    together = whole(operation, case["weights"], 10**6)
    for row, result in zip(case["weights"], together, strict=True):
        (alone,) = whole(operation, [row], 10**6)
        assert alone.tobytes() == result.tobytes()


@pytest.mark.parametrize("kind", ["I64", "I32", "I8", "U8", "BOOL", "F8_E4M3", "F8_E5M2", "U16", "F16"])
@pytest.mark.parametrize("shape", [(), (0,), (0, 3), (3, 0), (5,), (3, 4), (2, 3, 4)])
def test_what_is_copied_keeps_its_bytes(kind: str, shape: tuple[int, ...], file: Path) -> None:
    size = 1
    for length in shape:
        size *= length
    content = np.random.default_rng(0).integers(0, 2, size * ITEM[kind], np.uint8)
    write(file, {"x": (kind, content.view(TYPES[kind]).reshape(shape))})
    (tensor,) = read_header(file)
    files = Files()
    todo = Arithmetic(Operation.copy(tensor), [[]], files, Cpu())
    rows = arithmetic.by_rows(shape)[0]
    found = b"".join(bytes(as_bytes(result)) for _, (result,) in todo.blocks(0, rows))
    files.close()
    assert found == content.tobytes()


def test_new_values_of_packed_scales_are_one(file: Path) -> None:
    write(file, {"x": ("F16", np.ones((2, 3), np.float16) / 3)})
    (tensor,) = read_header(file)
    (made,) = whole(replace(Operation.copy(tensor), shape=(4, 5), fill=1), [[]], 3)
    assert (made[2:] == 1).all() and (made[:, 3:] == 1).all() and (made[:2, :3] != 1).all() and made.dtype == np.float16


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("spoilt", [float("nan"), float("inf"), -float("inf")])
def test_one_number_that_is_none_is_seen_among_many(kind: str, spoilt: float) -> None:
    largest = float(ml_dtypes.finfo(TYPES[kind]).max)
    values = np.full((300, 1000), largest).astype(TYPES[kind])  # their sum overflows, they do not
    assert finite(values, kind) and finite(-values, kind)
    values[123, 45] = spoilt
    assert not finite(values, kind)
    values[200, 7] = -spoilt
    assert not finite(values, kind)


@pytest.mark.parametrize("kind", ["BF16", "F16"])
def test_a_sum_is_rounded_to_the_nearest_even(kind: str, file: Path) -> None:
    """Every value of the type, moved by nothing, half a step and a little more or less, against exact arithmetic."""
    bits = np.arange(2**16, dtype=np.uint16).view(TYPES[kind])
    with np.errstate(invalid="ignore"):
        values = bits[np.isfinite(bits.astype(np.float32)) & (np.abs(bits.astype(np.float32)) < 2.0**15)]
    high = (values.view(np.uint16) + np.uint16(1)).view(TYPES[kind])  # the neighbour farther from zero
    steps = (high.astype(np.float32) - values.astype(np.float32)) / 2
    for factor in (0.0, 0.99, 1.0, 1.01):
        write(file, {"base": (kind, values), "moved": ("F32", steps * np.float32(factor))})
        base, moved = read_header(file)
        operation = Operation("x", base, kind, base.shape, base.shape, (Shift(0, moved, 1.0),))
        (made,) = whole(operation, [[1.0]], 1)
        exact = (values.astype(np.float32) + steps * np.float32(factor)).astype(np.float64)
        to_low, to_high = (np.abs(exact - end.astype(np.float64)) for end in (values, high))
        even = np.where(values.view(np.uint16) % 2 == 0, values, high)
        nearest = np.where(to_low < to_high, values, np.where(to_low > to_high, high, even))
        assert made.tobytes() == nearest.tobytes()


def test_a_file_that_became_shorter_is_named(file: Path) -> None:
    write(file, {"x": ("F32", np.ones((200, 3), np.float32))})
    (tensor,) = read_header(file)
    with file.open("r+b") as handle:
        handle.truncate(tensor.begin + 100)
    files = Files()
    with pytest.raises(RecipeError, match=r"tensors.safetensors: ends within x"):
        files.read(tensor)
    files.close()


@pytest.mark.skipif(add_scaled() is None, reason="no C compiler")
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    shape=st.tuples(st.integers(1, 40), st.integers(1, 70)),
    weights=st.lists(st.lists(st.floats(-2, 2, width=32), min_size=3, max_size=3), min_size=1, max_size=3),
    sources=st.integers(1, 3),
    kinds=st.sampled_from([("BF16", "BF16"), ("F32", "BF16"), ("BF16", "F16")]),
    seed=st.integers(0, 2**31),
)
def test_c_gives_the_bits_that_numpy_gives(
    shape: tuple[int, int], weights: list[list[float]], sources: int, kinds: tuple[str, str], seed: int, file: Path
) -> None:
    """Of one product and of several, which are joined."""
    case = {"shape": shape, "low_rank": [(4, False)] * sources, "others": [], "kinds": (kinds[0], "F32", kinds[1]),
            "wider": (1, 2), "seed": seed, "scales": [0.7] * sources}  # fmt: skip
    operation, _ = build(case, file)
    rows = [row[:sources] for row in weights]
    with_c = whole(operation, rows, 10**6)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arithmetic, "add_scaled", lambda: None)
        without = whole(operation, rows, 10**6)
    assert [made.tobytes() for made in with_c] == [made.tobytes() for made in without]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 3.4e38])
@pytest.mark.parametrize("quick", [True, False])
def test_a_result_that_is_no_number_is_refused_with_its_place(
    value: float, quick: bool, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """3.4e38 is a number in fp32, and rounds to infinity in bf16."""
    if not quick:
        monkeypatch.setattr(arithmetic, "add_scaled", lambda: None)
    left = np.zeros((9, 1), np.float32)
    left[5] = value
    base = np.zeros((9, 3), TYPES["BF16"])
    write(file, {"base": ("BF16", base), "left": ("F32", left), "right": ("F32", np.ones((1, 3), np.float32))})
    found = {tensor.name: tensor for tensor in read_header(file)}
    change = LowRank(0, found["left"], found["right"], 1.0)
    operation = Operation("x", found["base"], "BF16", (9, 3), (9, 3), (change,))
    with pytest.raises(RecipeError, match="x: NaN or infinity in row 4 "):
        whole(operation, [[1.0]], 2)


def test_a_broken_compiler_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "core").mkdir()
    (tmp_path / "cc").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "cc").chmod(0o755)
    monkeypatch.setattr(kernel, "VENVS", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert kernel.add_scaled.__wrapped__() is None and list((tmp_path / "core").iterdir()) == []
