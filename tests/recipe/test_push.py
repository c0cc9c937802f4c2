"""``recipe push``: what is shown, what arrives, and what is left where something breaks."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from huggingface_hub import constants

from recipe.commands.push import command
from recipe.hub import upload
from recipe.hub.parcel import without_places
from spine import manifest
from spine.paths import ROOT
from tests.recipe.finished_run import ALPHA, PLACE, FinishedRun
from tests.recipe.hub import BROKEN, TOKEN, Fault, Hub
from tests.recipe.pushing import ADAPTER, MERGED, NAME, push, refused, sent
from tests.recipe.test_cli import recipe


def test_without_yes_all_is_shown_and_nobody_is_asked(run: FinishedRun, hub: Hub) -> None:
    shown = push("--to", NAME).output
    assert not hub.asked
    for part in ("adapter_model.safetensors", "4.0 kB", f"to        {NAME}, a model repository, private",
                 "license: apa", "--yes uploads", "# SmolLM2-135M-Instruct for questions about shopping"):  # fmt: skip
        assert part in shown
    assert "PUBLIC" in push("--to", NAME, "--public").output and "--to USER/NAME" in push().output
    assert not upload.pushed(run.run.folder)


def test_card_prints_the_card_alone(run: FinishedRun) -> None:
    done = CliRunner().invoke(command, ["v8", "-p", "cpu", "--card"])
    assert done.stdout.startswith("---\n") and done.stdout.rstrip().endswith("reads it.")


def test_an_adapter_arrives_in_one_commit_and_private(run: FinishedRun, hub: Hub) -> None:
    done = sent()
    repo = hub.repo(NAME)
    assert repo.private and repo.commits == [ADAPTER]
    assert repo.files["adapter_model.safetensors"] == (run.run.train / "adapter_model.safetensors").read_bytes()
    assert f"pushed    https://huggingface.co/{NAME}  (commit {repo.head[:12]})" in done.output
    assert upload.pushed(run.run.folder)["adapter"].commit == repo.head


def test_no_place_of_this_machine_goes_with_it(run: FinishedRun, hub: Hub) -> None:
    sent()
    files = hub.repo(NAME).files
    assert not [name for name, content in files.items() if b"/home" in content or str(run.raw).encode() in content]
    assert json.loads(files["adapter_config.json"])["base_model_name_or_path"] == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert files["tokenizer_config.json"] == b'{"chat_template": "/not/a/path"}'  # only what tells how it was made
    outputs = json.loads(files["manifest.json"])["outputs"]
    for name in outputs:
        assert outputs[name] == {"bytes": len(files[name]), "sha256": hashlib.sha256(files[name]).hexdigest()}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f"{ROOT}/runs/cpu/v8", "runs/cpu/v8"), (f'"{PLACE}/train"', '"train"'), ("/data/raw/", "folder"),
        ("https://host/a/b", "https://host/a/b"), ("runs/cpu/v8 1/2/3 </a/b>", "runs/cpu/v8 1/2/3 </a/b>"),
    ],
)  # fmt: skip
def test_paths_are_cut_short(text: str, told: str) -> None:
    assert without_places(text) == told


def test_rows_go_without_what_must_not_be_trained_on(run: FinishedRun, hub: Hub) -> None:
    sent("--what", "data")
    assert set(hub.repo(NAME, "dataset").files) == {
        "train.parquet", "val.parquet", "stats.json", "blend.png", "manifest.json", "README.md", ".gitattributes"
    }  # fmt: skip


def test_a_model_takes_our_card_and_not_its_base_s(run: FinishedRun, hub: Hub) -> None:
    sent("--what", MERGED)
    files = hub.repo(NAME).files
    assert (
        b"The base's own card" not in files["README.md"]
        and "README.md" not in json.loads(files["manifest.json"])["outputs"]
    )


def test_pushing_again_sends_no_large_file_again(run: FinishedRun, hub: Hub) -> None:
    sent("--what", MERGED)
    asked, hub.asked = hub.asked, []
    sent("--what", MERGED)
    assert any("PUT" in one for one in asked) and not any("PUT" in one or "batch" in one for one in hub.asked)
    assert len(hub.repo(NAME).commits) == 1  # nothing is new


def test_a_new_card_alone_is_a_commit(run: FinishedRun, hub: Hub) -> None:
    sent()
    sent("--licence", "mit")
    assert len(hub.repo(NAME).commits) == 2 and b"license: mit" in hub.repo(NAME).files["README.md"]


def test_cards_link_to_what_was_pushed_before(run: FinishedRun, hub: Hub) -> None:
    run.awq()
    sent("--what", "data", to="somebody/rows")
    sent("--what", MERGED, to="somebody/merged")
    card = push("--what", f"awq-{ALPHA}", "--card").stdout
    assert "base_model: somebody/merged" in card and "base_model_relation: quantized" in card
    assert "datasets:\n- somebody/rows" in card
    public = push("--what", f"awq-{ALPHA}", "--public", "--card").stdout
    assert "somebody" not in public  # those are private
    run.merge(0.25)
    assert "somebody/merged" not in push("--what", "merged-0.25", "--card").stdout


FAULTS = {
    "no permission": (Fault("create", 403, "You don't have the rights to create a model under this namespace"),
                      "may not write to somebody/shopping (You don't have the rights"),
    "a moved branch": (Fault("commit", 412), "somebody else has changed"),
    "a pause": (Fault("preupload", 429, times=99), "asks for a pause"),
    "out of order": (Fault("GET", 503, times=99), "out of order: HTTP 503"),
    "a full account": (Fault("commit", 403, "Private repository storage limit reached"), "storage limit reached"),
    "a broken connection": (Fault("commit", BROKEN), "connection broke"),
    "a broken transfer": (Fault("PUT", BROKEN, times=99), "connection broke"),
    "a refused transfer": (Fault("PUT", 403), "may not write"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_whatever_breaks_nothing_is_seen_and_the_same_command_goes_on(name: str, run: FinishedRun, hub: Hub) -> None:
    fault, told = FAULTS[name]
    hub.faults.append(fault)
    said = refused("--to", NAME, "--yes")
    assert told in said and "\n  -> " in said
    assert not any(repo.commits for repo in hub.repos.values()) and not upload.pushed(run.run.folder)
    hub.faults.clear()
    sent()
    assert hub.repo(NAME).commits == [ADAPTER]


def test_after_a_break_what_has_arrived_is_not_sent_again(run: FinishedRun, hub: Hub) -> None:
    hub.faults.append(Fault("PUT", 400, after=1))
    refused("--what", MERGED, "--to", NAME, "--yes")
    assert len(hub.stored) == 1 and not hub.repo(NAME).commits
    hub.asked = []
    sent("--what", MERGED)
    assert sum("PUT" in one for one in hub.asked) == 1 and len(hub.repo(NAME).commits) == 1


def test_a_short_trouble_is_got_over(run: FinishedRun, hub: Hub) -> None:
    hub.faults += [Fault("preupload", 503), Fault("PUT", 500)]
    sent()
    assert hub.repo(NAME).commits == [ADAPTER]


def test_tokens(run: FinishedRun, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_" + "x" * 30)
    assert "does not accept this token" in (said := refused("--to", NAME, "--yes")) and "x" * 30 not in said
    monkeypatch.delenv("HF_TOKEN")
    hub.asked = []
    assert "no token" in (said := refused("--to", NAME, "--yes")) and "hf auth login" in said
    assert not hub.asked


def test_a_token_that_is_echoed_is_not_told(run: FinishedRun, hub: Hub) -> None:
    hub.faults.append(Fault("create", 403, f"no rights for {TOKEN}"))
    assert "no rights for ..." in refused("--to", NAME, "--yes")


def test_a_network_that_is_not_there(run: FinishedRun, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    assert "HTTPS_PROXY" in refused("--to", NAME, "--yes")


def test_stopped_by_hand_it_says_how_to_go_on(run: FinishedRun, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(upload, "_send", stop)
    done = push("--to", NAME, "--yes")
    assert "the same command goes on" in done.output and done.exit_code != 0


@pytest.mark.slow  # two real processes
def test_typed_in_a_shell_with_the_storage_service_of_every_day(
    run: FinishedRun, hub: Hub, runs_folder: Path, tmp_path: Path
) -> None:
    hub.faults.append(Fault("/cas/v2/shards", 403))
    words = ("push", "v8", "-p", "cpu", "--to", NAME, "--yes")
    ours = {"HF_ENDPOINT": hub.url, "HF_TOKEN": TOKEN, "HF_HOME": str(tmp_path / "hf"), "RECIPE_RUNS": str(runs_folder)}
    broken = recipe(*words, **ours)
    assert broken.returncode == 1 and "error: the hub" in broken.stderr and "Traceback" not in broken.stderr
    assert not hub.repo(NAME).commits
    done = recipe(*words, **ours)
    assert done.returncode == 0, done.stderr
    weights = hub.repo(NAME).files["adapter_model.safetensors"].decode()
    assert weights == manifest.file_digest(run.run.train / "adapter_model.safetensors")
    assert TOKEN not in broken.stdout + broken.stderr + done.stdout + done.stderr
