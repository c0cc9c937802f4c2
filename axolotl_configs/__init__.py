"""A blend, a profile and the recipe become one axolotl YAML; then axolotl trains on it.

From Python, without a GPU, torch or a child process:

    >>> from axolotl_configs.render import parse_set, resolve
    >>> from dataset_builders.task import task_names
    >>> run = resolve("v8", "8xa100", parse_set("lora_r=32"), task_names())
    >>> run.profile.base_model, run.blend.rows, run.axolotl["lora_r"], run.changed["lora_r"]
    ('Qwen/Qwen2-72B-Instruct', 502435, 32, 'SET')
    >>> [line for line in run.yaml.splitlines() if line.startswith("lora_r")]
    ['lora_r: 32  # <- SET']

What others use of this room: ``render.resolve``, which makes the YAML, and ``rendered/``, where it lies for every blend
and profile; ``schema``, what the files in ``blends/`` and ``profiles/`` may say; ``select.choose``, the profile of a
machine; ``launch.train``, which runs axolotl; ``costs.planning.make_plan``, what a run will take.
"""
