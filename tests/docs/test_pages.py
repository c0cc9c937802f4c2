"""What every page promises: its links lead somewhere, it opens with its commands, it is short, README names it."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

from spine.paths import ROOT
from tests.docs.pages import PAGES, commands

DOCS = [page for page in PAGES if page.parent.name == "docs"]
LONGEST = 130  # lines, the list of datasets aside, which is written by a test
FOLDERS = "spine|recipe|deploy|axolotl_configs|dataset_builders|prompts|postprocess|inference|tests|docs|requirements"
# Read by the hub's library, by vLLM, Ray, OpenMP, NCCL, gloo.
OTHERS = {"HF_HOME", "HF_HUB_OFFLINE", "VLLM_CPU_KVCACHE_SPACE", "RAY_USAGE_STATS_ENABLED", "OMP_NUM_THREADS",
          "NCCL_SOCKET_IFNAME", "GLOO_SOCKET_IFNAME", "NCCL_IB_HCA", "NCCL_DEBUG", "NCCL_IB_DISABLE"}  # fmt: skip
_FENCED = re.compile(r"^    .*$", re.M)


def name(page: Path) -> str:
    return page.name


def links(page: Path) -> list[str]:
    """Targets of Markdown links and pictures outside code."""
    return re.findall(r"\]\(([^)\s]+)\)", _FENCED.sub("", page.read_text(encoding="utf-8")))


def anchors(page: Path) -> set[str]:
    """What GitHub calls the headings: lower case, without punctuation, blanks as hyphens."""
    headings = re.findall(r"^#+ (.+)$", _FENCED.sub("", page.read_text(encoding="utf-8")), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in links(page):
        if link.startswith(("http://", "https://")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name}: {link}"
        assert not anchor or anchor in anchors(target), f"{page.name}: {link}"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_files_that_are_named_are_there(page: Path) -> None:
    """`recipe/commands/...`, `docs/...`, `tests/...` in backticks."""
    text = _FENCED.sub("", page.read_text(encoding="utf-8"))
    for path in re.findall(rf"`((?:{FOLDERS})/[\w./-]*)`", text):
        assert (ROOT / path).exists(), f"{page.name}: `{path}`"


@cache
def all_that_reads() -> str:
    """The Makefile and every module."""
    modules = [path for folder in FOLDERS.split("|") for path in (ROOT / folder).rglob("*.py")]
    return "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "Makefile", *modules))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_variables_that_are_named_are_read(page: Path) -> None:
    """`QUESTIONS=file`, `HF_HOME=...`, wherever they stand."""
    for variable in set(re.findall(r"\b([A-Z][A-Z_]+)=", page.read_text(encoding="utf-8"))) - OTHERS:
        assert re.search(rf"\b{variable}\b", all_that_reads()), f"{page.name}: {variable}"


@pytest.mark.parametrize("page", DOCS, ids=name)
def test_a_page_opens_with_its_commands_and_is_short(page: Path) -> None:
    lines = page.read_text(encoding="utf-8").splitlines()
    assert sum(not re.match(r"\| `\w+` \| (\d+|ours) \|", line) for line in lines) <= LONGEST
    assert lines[0].startswith("# ") and not any(line.startswith("# ") for line in lines[1:])
    opening = "\n".join(lines[:10])
    assert any(command.text in opening for command in commands())


def test_the_readme_names_every_page() -> None:
    assert {f"docs/{page.name}" for page in DOCS} == {link for link in links(PAGES[0]) if link.endswith(".md")}
