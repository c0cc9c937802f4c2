"""Both engines on a pico model with random weights: the same rules give the same tokens, adapters are weighed."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from inference.answering.adapter import as_one, require_fitting
from inference.answering.decoding import rule_from_json
from inference.answering.engines import settings
from inference.answering.engines.requests import Engine, Request, Tells, requests_of
from inference.answering.questions import Question
from inference.answering.rules import Mode, Rules
from inference.scoring.parsers import parse
from postprocess.merge.plan import MergeJob
from postprocess.merge.step import produce
from spine.asked import asked
from spine.errors import RecipeError
from spine.hardware import Device, Machine
from spine.mixture import BASE, Mixture
from spine.task_types import TaskType
from tests.serve_env.conftest import EMBEDDED, an_adapter

LENGTH = 512


def question(prompt: str, flag: bool) -> Question:
    found = asked(prompt, flag)
    return Question(prompt, found, found.type, None, "a task", "accuracy")


WORDS = ["oak", "bread", "board", "juice", "groove", "solid", "warm", "kettle", "lamp", "blue", "40", "cm", "oiled"]


def questions() -> list[Question]:
    chance = random.Random(0)
    made = []
    for _ in range(2):
        names = [" ".join(chance.choices(WORDS, k=chance.randint(1, 9))) for _ in range(12)]
        listed = "\n".join(f"{at}. {name}" for at, name in enumerate(names, start=1))
        options = "\n".join(f"{at}. {name}" for at, name in enumerate(names[:4]))
        five = "\n".join(f"{at}. {name}" for at, name in enumerate(names[:5], start=1))
        made += [
            question(f"Which one is it?\n{options}\nAnswer:", True),
            question(f"Select three numbers from the list.\n{listed}\nOutput:", False),
            question(f"Rank these.\n{five}\nOutput:", False),
            question(f"Extract the entity type 'material'.\nQuery: {names[0]} {names[1]}\nOutput:", False),
            question(f"Describe the product type {names[3]}.", False),
        ]
    return made


def answers(engine: Engine, requests: list[Request]) -> list[str]:
    found = dict(engine.generate(requests))
    assert sorted(found) == [request.index for request in requests]
    return [found[request.index] for request in requests]


@pytest.fixture(scope="module")
def plain(model: Path, rules: Rules) -> Engine:
    from inference.answering.engines.transformers import TransformersEngine

    return TransformersEngine(model, rules.chat, BASE, dtype="float32")


@pytest.fixture(scope="module")
def with_adapter(model: Path, rules: Rules, adapter: Mixture) -> Engine:
    from inference.answering.engines.transformers import TransformersEngine

    return TransformersEngine(model, rules.chat, adapter, dtype="float32")


def test_exact_answers_fit_their_questions(plain: Engine, rules: Rules) -> None:
    asked_for = questions()
    for item, text in zip(asked_for, answers(plain, requests_of(asked_for, rules, Mode.EXACT, LENGTH)), strict=True):
        read = parse(item.type, text)
        match item.type:
            case TaskType.MULTIPLE_CHOICE:
                assert read in item.asked.listed
            case TaskType.RETRIEVAL:
                assert isinstance(read, list) and len(set(read)) == 3 and set(read) <= set(item.asked.listed)
            case TaskType.RANKING:
                assert isinstance(read, list) and sorted(read) == [1, 2, 3, 4, 5]


def test_every_token_is_told(plain: Engine, rules: Rules) -> None:
    """The progress of an evaluation moves from its first token on, not from its first batch."""
    assert isinstance(plain, Tells)
    told: list[int] = []
    before, plain.on_step = plain.on_step, told.append
    answers(plain, requests_of(questions(), rules, Mode.EXACT, LENGTH))
    plain.on_step = before
    assert told == sorted(told) and len(told) > 5 and told[-1] >= len(questions())


def test_a_batch_answers_as_one_alone_does(plain: Engine, rules: Rules) -> None:
    """Random weights leave near ties, which padding may turn over in bfloat16; here all is float32."""
    for mode in Mode:
        requests = requests_of(questions(), rules, mode, LENGTH)
        alone = [answers(plain, [request])[0] for request in requests]
        assert answers(plain, requests) == alone


def test_biases_are_those_of_the_rule(plain: Engine, rules: Rules) -> None:
    """The tokens of `generate` beside a loop that knows nothing of processors."""
    import torch

    for request in requests_of(questions()[:5], rules, Mode.WINNERS, LENGTH):
        written: list[int] = []
        rule = rule_from_json(request.rule.to_json())
        while len(written) < rule.max_new_tokens:
            with torch.no_grad():
                logits = plain.model(torch.tensor([[*request.tokens, *written]])).logits[0, -1].clone()  # type: ignore[attr-defined]
            for token, bias in rule.step(written).bias.items():
                logits[token] += bias
            token = int(logits.argmax())
            if token in rule.end:
                break
            written.append(token)
        text = rules.chat.tokenizer.decode(written).strip()
        assert text.startswith(answers(plain, [request])[0])


def test_a_weight_scales_the_adapter(plain: Engine, with_adapter: Engine, adapter: Mixture, rules: Rules) -> None:
    import torch

    requests = requests_of(questions(), rules, Mode.FREE, LENGTH)
    ids = torch.tensor([requests[0].tokens])

    def logits(engine: Engine) -> torch.Tensor:
        with torch.inference_mode():
            return engine.model(ids).logits  # type: ignore[attr-defined, no-any-return]

    with_adapter.mix(BASE)  # type: ignore[attr-defined]
    assert torch.equal(logits(with_adapter), logits(plain)) and answers(with_adapter, requests) == answers(
        plain, requests
    )
    with_adapter.mix(adapter)  # type: ignore[attr-defined]
    whole = logits(with_adapter)
    with_adapter.mix(adapter * 0.5)  # type: ignore[attr-defined]
    half = logits(with_adapter)
    with_adapter.mix(adapter)  # type: ignore[attr-defined]
    assert torch.equal(logits(with_adapter), whole) and not torch.allclose(half, whole)


def test_a_scaled_folder_holds_no_copy(adapter: Mixture) -> None:
    with as_one(adapter * 0.25) as folder:
        config = json.loads((folder / "adapter_config.json").read_text())
        assert config["lora_alpha"] == 4 and (folder / "adapter_model.safetensors").is_symlink()
    assert not folder.exists()


def test_a_sum_of_adapters_is_answered_as_the_merged_model(
    adapter: Mixture, model: Path, rules: Rules, tmp_path: Path
) -> None:
    """Both in the weights and, as on a GPU, beside them; a sweep's shares change without loading anew."""
    import torch
    from transformers import AutoModelForCausalLM

    from inference.answering.engines.transformers import TransformersEngine

    wide = tmp_path / "wide"  # in fp32, for a merged model is rounded to its base's type
    AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).save_pretrained(wide)
    other = an_adapter(model, tmp_path / "other", seed=2, rank=4)
    ids = torch.tensor([requests_of(questions(), rules, Mode.FREE, LENGTH)[0].tokens])
    engine = TransformersEngine(wide, rules.chat, adapter + other, dtype="float32")
    for mixture in (adapter * 0.5 + other * 0.25, other * 1.5, BASE):
        produce(MergeJob.mixing(wide, {tmp_path / str(mixture): mixture}))
        merged = TransformersEngine(tmp_path / str(mixture), rules.chat, BASE, dtype="float32")
        engine.mix(mixture)
        with torch.inference_mode():
            wanted, in_weights = merged.model(ids).logits, engine.model(ids).logits
            for layer, weight in engine._base_weights.items():
                layer.get_base_layer().weight.data, layer.merged_adapters = weight.clone(), []
            beside = engine.model(ids).logits
        torch.testing.assert_close(in_weights, wanted, rtol=1e-5, atol=1e-4)
        torch.testing.assert_close(beside, wanted, rtol=1e-5, atol=1e-4)


