"""``recipe plan``: what it prints is what docs/planning.md shows; what it refuses, and the way out it names."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from axolotl_configs.costs.batches import Lengths
from axolotl_configs.costs.duration import duration
from axolotl_configs.costs.known_figures import environments
from axolotl_configs.costs.memory import gpu_parts
from recipe.commands.plan import command
from spine.errors import RecipeError
from spine.hardware import Device, Machine
from spine.manifest import Step
from spine.paths import CONFIGS, ROOT
from spine.yamlfile import read_yaml
from tests.axolotl_configs.test_planning import A100, FIRST_72B, SETTINGS

DOC = (ROOT / "docs" / "planning.md").read_text(encoding="utf-8")
KINDS = ("gpu", "cpu", "cpu_from_pypi")
pytestmark = pytest.mark.usefixtures("runs_folder")


def plan(*arguments: str | Path) -> Result:
    return CliRunner().invoke(command, list(map(str, arguments)))


def refused(*arguments: str | Path) -> str:
    found = plan(*arguments)
    assert isinstance(found.exception, RecipeError)
    return str(found.exception)


def test_the_page_shows_what_the_command_prints() -> None:
    lines = [line.rstrip() for line in plan("v8", "--profile", "8xa100").stdout.splitlines()]
    shown = [line.removeprefix("    ").rstrip() for line in DOC.splitlines()]
    begin = shown.index(lines[0])
    assert shown[begin : begin + len(lines)] == lines


@pytest.mark.parametrize(
    "row", re.findall(r"^\| (\w+), `(\w+)` \| ([\d.]+) of (\d+) \| ([\d.]+) \| ([\d.]+) \|$", DOC, re.M)
)
def test_the_pages_table_is_the_commands(row: tuple[str, ...], tmp_path: Path) -> None:
    assert plan(row[0], "-p", row[1], "--json", tmp_path / "plan.json").exit_code == 0
    found = json.loads((tmp_path / "plan.json").read_text())
    gib, hours, disk = found["memory_bytes"] / 2**30, found["training"]["seconds"] / 3600, found["disk_bytes"] / 1e9
    assert row[2:] == (f"{gib:.1f}", f"{found['memory_there_gib']:.0f}", f"{hours:.1f}", f"{disk:.1f}")


def test_the_pages_table_has_every_gpu_profile() -> None:
    assert {"8xa100", "1xh200", "1x24gb"} <= set(re.findall(r"^\| v\w+, `(\w+)`", DOC, re.M))


def test_the_checks_of_the_page_are_the_commands() -> None:
    sizes = [
        f"{sum(part.nbytes for part in gpu_parts({**SETTINGS, 'sequence_len': tokens}, FIRST_72B, 1)) / 1e9:.1f}"
        for tokens in (256, 1024, 2048, 8192)
    ]
    assert f"| {' / '.join(sizes[:3])} GB |" in DOC and f"| {sizes[3]} GB |" in DOC
    eight_rows = {**SETTINGS, "eval_steps": None, "gradient_accumulation_steps": 8}
    short, long, longer = (
        duration(eight_rows, FIRST_72B, 8, 0, Lengths(tokens, [1.0]), 1, A100).seconds for tokens in (256, 2048, 8192)
    )
    assert f"| + {longer - long:.1f} |" in DOC and f"| {short:.1f} |" in DOC
    for blend in ("v7b", "v9b"):
        hours = re.search(r"training ([\d.]+) h", plan(blend, "-p", "8xa100-rows").stdout)
        assert hours and f"{blend} {hours[1]} h" in DOC
    on_cpu = plan("v8", "-p", "cpu").stdout
    memory, time = re.search(r"fits +([\d.]+) of", on_cpu), re.search(r"train +[\d.]+ +0:(\d+:\d+)", on_cpu)
    assert memory and time and f"| {memory[1]} GiB, {time[1].removeprefix('0')} |" in DOC


def test_lengths_are_the_datas_own_once_they_are_built(runs_folder: Path) -> None:
    data = runs_folder / "8xa100" / "v8" / "data"
    data.mkdir(parents=True)
    bars = {"edges": [0, 400], "rows": [1000]}
    (data / "stats.json").write_text(json.dumps({"totals": {"kept": 1000, "tokens": 200_000}, "lengths": bars}))
    Step(data, "data", {}).finish(["stats.json"])
    shown = plan("v8", "-p", "8xa100").stdout
    assert "1,000, and 2,000 held out; 200 tokens on average (measured," in shown and "steps     2 of 32 bins" in shown
    assert "220 tokens on average (as asked)" in plan("v8", "-p", "8xa100", "--row-tokens", "220").stdout


def test_a_plan_that_cannot_fit_is_refused_with_what_would() -> None:
    told = refused("v8", "-p", "1x24gb", "--set", "base_model=Qwen/Qwen2-72B-Instruct")
    assert "training needs" in told and "loading the model needs" in told
    assert "-> PROFILE=1xa100 | PROFILE=1xh200 | " in told and "PROFILE=8xa100" in told
    wide = refused("v8", "-p", "1xh200", "--set", "micro_batch_size=16")
    assert "a GPU, there are 130" in wide and 'SET="micro_batch_size=' in wide and 'SET="sequence_len=1024"' in wide
    assert "the model has 32768 positions" in refused("v8", "-p", "8xa100", "--set", "sequence_len=40000")
    assert "--alpha" in plan("--help").output  # and the command still explains itself


def test_memory_and_disk_of_this_machine_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    small = Machine((), 2, 3.0)
    monkeypatch.setattr("recipe.steps.plan.this_machine", lambda: small)
    told = refused("v8", "-p", "cpu")
    assert "GiB of memory, there are 3" in told and 'SET="gradient_checkpointing=true"' in told
    monkeypatch.setattr("recipe.steps.plan.this_machine", lambda: Machine((), 2, 64.0))
    monkeypatch.setattr("recipe.commands.plan.free_gib", lambda path: 0.5)
    assert "all steps leave 2.1 GB, 0.5 are free in" in refused("v8", "-p", "cpu")


def test_packing_is_told_in_bins_and_rows() -> None:
    shown = plan("v8", "-p", "8xa100").stdout
    found = re.search(r"steps +(\d+) of 32 bins of 3,072 tokens, (\d+) rows in all; ([\d.]+) M tokens", shown)
    formulae = (ROOT / "docs" / "formulae.md").read_text(encoding="utf-8")
    assert found and f"for v8 {found[1]} steps of {found[2]} rows" in " ".join(formulae.split())
    assert int(found[1]) * int(found[2]) == pytest.approx(502_435, rel=0.01)
    assert float(found[3]) * 1e6 == pytest.approx(int(found[1]) * 32 * 3072, rel=0.01)
    assert re.search(r"held-out rows 0\.[0-2] h", shown)
    alone = plan("v8", "-p", "8xa100", "--set", "eval_sample_packing=false pad_to_sequence_len=false").stdout
    plain = plan("v8", "-p", "8xa100-rows").stdout
    looks = [re.search(r"held-out rows [\d.]+ h", text) for text in (alone, plain)]
    assert looks[0] and looks[1] and looks[0][0] == looks[1][0]


def test_a_merged_start_is_a_second_base_on_the_disk() -> None:
    adapter, merged = (plan("v9b", "-p", "8xa100", "--set", f"start={how}").stdout for how in ("adapter", "merged"))
    whole = re.search(r"^ base +([\d.]+) ", merged, re.MULTILINE)
    assert whole and re.search(rf"^ start +{whole[1]} ", merged, re.MULTILINE)
    assert not re.search("^ start ", adapter, re.MULTILINE)


def test_the_machines_own_memory_is_compared_where_it_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "what machines with this card have is not known" in plan("v8", "-p", "1x24gb", "--gpu", "RTX-4090").stdout
    monkeypatch.setattr("recipe.steps.plan.usual_memory", lambda name: 4.0)
    rented = plan("v8", "-p", "8xa100")
    assert (
        rented.exit_code == 0
        and "beware    train needs 48.4 GiB of the machine's memory, there are 32" in rented.stdout
    )
    device = Device("NVIDIA A100-SXM4-80GB", 80.0, 8.0, "GPU-1")
    here = Machine((device,) * 8, 64, 40.0, "580.65.06", 13.0)
    monkeypatch.setattr("recipe.steps.plan.this_machine", lambda: here)
    monkeypatch.setattr("recipe.commands.plan.free_gib", lambda path: 1000.0)
    told = refused("v8", "-p", "8xa100")
    assert "train needs 48.4 GiB of the machine's memory, there are 40\n  -> a machine with more memory" in told
    monkeypatch.setattr("recipe.steps.plan.this_machine", lambda: replace(here, memory_gib=60.0))
    assert plan("v8", "-p", "8xa100").exit_code == 0
    assert refused("v8", "-p", "8xa100", "--backend", "autoawq").endswith("BACKEND=gptqmodel loads a layer at a time")


def test_driver_and_downloads_are_told() -> None:
    shown = plan("v8", "-p", "8xa100", "--json", "/dev/null").stdout
    assert "needs     NVIDIA driver 580 or newer, GPUs of compute capability 7.5 or newer" in shown
    sizes = environments().sizes(gpu=True)
    fetched = sum(sizes[name][0] for name in ("core", "train", "quantize", "serve"))
    assert f"installs  core, train, quantize, serve: {fetched:.1f} GB to fetch" in shown
    assert "driver" not in plan("v8", "-p", "cpu").stdout


def test_the_page_has_the_downloads_of_known_environments() -> None:
    file = read_yaml(CONFIGS / "known" / "environments.yaml").data
    for name in file["gpu"]:
        cells = (", ".join(f"{size:.{2 - at}f}" for at, size in enumerate(file[kind][name])) for kind in KINDS)
        assert f"| {name} | {' | '.join(cells)} |" in DOC


def test_a_model_nobody_knows_needs_its_config(tmp_path: Path) -> None:
    assert "--model-config /path/to/its/config.json; known without it: Qwen/Qwen2-72B-Instruct" in refused(
        "v8", "-p", "8xa100", "--set", "base_model=models/none"
    )
    config = {"architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "hidden_size": 1024, "vocab_size": 151936,
              "intermediate_size": 2816, "num_hidden_layers": 24, "num_attention_heads": 16}  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(config))
    found = plan("v8", "-p", "8xa100", "--set", "base_model=my/model", "--model-config", tmp_path / "config.json")
    assert found.exit_code == 0 and "my/model on 8 x A100-80GB" in found.stdout
    assert "did you mean 'H200'" in refused("v8", "-p", "8xa100", "--gpu", "H20")
