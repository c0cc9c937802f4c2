"""Chat templates with what the families of models write into theirs, in words of our own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE

TURN = "<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n"
ASK = "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
DATED = "{% if not date_string is defined %}{% set date_string = strftime_now('%d %b %Y') %}{% endif %}"
FAMILIES: dict[str, Any] = {
    "chatml": "{% for m in messages %}" + TURN + "{% endfor %}" + ASK,
    "thinks, or is told not to": """
{%- for m in messages %}
{%- if m.role == 'assistant' and loop.last %}<|im_start|>assistant\n<think>\n\n</think>\n\n{{ m.content }}<|im_end|>
{% else %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>
{% endif %}{% endfor %}
{%- if add_generation_prompt %}<|im_start|>assistant\n
{%- if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}{% endif %}""",
    "tells the date": DATED + "{{ bos_token }}Today: {{ date_string }}\n{% for m in messages %}" + TURN
    + "{% endfor %}" + ASK,
    "brackets, and a blank before the answer": "{{ bos_token }}{% set ns = namespace(system='') %}"
    "{% for m in messages %}{% if m['role'] == 'system' %}{% set ns.system = m['content'] ~ ' ' ~ "
    "strftime_now('%Y-%m-%d') %}{% elif m['role'] == 'user' %}[INST] {{ ns.system }}\n{{ m['content'] }} [/INST]"
    "{% else %} {{ m['content'] | trim }}{{ eos_token }}{% endif %}{% endfor %}",
    "calls the assistant a model": "{{ bos_token }}{% for m in messages %}{% set role = 'model' if m['role'] == "
    "'assistant' else m['role'] %}<|im_start|>{{ role }}\n{{ m['content'] | trim }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>model\n{% endif %}",
    "marks what is generated": "{% for m in messages %}{% if m.role == 'assistant' %}<|im_start|>assistant\n"
    "{% generation %}{{ m.content }}<|im_end|>\n{% endgeneration %}{% else %}" + TURN + "{% endif %}{% endfor %}" + ASK,
    "breaks and continues": "{% for m in messages %}{% if not m.content %}{% continue %}{% endif %}" + TURN
    + "{% if m.role == 'assistant' %}{% break %}{% endif %}{% endfor %}" + ASK,
    "JSON, and a macro": "{% macro turn(m) %}<|im_start|>{{ {'role': m.role, 'é': '<'} | tojson }}\n{{ m.content }}"
    "<|im_end|>\n{% endmacro %}{% for m in messages %}{{ turn(m) }}{% endfor %}{% if add_generation_prompt %}"
    "<|im_start|>{{ {'role': 'assistant', 'é': '<'} | tojson }}\n{% endif %}",
    "a list of named ones": [
        {"name": "tool_use", "template": "{{ raise_exception('no tools here') }}"},
        {"name": "default", "template": "{% for m in messages %}" + TURN + "{% endfor %}" + ASK},
    ],
    "texts or parts": "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.content is string %}{{ m.content }}"
    "{% else %}{% for part in m.content %}{{ part.text }}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}" + ASK,
    "tools and documents that are none": "{% if tools is not none %}tools{% endif %}{% if documents %}x{% endif %}"
    "{% for m in messages %}" + TURN + "{% endfor %}" + ASK + "{% if pad_token is defined %}{{ pad_token }}{% endif %}",
}  # fmt: skip


def pico(folder: Path, template: Any) -> Path:
    """A tokenizer of bytes with ``template``, as models come in."""
    folder.mkdir(parents=True, exist_ok=True)
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(
        BPE({letter: at for at, letter in enumerate([*letters, "Ġa", "Ġ1"])}, [("Ġ", "a"), ("Ġ", "1")])
    )
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)  # type: ignore[assignment]
    tokenizer.decoder = decoders.ByteLevel()  # type: ignore[assignment]
    tokenizer.add_special_tokens(["<|im_start|>", "<|im_end|>", "<s>", "[INST]", "[/INST]"])
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {"chat_template": template, "eos_token": "<|im_end|>", "bos_token": "<s>",
              "tokenizer_class": "PreTrainedTokenizerFast"}  # fmt: skip
    (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder
