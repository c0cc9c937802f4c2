"""The upload: large files first, one by one, then a single commit that holds everything, the card with it.

Until that commit the repository shows none of it, and after it all of it: there is no moment at which half of a model
looks like one. A large file that has arrived is not sent again, so the same command goes on after a break.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from recipe.hub.parcel import CARD, Parcel
from spine import manifest
from spine.atomic import write_text
from spine.errors import RecipeError

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd, HfApi
    from huggingface_hub.errors import HfHubHTTPError

Report = Callable[[int, int, str], None]  # bytes done, of how many, of which file
RECORD = "pushed.json"  # in a run's folder: what went where, so that one card can link to another
SMALL = 2**20  # bytes that are sent in a second, so that nobody minds to send them again
_THE_HUBS = {".gitattributes"}  # written by the hub itself
_LOGIN = "a token that may write, from https://huggingface.co/settings/tokens: HF_TOKEN=... or `hf auth login`"
_AGAIN = "the same command goes on after the last file that has arrived"
_NOT_WRITABLE = ("this token may not write to {repo}",
                 f"{_LOGIN}; it must be one of {{owner}}'s, or of a member who may write there")  # fmt: skip
_CHANGED = ("somebody else has changed {repo} meanwhile", "look at it, and push again")
_REFUSALS = {  # by HTTP status, what it means and the way out; 500: that and all above
    401: ("the hub does not accept this token", _LOGIN), 403: _NOT_WRITABLE, 404: _NOT_WRITABLE, 409: _CHANGED,
    412: _CHANGED, 429: ("the hub asks for a pause", f"wait some minutes; {_AGAIN}"),
    500: ("the hub is out of order: HTTP {code}", f"try again later; {_AGAIN}"),
}  # fmt: skip


@dataclass(frozen=True)
class Pushed:
    """``key``: of the step's manifest; another key is another model."""

    repo: str
    repo_type: str
    private: bool
    commit: str
    key: str


def pushed(run_folder: Path) -> dict[str, Pushed]:
    """By what was pushed; nothing where the file is missing or broken, for links are all that it is good for."""
    try:
        found: Mapping[str, Mapping[str, object]] = json.loads((run_folder / RECORD).read_text(encoding="utf-8"))
        return {what: Pushed(**one) for what, one in found.items()}  # type: ignore[arg-type]
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def note(run_folder: Path, what: str, done: Pushed) -> None:
    """Adds to it; the caller holds the run's lock."""
    known = {**pushed(run_folder), what: done}
    write_text(run_folder / RECORD, json.dumps({name: asdict(one) for name, one in known.items()}, indent=2) + "\n")


@dataclass(frozen=True)
class Remote:
    """A repository as it is. ``head``: None where it was just made; ``blobs``: git's hash of each file, by its path."""

    head: str | None
    private: bool
    blobs: Mapping[str, str]


def check_name(repo: str) -> None:
    """Refuses what can be no repository, before anything is sent.

    Raises:
        RecipeError: it is not USER/NAME, or the hub allows no such name.
    """
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

    way_out = "--to USER/NAME, with letters, digits, '-', '_' and '.'"
    user, _, name = repo.partition("/")
    if not user or not name:
        raise RecipeError("name whose repository it is", where=f"--to {repo}", way_out=way_out)
    try:
        validate_repo_id(repo)
    except HFValidationError as error:
        raise RecipeError(str(error), where=f"--to {repo}", way_out=way_out) from error


