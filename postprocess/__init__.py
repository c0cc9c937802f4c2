"""From an adapter to the model that is served: merged, padded, quantised, each result proven.

A pico adapter (rank 1, scale 2) merged into its base at the wise-ft weight 0.5, from Python:

    >>> import json
    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> import numpy as np
    >>> from spine.checkpoint import open_checkpoint, write_safetensors

    >>> def write(file, config, **arrays):  # as transformers and PEFT leave them
    ...     file.parent.mkdir()
    ...     (file.parent / config.pop("file")).write_text(json.dumps(config))
    ...     shapes = {name: ("F32", array.shape) for name, array in arrays.items()}
    ...     write_safetensors(file, shapes, (array.data for array in arrays.values()))
    >>> base, adapter, merged = (Path(mkdtemp()) / name for name in ("base", "adapter", "merged"))
    >>> write(base / "model.safetensors", {"file": "config.json"}, **{"q_proj.weight": np.ones((2, 2), "f4")})
    >>> lora = {"file": "adapter_config.json", "peft_type": "LORA", "r": 1, "lora_alpha": 2}
    >>> a, b = np.array([[1, 0]], "f4"), np.array([[3], [0]], "f4")
    >>> named = {f"base_model.model.q_proj.lora_{side}.weight": factor for side, factor in (("A", a), ("B", b))}
    >>> write(adapter / "adapter_model.safetensors", lora, **named)

    >>> from postprocess.merge.plan import MergeJob
    >>> from postprocess.merge.step import produce
    >>> made = produce(MergeJob(str(base), [str(merged)], [str(adapter)], [[0.5]], device="cpu"))
    >>> made.device, sorted(path.name for path in merged.iterdir())
    ('cpu', ['checksums.json', 'config.json', 'manifest.json', 'model.safetensors'])
    >>> (tensor,) = open_checkpoint(merged).tensors.values()  # W + 0.5 * 2 * B A
    >>> np.frombuffer(tensor.content(), "f4").tolist()
    [4.0, 1.0, 1.0, 1.0]

What others use of this room: ``merge.step`` (``MergeJob`` with ``padding=Padding()`` widens the MLPs in the same pass),
``awq.export.export``, ``awq.unpack.unpack_model``, ``verify``, ``inspect.inspect``.
"""
