"""The C kernel's first use: several threads need it at once, and it is not built yet."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from postprocess.merge import kernel


@pytest.mark.skipif(not (shutil.which("cc") or shutil.which("gcc")), reason="no C compiler here")
def test_threads_may_build_it_at_the_same_time(tmp_path: Path) -> None:
    built = tmp_path / "kernel.so"
    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(lambda _: kernel._build(built), range(8)))
    assert list(tmp_path.iterdir()) == [built]
