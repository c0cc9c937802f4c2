"""The upload: large files first, one by one, then a single commit that holds everything, the card with it.

Until that commit the repository shows none of it, and after it all of it: there is no moment at which half of a model
looks like one. A large file that has arrived is not sent again, so the same command goes on after a break.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from recipe.hub.parcel import CARD, Parcel
from recipe.hub.record import Pushed
from spine import manifest
from spine.errors import RecipeError

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd, HfApi
    from huggingface_hub.errors import HfHubHTTPError

Report = Callable[[int, int, str], None]  # bytes done, of how many, of which file
SMALL = 2**20  # bytes that are sent in a second, so that nobody minds to send them again
_THE_HUBS = {".gitattributes"}  # written by the hub itself
_LOGIN = "a token that may write, from https://huggingface.co/settings/tokens: HF_TOKEN=... or `hf auth login`"
_AGAIN = "the same command goes on after the last file that has arrived"


@dataclass(frozen=True)
class Remote:
    """A repository as it is. ``blobs``: git's hash of each file, by its path."""

    head: str
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
    from huggingface_hub.utils import (  # type: ignore[attr-defined]
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )
    from huggingface_hub.utils.sha import git_hash

    quiet = are_progress_bars_disabled()
    disable_progress_bars()
    try:
        with explained(repo):
            if get_token() is None:
                raise RecipeError("no token for the Hugging Face hub", way_out=_LOGIN)
            api = HfApi()
            there = _remote(api, parcel, repo)
            if there:
                _check_seen(there, repo, private)
                _check_content(there, parcel, repo, replace)
            else:
                api.create_repo(repo, repo_type=parcel.repo_type, private=private)
            written = card.encode()
            wanted: dict[str, Path | bytes] = {**parcel.files, CARD: written}
            if there and is_there(there, parcel):
                wanted = {CARD: written}
                if there.blobs.get(CARD) == git_hash(written):
                    return Pushed(repo, parcel.repo_type, private, there.head, str(parcel.manifest["key"]))
            adding = [CommitOperationAdd(name, content) for name, content in wanted.items()]
            _send(api, adding, parcel, repo, report)
            others = sorted(there.blobs.keys() - parcel.files.keys() - {CARD} - _THE_HUBS) if there and replace else []
            done = api.create_commit(
                repo, [*adding, *(CommitOperationDelete(name) for name in others)], repo_type=parcel.repo_type,
                commit_message=f"recipe push: {parcel.what}", parent_commit=there.head if there else None,
            )  # fmt: skip
    finally:
        if not quiet:
            enable_progress_bars()
    return Pushed(repo, parcel.repo_type, private, done.oid, str(parcel.manifest["key"]))


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


def _check_seen(there: Remote, repo: str, private: bool) -> None:
    if there.private == private:
        return
    page = "the settings on its page change that"
    if private:
        raise RecipeError(f"{repo} is there and public", way_out=f"{page}; or add --public, if everybody may see it")
    raise RecipeError(f"{repo} is there and private", way_out=f"leave --public out; {page}")


def _check_content(there: Remote, parcel: Parcel, repo: str, replace: bool) -> None:
    found = sorted(there.blobs.keys() - {CARD} - _THE_HUBS)
    if replace or not found or is_there(there, parcel):
        return
    more = f" and {len(found) - 3} more" if len(found) > 3 else ""
    raise RecipeError(
        f"{repo} holds something else: {', '.join(found[:3])}{more}",
        way_out="another --to; or --replace, after which it holds this and nothing else (its history keeps the rest)",
    )


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
    if code == 401:
        return RecipeError(f"the hub does not accept this token{told}", way_out=_LOGIN)
    if code in (403, 404):
        owner = repo.partition("/")[0]
        way_out = f"{_LOGIN}; it must be one of {owner}'s, or of a member who may write there"
        return RecipeError(f"this token may not write to {repo}{told}", way_out=way_out)
    if code in (409, 412):
        return RecipeError(f"somebody else has changed {repo} meanwhile{told}", way_out="look at it, and push again")
    if code == 429:
        return RecipeError(f"the hub asks for a pause{told}", way_out=f"wait some minutes; {_AGAIN}")
    if code >= 500:
        return RecipeError(f"the hub is out of order: HTTP {code}{told}", way_out=f"try again later; {_AGAIN}")
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
