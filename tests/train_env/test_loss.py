"""The loss at the answers alone, and how they weigh: beside transformers' own, on padded and on packed rows."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("axolotl")

from axolotl_configs import loss, on_cpu  # noqa: E402
from tests.train_env.picos import peft_model, write_adapter  # noqa: E402

# Tokens of a row, and how many of them, at its end, are the answer.
ROWS = [(9, 1), (14, 5), (7, 2), (12, 3)]


def rows() -> list[tuple[Any, Any]]:
    """Tokens and labels of each row."""
    made = []
    for number, (length, answer) in enumerate(ROWS):
        tokens = torch.arange(length) * (number + 3) % 90 + 3
        made.append((tokens, torch.cat([torch.full((length - answer,), loss.IGNORED), tokens[-answer:]])))
    return made


def alone(place: int) -> dict[str, Any]:
    tokens, labels = rows()[place]
    return {"input_ids": tokens[None], "labels": labels[None], "position_ids": torch.arange(len(tokens))[None]}


def padded() -> dict[str, Any]:
    longest = max(length for length, _ in ROWS)
    batch = {"input_ids": torch.zeros(len(ROWS), longest, dtype=torch.long)}
    batch["labels"] = torch.full_like(batch["input_ids"], loss.IGNORED)
    batch["attention_mask"] = torch.zeros_like(batch["input_ids"])
    for place, (tokens, labels) in enumerate(rows()):
        batch["input_ids"][place, : len(tokens)] = tokens
        batch["labels"][place, : len(tokens)] = labels
        batch["attention_mask"][place, : len(tokens)] = 1
    return batch


def packed() -> dict[str, Any]:
    """As axolotl's collator packs, without the mask that it drops."""
    parts = [alone(place) for place in range(len(ROWS))]
    return {key: torch.cat([part[key] for part in parts], 1) for key in parts[0]}


@pytest.fixture(params=["llama", "qwen2"])
def fresh(request: pytest.FixtureRequest, bases: Any, place: Path) -> Any:
    """Makes a pico model with its adapter; attention is as axolotl patches it for packed rows."""
    from axolotl.monkeypatch.attention.sdpa_varlen import patch_sdpa_varlen

    kind = request.param
    adapter = place / f"adapter-{kind}"
    if not adapter.exists():
        write_adapter(bases(kind), adapter)
    patch_sdpa_varlen()

    def make(*, equally: bool | None = None) -> Any:
        """``equally`` None: untouched."""
        model = peft_model(bases(kind), adapter)
        for name, parameter in model.named_parameters():
            parameter.requires_grad_("lora_" in name)
        if equally is not None:
            loss.ask_head_for_answers(model, equally=equally)
        if equally:
            model.get_base_model().loss_function = loss.mean_of_answers
        return model

    return make


def step(model: Any, *batches: dict[str, Any], **told: Any) -> tuple[float, Any]:
    """Loss and gradient of one step, one micro batch after another."""
    total = 0.0
    for batch in batches:
        found = model(**batch, **told).loss
        found.backward()
        total += found.item()
    return total, torch.cat([p.grad.flatten() for p in model.parameters() if p.requires_grad])


def assert_same(one: tuple[float, Any], other: tuple[float, Any]) -> None:
    assert one[0] == pytest.approx(other[0], rel=1e-5)
    assert other[1].abs().max() > 1e-3
    torch.testing.assert_close(one[1], other[1], rtol=1e-4, atol=1e-6 * other[1].abs().max().item())


@pytest.mark.parametrize("batch", [padded, packed])
def test_loss_and_gradient_are_those_of_all_logits(fresh: Any, batch: Any) -> None:
    seen = []
    model = fresh(equally=False)
    model.get_base_model().lm_head.register_forward_hook(lambda head, args, out: seen.append(out.shape[1]))
    assert_same(step(model, batch()), step(fresh(), batch()))
    assert seen[0] < batch()["input_ids"].shape[1]  # or nothing was saved


@pytest.mark.parametrize("row_by_row", [True, False])
def test_a_packed_row_is_the_sum_of_its_rows_alone(fresh: Any, row_by_row: bool) -> None:
    """Nothing is seen of the other rows: by axolotl's mask, and by our going through them one after another."""
    tokens = [answer for _, answer in ROWS]
    model = fresh()
    parts = [(model(**alone(place)).loss * count / sum(tokens)) for place, count in enumerate(tokens)]
    sum(parts).backward()
    gradient = torch.cat([p.grad.flatten() for p in model.parameters() if p.requires_grad])
    if row_by_row:
        on_cpu.attend_row_by_row()
    assert_same(step(fresh(equally=False), packed()), (sum(parts).item(), gradient))


def test_row_by_row_another_row_changes_nothing(fresh: Any) -> None:
    on_cpu.attend_row_by_row()
    model, batch = fresh(), packed()
    with torch.inference_mode():
        before = model(**batch).logits
        batch["input_ids"][0, : ROWS[0][0]] = 5
        after = model(**batch).logits
    first = ROWS[0][0]
    assert not torch.equal(before[:, :first], after[:, :first])
    torch.testing.assert_close(before[:, first:], after[:, first:], rtol=0, atol=0)


def test_each_answer_weighs_the_same_in_micro_batches_of_one_of_four_and_packed(fresh: Any) -> None:
    answers = torch.tensor(len(ROWS))
    ones = step(fresh(equally=True), *[alone(at) for at in range(len(ROWS))], num_items_in_batch=answers)
    for batches in ([padded()], [packed()]):
        assert_same(step(fresh(equally=True), *batches, num_items_in_batch=answers), ones)
        assert_same(step(fresh(equally=True), *batches), ones)  # its own answers are counted where no step is told of
    one_by_one = [fresh()(**alone(at)).loss.item() for at in range(len(ROWS))]
    assert ones[0] == pytest.approx(sum(one_by_one) / len(ROWS), rel=1e-5)


def test_by_tokens_a_longer_answer_weighs_more(fresh: Any) -> None:
    by_tokens, equally = step(fresh(equally=False), packed()), step(fresh(equally=True), packed())
    assert by_tokens[0] != pytest.approx(equally[0], rel=1e-3)


def test_a_steps_answers_are_counted_as_transformers_counts_its_tokens() -> None:
    from transformers import Trainer

    trainer = SimpleNamespace(
        model_accepts_loss_kwargs=False, compute_loss_func=None, _loss_shifts_labels=True,
        args=SimpleNamespace(average_tokens_across_devices=True, world_size=1, n_gpu=1),
        accelerator=SimpleNamespace(),
    )  # fmt: skip
    trainer._get_num_items_in_batch = lambda batches, device: Trainer._get_num_items_in_batch(trainer, batches, device)
    loss.count_answers(trainer)
    assert int(trainer._get_num_items_in_batch([padded(), packed(), alone(1)], "cpu")) == 4 + 4 + 1
    assert trainer.model_accepts_loss_kwargs


def test_a_micro_batch_without_answers_goes_through_unchanged(fresh: Any) -> None:
    batch = alone(0) | {"labels": torch.full((1, ROWS[0][0]), loss.IGNORED)}
    assert fresh(equally=False)(**batch).logits.shape[1] == ROWS[0][0]
