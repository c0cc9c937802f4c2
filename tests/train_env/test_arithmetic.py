"""Every operation on random shapes against plain float64, whatever the blocks it is cut into."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from safetensors.torch import save_file  # noqa: E402

from postprocess import arithmetic  # noqa: E402
from postprocess.arithmetic import Arithmetic, Files, as_bytes, finite  # noqa: E402
from postprocess.operation import Change, LowRank, Operation, Replace, Shift  # noqa: E402
from recipe.checkpoint import ITEM, read_header  # noqa: E402
from recipe.errors import RecipeError  # noqa: E402

KINDS = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "F64": torch.float64}
# Relative to the largest value: fp32's own error in sums of a few dozen products, then one rounding.
TOLERANCE = {"F32": 2e-6, "F64": 2e-6, "F16": 2**-11 + 2e-6, "BF16": 2**-8 + 2e-6}


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
        "kinds": draw(st.tuples(*[st.sampled_from(sorted(KINDS))] * 3)),
        "weights": draw(st.lists(st.lists(weight, min_size=sources, max_size=sources), min_size=1, max_size=3)),
        "wider": draw(st.tuples(st.integers(0, 20), st.integers(0, 20))),
        "block": draw(st.sampled_from([4, 64, 1024, 10**6])),
        "seed": draw(st.integers(0, 2**31)),
        "scales": draw(st.lists(st.floats(0.01, 4), min_size=sources, max_size=sources)),
    }


def build(case: dict[str, Any], file: Path) -> tuple[Operation, list[Any]]:
    """The operation with its tensors in ``file``, and each change at weight 1 in float64, or what takes its place."""
    torch.manual_seed(case["seed"])
    base_kind, kind, result = case["kinds"]
    shape = case["shape"]
    made: dict[str, Any] = {"base": torch.randn(shape).to(KINDS[base_kind])}
    for number, (rank, transposed) in enumerate(case["low_rank"]):
        left, right = torch.randn(shape[0], rank).to(KINDS[kind]), torch.randn(rank, shape[1]).to(KINDS[kind])
        made |= {
            f"left{number}": (left.T if transposed else left).contiguous(),
            f"right{number}": (right.T if transposed else right).contiguous(),
        }
    made |= {f"other{number}": torch.randn(shape).to(KINDS[kind]) for number in range(len(case["others"]))}
    save_file(made, str(file))
    found = {tensor.name: tensor for tensor in read_header(file)}
    changes: list[Change] = []
    deltas = []
    for number, (_, transposed) in enumerate(case["low_rank"]):
        pair, scale = (found[f"left{number}"], found[f"right{number}"]), case["scales"][number]
        changes.append(LowRank(number, *pair, scale, transposed))
        left, right = (made[name].double().T if transposed else made[name].double() for name in (p.name for p in pair))
        deltas.append(scale * (left @ right))
    for number, what in enumerate(case["others"]):
        source, value = len(case["low_rank"]) + number, made[f"other{number}"].double()
        if what == "shift":
            changes.append(Shift(source, found[f"other{number}"], case["scales"][source]))
            deltas.append(case["scales"][source] * value)
        else:
            changes.append(Replace(source, found[f"other{number}"]))
            deltas.append(value - made["base"].double())
    wide = tuple(size + more for size, more in zip(shape, case["wider"][-len(shape) :], strict=True))
    operation = Operation("x", found["base"], result, wide, shape, tuple(changes))
    return operation, [made["base"].double(), *deltas]


def whole(operation: Operation, weights: Any, rows_at_once: int) -> list[Any]:
    """The results put together from pieces of ``rows_at_once`` rows."""
    files, columns = Files(), arithmetic.by_rows(operation.shape)[1]
    made = [torch.full(arithmetic.by_rows(operation.shape), 77, dtype=KINDS[operation.dtype]) for _ in weights]
    try:
        todo = Arithmetic(operation, weights, files, "cpu")
        for start in range(0, made[0].shape[0], rows_at_once):
            for first, results in todo.blocks(start, min(made[0].shape[0], start + rows_at_once)):
                for number, part in enumerate(made):
                    block = results[number % len(results)]
                    assert block.shape[1] == columns and block.dtype == part.dtype
                    part[first : first + block.shape[0]] = block
    finally:
        files.close()
    return [part.view(operation.shape) for part in made]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tensors") / "tensors.safetensors"


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(case=cases(), pieces=st.integers(1, 60))
def test_sums_are_those_of_float64(case: dict[str, Any], pieces: int, file: Path) -> None:
    operation, (base, *deltas) = build(case, file)
    before, arithmetic._CPU_BLOCK = arithmetic._CPU_BLOCK, case["block"]
    try:
        ours = whole(operation, case["weights"], pieces)
    finally:
        arithmetic._CPU_BLOCK = before
    real = tuple(slice(0, size) for size in operation.logical)
    for row, result in zip(case["weights"], ours, strict=True):
        terms = [weight * delta for weight, delta in zip(row, deltas, strict=True)]
        wanted = base + sum(terms)
        most = max(float(term.abs().max()) for term in [base, wanted, *terms])
        assert (result[real].double() - wanted).abs().max() <= TOLERANCE[operation.dtype] * most + 1e-7
        padding = torch.ones(operation.shape, dtype=torch.bool)
        padding[real] = False
        assert (result[padding] == 0).all()
    if not operation.changes and operation.base.dtype == operation.dtype:
        assert torch.equal(ours[0][real].double(), base)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(case=cases())
def test_a_result_is_the_same_bits_alone_and_beside_others(case: dict[str, Any], file: Path) -> None:
    operation, _ = build(case, file)
    together = whole(operation, case["weights"], 10**6)
    for row, result in zip(case["weights"], together, strict=True):
        (alone,) = whole(operation, [row], 10**6)
        assert as_bytes(alone.contiguous()) == as_bytes(result.contiguous())


@pytest.mark.parametrize("kind", ["I64", "I32", "I8", "U8", "BOOL", "F8_E4M3", "F8_E5M2", "U16", "F16"])
@pytest.mark.parametrize("shape", [(), (0,), (0, 3), (3, 0), (5,), (3, 4), (2, 3, 4)])
def test_what_is_copied_keeps_its_bytes(kind: str, shape: tuple[int, ...], file: Path) -> None:
    size = 1
    for length in shape:
        size *= length
    content = torch.randint(0, 2, (size * ITEM[kind],), dtype=torch.uint8)
    save_file({"x": content.view(arithmetic.TYPES[kind]).view(shape)}, str(file))
    (tensor,) = read_header(file)
    files = Files()
    todo = Arithmetic(Operation.copy(tensor), [[]], files, "cpu")
    rows = arithmetic.by_rows(shape)[0]
    found = b"".join(bytes(as_bytes(result.contiguous())) for _, (result,) in todo.blocks(0, rows))
    files.close()
    assert found == bytes(as_bytes(content))


def test_new_values_of_packed_scales_are_one(file: Path) -> None:
    save_file({"x": torch.rand(2, 3).half()}, str(file))
    (tensor,) = read_header(file)
    (made,) = whole(replace(Operation.copy(tensor), shape=(4, 5), fill=1), [[]], 3)
    assert made[2:].eq(1).all() and made[:, 3:].eq(1).all() and made.dtype == torch.float16


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("spoilt", [float("nan"), float("inf"), -float("inf")])
def test_one_number_that_is_none_is_seen_among_many(kind: Any, spoilt: float) -> None:
    values = torch.full((300, 1000), 60000.0).to(kind)  # a sum that overflows fp16, of numbers that do not
    assert finite(values) and finite(-values)
    values[123, 45] = spoilt
    assert not finite(values)
    values[200, 7] = -spoilt
    assert not finite(values)


def test_a_file_that_became_shorter_is_named(file: Path) -> None:
    save_file({"x": torch.rand(200, 3)}, str(file))
    (tensor,) = read_header(file)
    with file.open("r+b") as handle:
        handle.truncate(tensor.begin + 100)
    files = Files()
    with pytest.raises(RecipeError, match=r"tensors.safetensors: ends within x"):
        files.read(tensor)
    files.close()
