"""``recipe push``: what is shown, what is refused, what arrives, and what is left where something breaks."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from huggingface_hub import constants

from axolotl_configs.render import Resolved
from recipe.commands import push as pushing
from recipe.commands.options import resolve_run
from recipe.commands.push import command
from recipe.hub import upload
from recipe.hub.parcel import without_places
from spine import manifest
from spine.errors import RecipeError
from spine.manifest import Step
from spine.paths import ROOT
from spine.runs import Run
from tests.recipe.finished_run import ALPHA, DATASETS, PLACE, FinishedRun, base_model, dataset, finish
from tests.recipe.hub import BROKEN, TOKEN, Fault, Hub, Repo
from tests.recipe.test_cli import recipe

NAME = "somebody/shopping"
ADAPTER = {"adapter_model.safetensors", "adapter_config.json", "axolotl.yaml", "trainer_state.json",
           "tokenizer_config.json", "manifest.json", "README.md", ".gitattributes"}  # fmt: skip
MERGED = f"merged-{ALPHA}"


@cache
def resolved(blend: str, profile: str | None, overrides: str) -> Resolved:
    """A tenth of a second, for every command typed here."""
    return resolve_run(blend, profile, overrides)


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(pushing, "resolve_run", resolved)
    return base_model(tmp_path, monkeypatch)


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """The sample shop, so to speak."""
    folder = tmp_path / "raw"
    folder.mkdir()
    (folder / "products.csv").write_text("all of it is invented")
    finish(Step(folder, "sample-data", {}), ["products.csv"])
    return folder


@pytest.fixture
def run(runs_folder: Path, base: Path, raw: Path) -> FinishedRun:
    """Rows of the sample shop, an adapter, a merged model; without answers."""
    made = FinishedRun(Run("cpu", "v8"), raw, base)
    made.data()
    made.train()
    made.merge()
    return made


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """The only hub that there is; nobody waits for it. Large files go the way that needs no storage service."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)  # which tests of other environments set for all
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no token"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)
    monkeypatch.setattr(upload, "SMALL", 1_000)
    with Hub() as server:
        monkeypatch.setattr(constants, "ENDPOINT", server.url)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


def push(*words: str) -> Result:
    return CliRunner().invoke(command, ["v8", "-p", "cpu", *words])


def sent(*words: str, to: str = NAME) -> Result:
    """With --yes; it went well."""
    done = push(*words, "--to", to, "--yes")
    assert done.exit_code == 0, (done.output, done.exception)
    assert TOKEN not in done.output
    return done


def refused(*words: str) -> str:
    done = push(*words)
    assert isinstance(done.exception, RecipeError), (done.output, done.exception)
    assert TOKEN not in done.output + str(done.exception)
    return str(done.exception)


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


@pytest.mark.parametrize("name", ["shopping", "/x", "a/b/c", "somebody/", "some body/x", "somebody/.git"])
def test_names_that_are_none(name: str, run: FinishedRun, hub: Hub) -> None:
    assert "--to USER/NAME" in refused("--to", name, "--yes") and not hub.asked


def test_yes_needs_a_name(run: FinishedRun) -> None:
    assert "--yes needs --to" in push("--yes").output


def test_another_s_content_is_not_overwritten(run: FinishedRun, hub: Hub) -> None:
    hub.repos["model", NAME] = repo = Repo(private=True)
    repo.files |= {"model.bin": b"theirs", "README.md": b"# Theirs\n"}
    assert "holds something else: model.bin" in refused("--to", NAME, "--yes") and not repo.commits
    sent("--replace")
    assert repo.commits == [ADAPTER]  # at once: at no time both of them, or half of one


def test_an_empty_repository_is_filled(run: FinishedRun, hub: Hub) -> None:
    hub.repos["model", NAME] = repo = Repo(private=True)
    repo.files["README.md"] = b"made on the website"
    sent()
    assert repo.commits == [ADAPTER] and b"website" not in repo.files["README.md"]


def test_a_repository_that_others_see_is_not_filled_by_mistake(run: FinishedRun, hub: Hub) -> None:
    hub.repos["model", NAME] = Repo(private=False)
    assert "is there and public" in refused("--to", NAME, "--yes")
    hub.repos["model", NAME] = Repo(private=True)
    assert "is there and private" in refused("--to", NAME, "--public", "--yes")


