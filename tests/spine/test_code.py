"""What a result depends on: found by reading, and held beside what Python really loads."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from spine import code
from spine.code import ASIDE, code_of, module_file, reads
from spine.paths import PROMPTS, ROOT

# Modules that the steps state, and files that stood in none of the lists that were kept by hand before.
SEEN = {
    "postprocess.merge.write": ["postprocess/merge/kernel.c", "postprocess/merge/plan.py", "spine/adapter.py"],
    "postprocess.awq.export": ["postprocess/awq/quality.py", "spine/chat.py"],
    "axolotl_configs.plugin": ["axolotl_configs/plugin.py", "axolotl_configs/events.py"],
    "inference.answering.answer": ["spine/chat.py", "spine/task_types.py", "prompts/system.j2"],
    "inference.evaluate": ["inference/answering/contest.py", "inference/scoring/metrics.py"],
    "dataset_builders.pools.build": ["spine/chat.py", "dataset_builders/sources/_files.py", "prompts/system.j2"],
    "dataset_builders.sample_shop": ["dataset_builders/sample_shop/catalogue.yaml"],
    "dataset_builders.tasks.review_aspect_selection": ["dataset_builders/tasks/_aspects.yaml"],
}
NEEDS_TORCH = {"axolotl_configs.plugin"}


@pytest.mark.parametrize("start", SEEN)
def test_a_changed_file_is_another_code_and_a_foreign_one_is_not(start: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = code_of(start)
    assert before.keys() >= set(SEEN[start])
    real = code._digest
    for name in before:
        monkeypatch.setattr(code, "_digest", lambda path, name=name: "new" if path == ROOT / name else real(path))
        assert {file for file, found in code_of(start).items() if found != before[file]} == {name}
    monkeypatch.setattr(code, "_digest", lambda path: real(path) if str(path.relative_to(ROOT)) in before else "new")
    assert code_of(start) == before


@pytest.mark.parametrize("start", [*sorted(SEEN.keys() - NEEDS_TORCH), "recipe.steps.data", "recipe.steps.eval"])
def test_all_that_python_loads_was_found(start: str) -> None:
    """Lazy imports are found, too, so there may be more."""
    program = f"import sys, {start}; print(*(getattr(one, '__file__', None) or '' for one in sys.modules.values()))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = {Path(name) for name in done.stdout.split() if name.startswith(f"{ROOT}/") and "/.venvs/" not in name}
    aside = {module_file(name) for name in ASIDE}
    assert {str(path.relative_to(ROOT)) for path in loaded - aside} <= code_of(start).keys()


def test_what_stands_aside_rests_on_nothing_else() -> None:
    files = {name: path for name in ASIDE - {"spine.code"} if (path := module_file(name))}  # which reads templates
    assert {path for file in files.values() for path in reads(file)} <= {ROOT / "spine" / "__init__.py"}


def test_templates_follow_what_they_include(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    template = PROMPTS / "tasks" / "co_purchase.j2"
    (tmp_path / "own.j2").write_text('{% include "tasks/co_purchase.j2" %}{{ x }}')
    monkeypatch.setattr(code, "_PLACES", (PROMPTS,))
    assert reads(tmp_path / "own.j2") == (template,)


def test_a_file_that_is_edited_while_a_walk_goes_on(tmp_path: Path) -> None:
    own = tmp_path / "own.py"
    for second, (text, needs) in enumerate([("", []), ("import spine.chat", ["spine/__init__.py", "spine/chat.py"])]):
        own.write_text(text)
        os.utime(own, (second, second))
        assert [str(path.relative_to(ROOT)) for path in reads(own)] == needs


def test_a_module_that_is_not_there() -> None:
    with pytest.raises(ValueError, match=r"spine\.nothing is no module"):
        code_of("spine.nothing")
