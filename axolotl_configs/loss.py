"""The loss of a training: computed where there are answers alone, and weighed as ``answers_weigh`` says.

Runs inside axolotl. Few tokens of a row are trained on; the head over the vocabulary is asked about these only, which
is the same loss and the same gradient, without the memory of all the others' logits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, pad

IGNORED = -100  # a label that is not trained on, as in transformers


def shifted(labels: Tensor) -> Tensor:
    """``labels`` (rows, tokens) at the places whose logits predict them."""
    return pad(labels[..., 1:], (0, 1), value=IGNORED)


def shares(targets: Tensor) -> Tensor:
    """Of each place, 1 over the tokens of the answer that it belongs to, 0 outside: an answer's add up to 1.

    Args:
        targets: (rows, tokens), shifted. An answer is a run of trained places; a packed row holds several, and the
            prompts between them are not trained on.
    """
    trained = targets != IGNORED
    answer = _begins(targets).flatten().cumsum(0).view_as(targets) * trained
    lengths = torch.bincount(answer.flatten(), minlength=1).clamp(min=1)
    return trained / lengths[answer]


def ask_head_for_answers(model: nn.Module, *, equally: bool) -> None:
    """Has ``model`` (of PEFT, or of transformers) compute logits at the trained places only.

    Args:
        equally: hand on the places' ``shares``, too, for ``mean_of_answers``.
    """

    def ask(module: nn.Module, args: tuple[Any, ...], given: dict[str, Any]) -> tuple[Any, dict[str, Any]] | None:
        if given.get("labels") is None:
            return None
        targets = shifted(given["labels"])
        places = (targets != IGNORED).any(0).nonzero().squeeze(1)
        if not len(places):
            return None
        weighed = {"answer_shares": shares(targets)[:, places]} if equally else {}
        kept = {"logits_to_keep": places, "shift_labels": targets[:, places].contiguous()}
        return args, {**given, **kept, **weighed}

    model.register_forward_pre_hook(ask, with_kwargs=True)


def mean_of_answers(
    logits: Tensor, labels: Tensor, vocab_size: int, *, shift_labels: Tensor, answer_shares: Tensor,
    num_items_in_batch: Tensor | None = None, **unused: Any,
) -> Tensor:  # fmt: skip
    """A ``loss_function`` of transformers: the mean over answers of each one's mean over its tokens, in nats.

    Args:
        num_items_in_batch: answers of the whole step, over all micro batches and processes; None: of this batch.
    """
    losses = cross_entropy(logits.float().flatten(0, 1), shift_labels.flatten(), ignore_index=IGNORED, reduction="none")
    weights = answer_shares.flatten()
    return (losses * weights).sum() / (weights.sum() if num_items_in_batch is None else num_items_in_batch)


def count_answers(trainer: Any) -> None:
    """Has ``trainer`` divide a step's loss by its answers, where transformers would by its trained tokens.

    transformers counts the labels of all micro batches of a step, over all processes. It is shown one label an answer.
    """
    by_tokens: Callable[[Sequence[Mapping[str, Tensor]], Any], Any] = trainer._get_num_items_in_batch

    def by_answers(batches: Sequence[Mapping[str, Tensor]], device: Any) -> Any:
        return by_tokens([{**batch, "shift_labels": _one_an_answer(batch["labels"])} for batch in batches], device)

    trainer._get_num_items_in_batch = by_answers
    trainer.model_accepts_loss_kwargs = True  # axolotl says no for Llama and Qwen2, whose loss_function does


def _one_an_answer(labels: Tensor) -> Tensor:
    return torch.where(_begins(shifted(labels)), 0, IGNORED)


def _begins(targets: Tensor) -> Tensor:
    trained = targets != IGNORED
    return trained & ~pad(trained[..., :-1], (1, 0))
