"""deploy/train.slurm, run as Slurm would: srun is two processes, `recipe` and `axolotl` write down what they are told.

That the commands train together is shown by tests/test_miniature.py; a real Slurm has run the script (docs/gpus.md).
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from spine.paths import ROOT

YAML = "runs/x/v8/train/axolotl.yaml"
TOOLS = {
    "scontrol": 'if [ "$1" = show ]; then printf "first\\nsecond\\n"; else echo "scontrol $*" >> calls; fi',
    "srun": """
while [ "${1#--}" != "$1" ]; do shift; done
SLURM_NODEID=1 "$@" & other=$!
SLURM_NODEID=0 "$@"; code=$?
if [ $code != 0 ]; then kill $other; fi
wait $other; exit $code""",
    "recipe": f"""
if [ "$1" = show ]; then echo "output_dir: runs/x/v8/train"; exit; fi
sleep 1.5; echo new > {YAML}; echo "recipe $*" >> calls; exit "${{FAILS:-0}}" """,
    "axolotl": 'echo "axolotl $(cat "$2") $*" >> calls',
}


def submitted(folder: Path, **variables: str) -> tuple[int, list[str]]:
    """The job's exit code, and the calls, sorted; an earlier start's YAML lies there."""
    script = folder / "train.slurm"
    shutil.copy(ROOT / "deploy" / "train.slurm", script)
    tools = folder / ".venvs" / "core" / "bin"
    for place in (tools, (folder / YAML).parent):
        place.mkdir(parents=True)
    (folder / YAML).write_text("old")
    for name, text in TOOLS.items():
        (tools / name).write_text(f"#!/bin/bash\n{text}\n")
        (tools / name).chmod(0o755)
    path = os.pathsep.join([str(tools), os.environ["PATH"]])
    slurm = {"SLURM_SUBMIT_DIR": str(folder), "SLURM_JOB_ID": "7", "SLURM_JOB_NODELIST": "n[1-2]",
             "SLURM_JOB_NUM_NODES": "2", "SLURM_GPUS_ON_NODE": "8", "PATH": path}  # fmt: skip
    done = subprocess.run(["bash", str(script), "v8"], env={**os.environ, **slurm, **variables}, check=False)
    assert not list((folder / "runs").glob(".slurm-*"))
    return done.returncode, sorted((folder / "calls").read_text().splitlines())


def test_the_others_wait_for_the_yaml_of_this_job_and_meet_the_first_node(tmp_path: Path) -> None:
    meeting = "--launcher torchrun -- --nnodes=2 --nproc_per_node=8 --rdzv_endpoint=first:29500 --rdzv_id=7"
    assert submitted(tmp_path) == (0, [f"axolotl new train {YAML} {meeting}", f"recipe train v8 -- {meeting}"])
    documented = (ROOT / "docs" / "gpus.md").read_text()
    assert meeting.replace("first:", "FIRST_NODE:").replace("=7", "=v8") in documented  # what a test trains with


@pytest.mark.parametrize(("restarts", "again"), [("0", True), ("2", True), ("3", False)])
def test_what_has_failed_is_put_back_three_times(tmp_path: Path, restarts: str, again: bool) -> None:
    code, calls = submitted(tmp_path, FAILS="9", SLURM_RESTART_COUNT=restarts)
    assert code == 9 and ("scontrol requeue 7" in calls) == again
