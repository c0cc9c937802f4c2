"""Every blend on every profile becomes one checked axolotl YAML; mistakes are found before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from jinja2 import Environment, meta

from axolotl_configs import render
from axolotl_configs.check import RULES_FILE, known_keys
from axolotl_configs.costs.estimate import rows_a_step
from axolotl_configs.render import Resolved, parse_set, resolve
from axolotl_configs.schema import load_tracks, names
from dataset_builders.task import task_names
from spine.errors import RecipeError
from spine.yamlfile import read_yaml
from tests.conftest import edit

PAIRS = [(blend, profile) for blend in names("blends") for profile in names("profiles")]


def run(blend: str = "v8", profile: str = "cpu", overrides: str = "") -> Resolved:
    return resolve(blend, profile, parse_set(overrides), task_names())


@pytest.mark.parametrize(("blend", "profile"), PAIRS)
def test_axolotl_reads_the_same_values_as_we_checked(blend: str, profile: str) -> None:
    resolved = run(blend, profile, "learning_rate=1e-5")
    # axolotl reads with PyYAML, which is YAML 1.1: there 1e-5 is a string and `on` is true
    assert yaml.safe_load(resolved.yaml) == resolved.axolotl


def test_the_recipe_is_the_published_one() -> None:
    settings = run("v8", "8xa100").axolotl
    published = {
        "base_model": "Qwen/Qwen2-72B-Instruct", "adapter": "qlora", "load_in_4bit": True, "lora_r": 64,
        "lora_alpha": 32, "lora_dropout": 0.05, "lora_target_linear": True, "learning_rate": 2e-4,
        "lr_scheduler": "cosine", "weight_decay": 0.01, "warmup_steps": 10, "micro_batch_size": 1,
        "gradient_accumulation_steps": 4, "train_on_inputs": False,
    }  # fmt: skip
    assert {key: settings[key] for key in published} == published


@pytest.mark.parametrize("profile", names("profiles"))
@pytest.mark.parametrize("there", [1, 2, 3, 4, 6, 8, 16])
def test_any_number_of_gpus_keeps_the_rows_of_a_step(profile: str, there: int) -> None:
    made, split = run("v8", profile), resolve("v8", profile, {}, task_names(), there)
    assert rows_a_step(split.axolotl, split.processes) == rows_a_step(made.axolotl, made.processes)
    rows = rows_a_step(made.axolotl, made.processes)
    assert split.processes == max(count for count in (1, 2, 4, 8, 16) if count <= min(there, rows))
    assert (
        split.lasting == made.axolotl == made.lasting and split.run == made.run
    )  # the same run, however many there are
    assert split.axolotl["micro_batch_size"] <= made.axolotl["micro_batch_size"]
    assert yaml.safe_load(split.yaml) == split.axolotl
    assert split.profile.hardware.gpus == (split.processes if made.profile.hardware.gpus else 0)


def test_the_yaml_says_for_how_many_gpus_it_is() -> None:
    four, one = (resolve("v8", "8xa100", parse_set("lora_r=8"), task_names(), there) for there in (4, 1))
    line = "gradient_accumulation_steps: 8  # <- GPUs: 4 instead of 8, still 32 bins a step"
    assert line in four.yaml and four.axolotl["deepspeed"] and "deepspeed" not in one.axolotl
    assert four.axolotl["lora_r"] == 8 and four.changed["lora_r"] == "SET"
    wider = resolve("v8", "8xa100", parse_set("micro_batch_size=3"), task_names(), 6)
    assert (wider.processes, rows_a_step(wider.axolotl, 6)) == (6, 96)


def test_the_fused_kernels_are_off_until_they_are_asked_for() -> None:
    kernels = ["lora_qkv_kernel", "lora_o_kernel", "lora_mlp_kernel"]
    asked = "lora_dropout=0 " + " ".join(f"{key}=true" for key in kernels)
    assert asked in run("v8", "8xa100").yaml  # the line to type, in the comment
    assert not any(run("v8", "8xa100").axolotl[key] for key in kernels)
    assert all(run("v8", "8xa100", asked).axolotl[key] for key in kernels)
    with pytest.raises(RecipeError, match="SET: lora_mlp_kernel is a CUDA kernel"):
        run("v8", "cpu", asked)


def test_tracks_name_blends_that_exist() -> None:
    tracks = load_tracks()
    for choices in (tracks.round1, tracks.round2):
        assert sorted(choices) == [f"track{n}" for n in range(1, 6)]
        assert {choice.blend for choice in choices.values()} <= set(names("blends"))


def test_a_second_round_starts_from_the_first_rounds_adapter() -> None:
    assert run("v9b", "cpu").axolotl["lora_model_dir"].endswith("cpu/v8/adapter-0.5625")
    assert run("v7b", "cpu").axolotl["lora_model_dir"].endswith("cpu/v7/train")  # the whole adapter is one already
    assert "lora_model_dir" not in run("v8", "cpu").axolotl


def test_set_wins_over_blend_over_profile(configs: Path) -> None:
    (configs / "blends" / "own.yaml").write_text("include: v8\naxolotl: {lora_r: 16, learning_rate: 0.5}\n")
    resolved = run("own", "cpu", "lora_r=8")
    assert (resolved.axolotl["lora_r"], resolved.axolotl["learning_rate"]) == (8, 0.5)
    assert resolved.changed["lora_r"] == "SET" and resolved.changed["learning_rate"].endswith("own.yaml:2")
    assert "lora_r: 8  # <- SET" in resolved.yaml


def test_null_removes_a_key() -> None:
    assert "warmup_steps" not in run(overrides="warmup_steps=null").axolotl


def test_overrides_have_a_run_folder_of_their_own() -> None:
    assert run(overrides="lora_r=32").run.folder.name == "v8+lora_r=32"
    assert len(run(overrides="lora_target_linear=false lora_target_modules=[q_proj]").run.folder.name) < 30
    assert run().run.folder.name == "v8"


def test_set_reaches_the_profile_and_the_seed() -> None:
    resolved = run(overrides="rows=52 val_rows=39 seed=7 tracker=wandb")
    assert sum(portion.rows for portion in resolved.portions) == 52
    assert (resolved.seed, resolved.axolotl["seed"], resolved.axolotl["use_wandb"]) == (7, 7, True)


@pytest.mark.parametrize("tracker", ["trackio", "wandb", "mlflow", "tensorboard"])
def test_a_tracker_is_one_key_and_off_by_default(tracker: str) -> None:
    key = f"use_{tracker}"
    assert key not in run().axolotl and run(overrides=f"tracker={tracker}").axolotl[key] is True


@pytest.mark.parametrize(
    ("overrides", "what"),
    [
        ("lora_rr=3", "SET: unknown key 'lora_rr'\n  -> did you mean 'lora_r'"),
        ("lora_r", "SET: 'lora_r' is not key=value"),
        ("lora_r=1 lora_r=2", "SET: 'lora_r' is given twice"),
        ("lora_r=many", "SET: 'lora_r' must be integer, not 'many'"),
        ("learning_rate=fast", "SET: 'learning_rate' must be a number, not 'fast'"),
        ("rows=many", "SET: 'rows': "),
        ("tracker=wandbb", "SET: 'tracker': "),
        ("seed=many", "SET: 'seed' must be integer"),
        ("lora_r=0", "SET: lora_r must be 1 or more"),
        ("learning_rate=2", "SET: learning_rate must be in (0, 1)"),
        ("deepspeed=axolotl_configs/deepspeed/zero2.json", "SET: DeepSpeed needs GPUs"),
        ("optimizer=adamw_8bit", "SET: adamw_8bit is a CUDA kernel"),
        ("optimizer=adamw", "SET: transformers no longer knows the optimizer 'adamw'"),
        ("bf16=auto", "SET: bf16: auto turns into fp16 on a CPU"),
        ("load_in_4bit=false", "SET: adapter: qlora needs load_in_4bit: true"),
        ("adapter=lora", "SET: adapter: lora on a 4-bit base is QLoRA"),
        ("'datasets=[{path: a, typ: b}]'", "SET: unknown key 'typ' in 'datasets.0'"),
    ],
)
def test_mistakes_in_set(overrides: str, what: str) -> None:
    with pytest.raises(RecipeError) as error:
        run(overrides=overrides)
    assert what in str(error.value)


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("val_rows: 65", "val_row: 65", "unknown key 'val_row'\n  -> did you mean 'val_rows'"),
        ("hardware: {gpus: 0}", "hardware: {gpu: 0}", "did you mean 'gpus'"),
        ("  learning_rate: 0.001", "  learningrate: 0.001", "unknown key 'learningrate'"),
        ("  tf32: false", "  tf32: maybe", "'tf32' must be"),
        ("  engine: auto ", "  engin: auto ", "unknown key 'engin'\n  -> did you mean 'engine'"),
        ("  engine: auto ", "  engine: vlm ", "'answer.engine': "),
        ("optimizer: adamw_torch ", "optimizer: paged_adamw_8bit ", "is a CUDA kernel"),
    ],
)
def test_mistakes_in_a_profile_name_its_line(configs: Path, old: str, new: str, what: str) -> None:
    line = edit(configs / "profiles" / "cpu.yaml", old, new)
    with pytest.raises(RecipeError) as error:
        run()
    assert what in str(error.value) and f"cpu.yaml:{line}: " in str(error.value)


@pytest.mark.parametrize(
    ("expression", "what"),
    [
        ("{{ ''.__class__.__mro__ }}", "SecurityError: access to attribute '__class__'"),
        ("{{ run_name.__init__.__globals__ }}", "SecurityError"),
        ("{{ no_such_name }}", "UndefinedError: 'no_such_name' is undefined"),
        ("{% if %}", "TemplateSyntaxError"),
    ],
)
def test_a_template_cannot_reach_into_python(configs: Path, expression: str, what: str) -> None:
    line = edit(configs / "recipe.yaml.j2", "lora_r: 64 ", f"lora_r: {expression} ")
    with pytest.raises(RecipeError) as error:
        run()
    assert what in str(error.value) and f"recipe.yaml.j2:{line}: " in str(error.value)


def test_a_misspelt_key_in_the_template_is_found(configs: Path) -> None:
    edit(configs / "recipe.yaml.j2", "warmup_steps: 10 ", "warm_up_steps: 10 ")
    with pytest.raises(RecipeError, match=r"recipe.yaml.j2 .*: unknown key 'warm_up_steps'(.|\n)*'warmup_steps'"):
        run()


def test_a_misspelt_key_in_tracks_names_its_line(configs: Path) -> None:
    line = edit(configs / "tracks.yaml", "  track2: {blend: v7b, alpha: 0.5}", "  track2: {blend: v7b, alfa: 0.5}")
    with pytest.raises(RecipeError, match=rf"tracks.yaml:{line}: unknown key 'alfa'(.|\n)*'alpha'"):
        load_tracks()


def test_an_unknown_profile_names_the_nearest(configs: Path) -> None:
    with pytest.raises(RecipeError, match="did you mean '8xa100'"):
        run(profile="8xa10")


def test_a_profile_lies_over_the_one_it_includes(configs: Path) -> None:
    own = configs / "profiles" / "mine.yaml"
    own.write_text("why: mine\ninclude: cpu\nrows: 60\nquantize: {group: 32}\naxolotl:\n  lora_r: 8\n  tf32: null\n")
    resolved = run(profile="mine")
    assert (resolved.profile.rows, resolved.profile.embedded, resolved.axolotl["lora_r"]) == (60, True, 8)
    assert (resolved.profile.quantize.group, resolved.profile.quantize.tensor_parallel) == (32, 1)
    assert "tf32" not in resolved.axolotl
    assert resolved.changed["lora_r"].endswith("profiles/mine.yaml:6")
    line = edit(configs / "profiles" / "cpu.yaml", "sequence_len: 640 ", "sequence_len: 500 ")
    resolved = run(profile="mine")
    assert resolved.axolotl["sequence_len"] == 500
    assert resolved.changed["sequence_len"].endswith(f"profiles/cpu.yaml:{line}")
    line = edit(configs / "profiles" / "cpu.yaml", "val_rows: 65 ", "val_rowz: 65 ")
    with pytest.raises(RecipeError, match=rf"profiles/cpu.yaml:{line}: unknown key 'val_rowz'(.|\n)*'val_rows'"):
        run(profile="mine")


def test_an_include_of_a_profile_leads_somewhere(configs: Path) -> None:
    own = configs / "profiles" / "mine.yaml"
    own.write_text("include: mine\n")
    with pytest.raises(RecipeError, match=r"profiles/mine.yaml:1: circular include: mine -> mine"):
        run(profile="mine")
    own.write_text("include: cpux\n")
    with pytest.raises(RecipeError, match=r"profiles/mine.yaml:1: no profile 'cpux'(.|\n)*'cpu'"):
        run(profile="mine")


def test_a_second_round_may_follow_a_first_with_the_same_settings() -> None:
    resolved = run("v9b", overrides="lora_r=32 parent=same")
    assert resolved.start is not None and resolved.start.parent.name == "v8+lora_r=32"
    assert resolved.axolotl["lora_model_dir"].endswith("v8+lora_r=32/adapter-0.5625")
    assert resolved.axolotl["lora_r"] == 32
    assert "parent" not in resolved.axolotl
    plain = run("v9b", overrides="lora_r=32")
    assert plain.start is not None and plain.start.parent.name == "v8"
    with pytest.raises(RecipeError, match="SET: v8 is no second round"):
        run("v8", overrides="parent=same")
    with pytest.raises(RecipeError, match="SET: parent=v7 is not known"):
        run("v9b", overrides="parent=v7")


def test_a_profile_may_train_a_second_round_otherwise(configs: Path) -> None:
    """It says so upon its own keys, and a blend and SET still come after it."""
    file = configs / "profiles" / "cpu.yaml"
    line = file.read_text().split("  learning_rate: 0.0003")[0].count("\n") + 1
    second = run("v9b", profile="cpu-fast")
    assert second.axolotl["learning_rate"] == 0.0003 and second.changed["learning_rate"].endswith(f"cpu.yaml:{line}")
    assert run("v8", profile="cpu-fast").axolotl["learning_rate"] == 0.001
    assert run("v9b", profile="cpu", overrides="learning_rate=1e-5").axolotl["learning_rate"] == 1e-5
    edit(configs / "blends" / "v9b.yaml", "seed: 44", "seed: 44\naxolotl: {learning_rate: 0.0001}")
    assert run("v9b", profile="cpu").axolotl["learning_rate"] == 0.0001
    edit(file, "  learning_rate: 0.0003", "  learning_rat: 0.0003")
    with pytest.raises(RecipeError, match=rf"cpu.yaml:{line}: unknown(.|\n)*learning_rate"):
        run("v9b", profile="cpu")


def test_a_cpu_without_fast_bf16_computes_in_fp32(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the same run, and what was typed is done."""
    usual = resolve("v8", "cpu", {}, task_names())
    monkeypatch.setattr(render, "bf16_on_cpu", lambda: False)
    found = resolve("v8", "cpu", {}, task_names())
    assert found.axolotl == {**usual.axolotl, "bf16": False} and found.lasting == usual.lasting
    assert "bf16: false  # <- fp32: this CPU has no AVX-512" in found.yaml
    assert resolve("v8", "cpu", {"bf16": True}, task_names()).axolotl["bf16"]
    assert resolve("v8", "8xa100", {}, task_names()).axolotl["bf16"]


def test_rules_of_conflicts_name_keys_that_there_are() -> None:
    """A key that is misspelt there would count as one that is not set, and the rule never apply."""
    for rule in read_yaml(RULES_FILE).data["rules"]:
        text = f"{{{{ {rule['when']} }}}}{rule['what']}{rule['way_out']}"
        named = meta.find_undeclared_variables(Environment().parse(text)) - {"key", "value", "gpus", "typed"}
        assert named | set(rule["keys"]) <= known_keys()
