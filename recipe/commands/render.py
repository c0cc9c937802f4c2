"""``recipe render``."""

from __future__ import annotations

from pathlib import Path

import click

from axolotl_configs.launch import launcher
from axolotl_configs.render import Resolved, resolve
from axolotl_configs.schema import names
from dataset_builders.task import task_names
from recipe.commands.options import examples
from spine.atomic import write_text
from spine.paths import CONFIGS, shown

FOLDER = "rendered"


@click.command("render", epilog=examples("recipe render", "axolotl train axolotl_configs/rendered/cpu-fast/v8.yaml"))
def command() -> None:
    """Write axolotl_configs/rendered/PROFILE/BLEND.yaml: every blend on every profile, to read and for plain axolotl.

    Each is what `recipe train BLEND --profile PROFILE` hands to axolotl, whatever machine this is written on.
    """
    written = {CONFIGS / place: text for place, text in rendered().items()}
    for path, text in written.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, text)
    for path in set((CONFIGS / FOLDER).rglob("*.yaml")) - set(written):
        path.unlink()
    click.echo(f"rendered  {len(written)} files in {shown(CONFIGS / FOLDER)}/")


def rendered() -> dict[Path, str]:
    """The text of every file, by its place in ``axolotl_configs``."""
    known = task_names()
    return {
        place(blend, profile): _text(resolve(blend, profile, {}, known, any_cpu=True))
        for profile in names("profiles")
        for blend in names("blends")
    }


def place(blend: str, profile: str) -> Path:
    """Where a rendered YAML lies in ``axolotl_configs``."""
    return Path(FOLDER, profile, f"{blend}.yaml")


def _text(resolved: Resolved) -> str:
    """The YAML, headed by where it comes from and how plain axolotl trains on it."""
    profile, blend = resolved.run.profile, resolved.blend.name
    parent = []
    if start := resolved.start:
        parent = [f"make train-{start.parent.blend} PROFILE={profile}"]
        if start.folder != start.parent.train:
            how = " --as-adapter" if start.how == "adapter" else ""
            parent += [f"recipe merge {start.parent.blend} -p {profile} --alpha {start.alpha:g}{how}"]
    words = launcher(resolved.processes) if resolved.processes > 1 else []
    train = " ".join(["axolotl train", f"axolotl_configs/{place(blend, profile)}", *words])
    lines = [
        f"Blend {blend} on profile {profile}, as `make train-{blend} PROFILE={profile}` hands it to axolotl.",
        f"Written by `make rendered` from recipe.yaml.j2, blends/{blend}.yaml and profiles/{profile}.yaml: edit those.",
        "To train with plain axolotl, in the root of the repository and with .venvs/train/bin on the PATH:",
        "",
        *(f"  {command}" for command in [*parent, f"make data-{blend} PROFILE={profile}", train]),
        "",
    ]
    if resolved.axolotl.get("bf16") and not resolved.profile.hardware.gpus:
        slow = "A CPU without AVX-512 is far faster in fp32: add --bf16 false, as `make train` does there by itself."
        lines += [slow, ""]
    return "".join(f"# {line}".rstrip() + "\n" for line in lines) + resolved.yaml
