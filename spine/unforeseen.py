"""An error that nobody foresaw: its traceback goes into a log, the user reads what it is, which file it was about, and
that a report is welcome."""

from __future__ import annotations

import os
import tempfile
import time
import traceback
from pathlib import Path

from spine.errors import RecipeError
from spine.paths import ROOT, RUNS, shown

_FOLDER = ".errors"  # hidden: beside it are the profiles


def reported(error: Exception) -> RecipeError:
    """``error`` as a message that names the file at work, where one is known; its traceback is kept."""
    log = kept("".join(traceback.format_exception(error)))
    file = _file_of(error)
    text = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
    return RecipeError(
        f"{type(error).__name__}: {text}".removesuffix(": "),
        where=shown(file) if file else None,
        way_out=f"nobody foresaw this: if the files are as they should be, please report it with {shown(log)}",
    )


def kept(text: str) -> Path:
    """``text`` in a log of its own: among the runs, or where temporary files are if nothing can be written there."""
    name = f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.log"
    for folder in (RUNS / _FOLDER, Path(tempfile.gettempdir())):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8", errors="backslashreplace")
        except OSError:
            continue
        return folder / name
    raise RecipeError(f"no log can be written, so here it is:\n{text}", where=str(RUNS / _FOLDER))


def _file_of(error: Exception) -> Path | None:
    """The file that the operating system names, or that the innermost function of ours which had one was at."""
    if isinstance(error, OSError) and isinstance(error.filename, (str, os.PathLike)):
        return Path(error.filename)
    for frame, _ in reversed([*traceback.walk_tb(error.__traceback__)]):
        if Path(frame.f_code.co_filename).is_relative_to(ROOT):
            files = [value for value in frame.f_locals.values() if isinstance(value, Path) and value.is_file()]
            if files:
                return files[-1]
    return None