def push(parcel: Parcel, card: str, repo: str, *, private: bool, replace: bool, report: Report) -> Pushed:
    """Makes the repository, if there is none, and puts the parcel and its card into it.

    Args:
        card: README.md.
        replace: what else lies in the repository goes, in the same commit.

    Raises:
        RecipeError: no token, or one that may not write there; a repository with other content, or that is seen by
            others than it should be; the hub is out of reach or refuses.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, get_token
    from huggingface_hub.utils import disable_progress_bars  # type: ignore[attr-defined]
    from huggingface_hub.utils.sha import git_hash

    disable_progress_bars()  # ``report`` tells
    written = card.encode()
    with explained(repo):
        if get_token() is None:
            raise RecipeError("no token for the Hugging Face hub", way_out=_LOGIN)
        api = HfApi()
        there = _remote(api, parcel, repo)
        wanted: dict[str, Path | bytes] = {**parcel.files, CARD: written}
        if there is None:
            api.create_repo(repo, repo_type=parcel.repo_type, private=private)
            there = Remote(None, private, {})
        elif _checked(there, parcel, repo, private, replace):
            wanted = {CARD: written}
        if there.blobs.get(CARD) == git_hash(written) and len(wanted) == 1:
            commit = there.head or ""
        else:
            adding = [CommitOperationAdd(name, content) for name, content in wanted.items()]
            _send(api, adding, parcel, repo, report)
            others = _others(there) - parcel.files.keys() if replace else set()
            commit = api.create_commit(
                repo, [*adding, *map(CommitOperationDelete, sorted(others))], repo_type=parcel.repo_type,
                commit_message=f"recipe push: {parcel.what}", parent_commit=there.head,
            ).oid  # fmt: skip
    return Pushed(repo, parcel.repo_type, private, commit, str(parcel.manifest["key"]))


def _send(api: HfApi, adding: list[CommitOperationAdd], parcel: Parcel, repo: str, report: Report) -> None:
    """What takes time goes ahead: a file has arrived when its turn ends. The commit sends the rest."""
    total, done = sum(one.upload_info.size for one in adding), 0
    for one in adding:
        if one.upload_info.size > SMALL:
            report(done, total, one.path_in_repo)
            api.preupload_lfs_files(repo, [one], repo_type=parcel.repo_type, free_memory=False)
        done += one.upload_info.size
    report(done, total, "committing")


def _remote(api: HfApi, parcel: Parcel, repo: str) -> Remote | None:
    from huggingface_hub.errors import RepositoryNotFoundError
    from huggingface_hub.hf_api import KernelInfo

    try:
        found = api.repo_info(repo, repo_type=parcel.repo_type, files_metadata=True)
    except RepositoryNotFoundError as error:
        if error.response.status_code == 401 and "nvalid" in (error.server_message or ""):
            raise
        return None
    assert not isinstance(found, KernelInfo)  # nobody asks for one
    blobs = {one.rfilename: one.blob_id or "" for one in found.siblings or ()}
    return Remote(found.sha or "", bool(found.private), blobs)


def is_there(there: Remote, parcel: Parcel) -> bool:
    """Whether the very parcel is in the repository: its manifest is, which came with all the rest."""
    from huggingface_hub.utils.sha import git_hash

    ours = parcel.files[manifest.NAME]
    content = ours if isinstance(ours, bytes) else ours.read_bytes()
    return there.blobs.get(manifest.NAME) == git_hash(content) and parcel.files.keys() <= there.blobs.keys()


def _others(there: Remote) -> set[str]:
    """What lies in it besides the card."""
    return there.blobs.keys() - {CARD} - _THE_HUBS


def _checked(there: Remote, parcel: Parcel, repo: str, private: bool, replace: bool) -> bool:
    """Whether the parcel is in the repository already; refuses one that is seen otherwise, or holds something else."""
    if there.private != private:
        seen = "private" if there.private else "public"
        flag = "leave --public out" if there.private else "add --public, if everybody may see it"
        raise RecipeError(f"{repo} is there and {seen}", way_out=f"{flag}; or change that on its settings page")
    found, whole = sorted(_others(there)), is_there(there, parcel)
    if found and not (replace or whole):
        more = f" and {len(found) - 3} more" if len(found) > 3 else ""
        raise RecipeError(
            f"{repo} holds something else: {', '.join(found[:3])}{more}",
            way_out="another --to; or --replace, after which it holds this and nothing else (its history keeps the "
            "rest)",
        )
    return whole


@contextmanager
def explained(repo: str) -> Iterator[None]:
    """Turns what the hub's library raises into messages with a way out.

    Raises:
        RecipeError: instead of any of its errors.
    """
    import httpx
    from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError, OfflineModeIsEnabled

    try:
        yield
    except LocalTokenNotFoundError as error:
        raise RecipeError("no token for the Hugging Face hub", way_out=_LOGIN) from error
    except OfflineModeIsEnabled as error:
        raise RecipeError("HF_HUB_OFFLINE is set: nothing is sent", way_out="unset it") from error
    except HfHubHTTPError as error:
        raise _refused(error, repo) from error
    except (httpx.HTTPError, ConnectionError, TimeoutError) as error:
        raise _out_of_reach(error) from error
    except RuntimeError as error:  # what sends large files wraps its errors, or has none but this kind
        if isinstance(error.__cause__, HfHubHTTPError):
            raise _refused(error.__cause__, repo) from error
        raise _out_of_reach(error.__cause__ or error) from error
    except ValueError as error:  # of the card, by the hub's own check
        raise RecipeError(f"the hub refuses it: {_plain(str(error))}", where=repo) from error


def _refused(error: HfHubHTTPError, repo: str) -> RecipeError:
    code, said = error.response.status_code, _plain(error.server_message or "")
    told = f" ({said})" if said else ""
    if found := _REFUSALS.get(min(code, 500)):
        names = {"repo": repo, "owner": repo.partition("/")[0], "code": code}
        what, way_out = (text.format_map(names) for text in found)
        return RecipeError(f"{what}{told}", way_out=way_out)
    return RecipeError(f"the hub refuses it: HTTP {code}{told}", where=repo)


def _out_of_reach(error: BaseException) -> RecipeError:
    what = _plain(str(error)) or type(error).__name__
    way_out = f"look at the network (HTTPS_PROXY is honoured, HF_ENDPOINT names another hub); {_AGAIN}"
    return RecipeError(f"the hub is out of reach, or the connection broke: {what}", way_out=way_out)


def _plain(text: str) -> str:
    """One short line, and no token in it, whatever a server or a proxy may have echoed."""
    from huggingface_hub import get_token

    line = " ".join(text.split())[:300]
    token = get_token()
    return line.replace(token, "...") if token else line