def test_an_adapter_of_another_base_is_refused(adapter: Mixture, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="does not fit the base"):
        require_fitting(adapter, EMBEDDED)
    with pytest.raises(RecipeError, match=r"adapter_config\.json: no such file"):
        require_fitting(Mixture.of(tmp_path), EMBEDDED)


def test_a_prompt_that_is_too_long_loses_its_middle(plain: Engine, rules: Rules) -> None:
    long = question("Which one is it?\n" + "many words " * 2_000 + "\n0. a fig\n1. a fork\nAnswer:", True)
    empty = question("", False)
    requests = requests_of([long, empty], rules, Mode.EXACT, LENGTH)
    assert len(requests[0].tokens) + requests[0].rule.max_new_tokens == LENGTH and requests[0].dropped > 3_000
    text = rules.chat.tokenizer.decode(list(requests[0].tokens), skip_special_tokens=False)
    assert text.startswith("<|im_start|>system") and "Which one is it?" in text and "1. a fork\nAnswer:" in text
    assert text.endswith("<|im_start|>assistant\n") and requests[1].dropped == 0
    assert answers(plain, requests)[0] in ("0", "1")


@pytest.fixture(scope="module")
def vllm(model: Path, rules: Rules, adapter: Mixture) -> Iterator[Engine]:
    from inference.answering.engines.vllm import VllmEngine

    yield VllmEngine(model, rules.chat, adapter, max_length=LENGTH, dtype="float32")


@pytest.mark.slow  # vLLM loads for a minute
def test_both_engines_write_the_same_tokens(
    vllm: Engine, plain: Engine, with_adapter: Engine, adapter: Mixture, rules: Rules
) -> None:
    for mode, alpha in [(Mode.EXACT, 0.0), (Mode.EXACT, 0.5), (Mode.WINNERS, 1.0), (Mode.FREE, 0.5)]:
        requests = requests_of(questions(), rules, mode, LENGTH)
        vllm.mix(adapter * alpha)  # type: ignore[attr-defined]
        with_adapter.mix(adapter * alpha)  # type: ignore[attr-defined]
        expected = answers(with_adapter if alpha else plain, requests)
        assert answers(vllm, requests) == expected, (mode, alpha)


def test_on_gpus_vllm_takes_the_model_runner_that_our_rules_are_for(
    monkeypatch: pytest.MonkeyPatch, model: Path
) -> None:
    from vllm import envs
    from vllm.config import vllm as config
    from vllm.engine.arg_utils import EngineArgs
    from vllm.v1.worker.gpu.sample.logits_processor import build_custom_logits_processors_params_validator

    from inference.answering.vllm_rules import VllmRules

    for name, value in settings.ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(config, "HAS_TRITON", True)  # as with a GPU
    monkeypatch.setattr(settings, "this_machine", lambda: Machine((Device("Tesla T4", 14.6, 7.5),), 8, 64))
    ours = settings.vllm_settings(max_length=LENGTH, dtype="auto", gpus=1, lora_rank=8)
    made = EngineArgs(model=str(model), logits_processors=[VllmRules], **ours).create_engine_config()
    assert made.attention_config.backend.name == "TRITON_ATTN" and str(made.model_config.dtype) == "torch.float16"
    assert not made.use_v2_model_runner
    monkeypatch.setitem(vars(envs), "VLLM_USE_V2_MODEL_RUNNER", None)  # vLLM reads the environment once
    assert made.use_v2_model_runner
    with pytest.raises(ValueError, match="VllmRules is not a subclass"):
        build_custom_logits_processors_params_validator([VllmRules])