def not_finished(run: FinishedRun) -> None:
    (run.run.train / "manifest.json").unlink()


def damaged(run: FinishedRun) -> None:
    (run.run.train / "adapter_config.json").write_text("{ }")


def other_rows(run: FinishedRun) -> None:
    (run.run.data / "train.parquet").write_bytes(b"other rows")
    finish(Step(run.run.data, "data", {}), ["train.parquet", "val.parquet", "stats.json"], raw=str(run.raw))


def no_rows(run: FinishedRun) -> None:
    (run.run.data / "manifest.json").unlink()


@pytest.mark.parametrize(
    ("spoil", "told"),
    [(not_finished, "is not finished"), (damaged, "adapter_config.json changed since"), (other_rows, "not those that"),
     (no_rows, "rows are not there")],
)  # fmt: skip
def test_what_is_not_whole_stays_here(
    spoil: Callable[[FinishedRun], None], told: str, run: FinishedRun, hub: Hub
) -> None:
    spoil(run)
    assert told in refused("--to", NAME, "--yes") and not hub.asked


def test_a_model_of_another_adapter_stays_here(run: FinishedRun) -> None:
    (run.run.train / "adapter_model.safetensors").write_bytes(b"trained anew")
    finish(Step(run.run.train, "train", manifest.read(run.run.train)["inputs"]), ["adapter_model.safetensors"])  # type: ignore[index]
    assert "another adapter" in refused("--what", MERGED)


def test_what_is_not_there_is_named(run: FinishedRun) -> None:
    assert "did you mean 'merged-0.56'?" in refused("--what", "merged-0.5")
    run.awq()
    (run.run.merged(ALPHA) / "manifest.json").unlink()
    assert "no longer beside it" in refused("--what", f"awq-{ALPHA}")


@pytest.mark.parametrize("what", ["adapter", "data", MERGED])
def test_public_needs_the_sources_leave(what: str, run: FinishedRun, hub: Hub, raw: Path) -> None:
    (raw / "products.csv").write_text("now they are real ones")  # no longer the sample shop as it was written
    said = refused("--what", what, "--to", NAME, "--public", "--yes")
    assert "Amazon-M2 (KDD Cup 2023): the challenge's rules" in said and "--accept-licence" in said
    assert "ESCI" not in said and "Alpaca" not in said and not hub.asked  # open licences let rows be passed on
    sent("--what", what, "--public", "--accept-licence")
    assert not next(iter(hub.repos.values())).private


def test_private_needs_nobody_s_leave(run: FinishedRun, hub: Hub, raw: Path) -> None:
    (raw / "products.csv").unlink()
    sent("--what", "data")
    assert b"license: other" in hub.repo(NAME, "dataset").files["README.md"]


def test_questions_of_one_s_own_are_nobody_else_s(runs_folder: Path, base: Path, raw: Path) -> None:
    made = FinishedRun(Run("cpu", "v8"), raw, base, {"ours": dataset("own", 50), **DATASETS})
    made.data()
    assert "own questions: not stated" in refused("--what", "data", "--public")


def test_a_second_round_answers_for_the_first_one_s_rows(runs_folder: Path, base: Path, raw: Path) -> None:
    (raw / "products.csv").unlink()
    first = FinishedRun(Run("cpu", "v8"), raw, base, {"reviews": dataset("amazon_reviews", 30)})
    first.data()
    first.train()
    second = FinishedRun(Run("cpu", "v9b"), raw, base, {"query_product_ranking": dataset("esci", 9, "ranking", 3)})
    second.data()
    second.train(parent=first.run.train)
    done = CliRunner().invoke(command, ["v9b", "-p", "cpu", "--public"])
    assert "Amazon Reviews 2023" in str(done.exception) and "| first trained on | blend `v8`, 30 rows" in done.output
    (first.run.train / "manifest.json").unlink()
    done = CliRunner().invoke(command, ["v9b", "-p", "cpu"])
    assert "nobody can say which rows are in it" in str(done.exception)


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
