"""The commits in a mirror's folder, and what can be read of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from driftd.git.blame import BlameCache
from driftd.git.cat_file import read_blobs
from driftd.git.commits import count_commits, history, read_revision, resolve_commit, shallow_boundary
from driftd.git.deadline import Deadline, run_in_thread
from driftd.git.folder_pattern import FolderPattern
from driftd.git.folders import Folder, list_folders
from driftd.git.mirror_folder import MirrorFolder
from driftd.git.path_history import PathChange, path_changes
from driftd.git.paths import validate_path
from driftd.git.revision_tree import RevisionTree
from driftd.git.runner import GitRunner, NoRepository, open_repository
from driftd.model.errors import RefNotFound
from driftd.model.revision import GitLine, Revision

T = TypeVar("T")

_READ_SECONDS = 60.0
_DEEPEN_SECONDS = 20.0
_READERS = ThreadPoolExecutor(max_workers=8, thread_name_prefix="git-read")


class MirroredCommits:
    """A bare repository in a folder, of which commits, files and lines are read. What fetches into it is a subclass.

    `title` is what people are told of the source; `timeout` limits one fetch, in seconds. All methods may be called
    concurrently, also from several processes on one folder: reads take no lock. Cancelling a call kills the Git that it
    runs.
    """

    has_history = True
    """Whether its commits are those of people, so that they say who wrote a line, and when."""

    def __init__(self, name: str, title: str, timeout: float, folder: Path) -> None:
        self._folder = MirrorFolder(folder)
        self._title = title
        self._timeout = timeout
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"git-{name}")
        self._blame = BlameCache()
        self._exhausted_boundary: frozenset[str] = frozenset()

    async def fetch(self) -> Revision:
        """Fetches what the source refers to now. A failure leaves the mirror as it was. Raises: GitError."""
        raise NotImplementedError

    async def resolve(self) -> Revision:
        """What the source refers to, as last fetched. Raises: RefNotFound: it never was."""
        raise NotImplementedError

    @property
    def repository(self) -> Path:
        """The bare repository."""
        return self._folder.repository

    async def revision(self, sha: str) -> Revision:
        """A commit of the mirror by its full or abbreviated hash. Raises: RefNotFound."""
        return await self._read(lambda git: read_revision(git, resolve_commit(git, sha), sha))

    async def tree(self, sha: str, path: str = "") -> RevisionTree:
        """The files of a commit. `path` is the app's folder, or its one file; the empty string is the root.

        Raises: PathNotFound: the commit has no such path, or it leads out of the repository; RefNotFound.
        """
        path = validate_path(path)
        return await self._read(lambda git: RevisionTree.open(self._folder, git, resolve_commit(git, sha), path))

    async def commits_between(self, old: str, new: str) -> int | None:
        """How many commits `new` has that `old` has not, both by their hashes.

        None where the mirror lacks one, or where its commits are nobody's.
        """
        if not self.has_history:
            return None

        def count(git: GitRunner) -> int | None:
            try:
                return count_commits(git, resolve_commit(git, old), resolve_commit(git, new))
            except RefNotFound:
                return None

        return await self._read(count)

    async def folders(self, sha: str, pattern: FolderPattern, exclude: Collection[FolderPattern] = ()) -> list[Folder]:
        """The folders of a commit that a pattern matches and none of `exclude` covers. `sha` is a full hash.

        Raises: GitError: there are too many.
        """
        return await self._read(lambda git: list_folders(git, sha, pattern, exclude))

    def tree_at(self, sha: str) -> RevisionTree:
        """The files of a commit, to be read by path. `sha` is a full hash. Runs no Git yet.

        Unlike `tree` it does not list the files, which takes time in proportion to their number.
        """
        return RevisionTree(sha, "", sha, self._folder)

    async def blame(self, sha: str, lines: Mapping[str, Collection[int]]) -> dict[str, dict[int, GitLine]]:
        """The commits that last changed these lines of files, as of commit `sha`. Line numbers start at 1; those past
        the end of a file are left out, and so are files that the commit does not have.

        A line that is older than the history of a shallow remote has no commit.
        Raises: PathNotFound: a path leads out of the repository; RefNotFound.
        """
        numbers_by_file = {validate_path(file): numbers for file, numbers in lines.items()}
        cached = {
            file: blamed
            for file, numbers in numbers_by_file.items()
            if (blamed := self._blame.cached(sha, file, numbers)) is not None
        }
        rest = {file: numbers for file, numbers in numbers_by_file.items() if file not in cached}

        def blame(git: GitRunner) -> tuple[dict[str, dict[int, GitLine]], bool]:
            blamed = self._blame.blame_files(git, resolve_commit(git, sha), rest)
            return blamed, any(line.commit is None for lines in blamed.values() for line in lines.values())

        return cached | await self._read_history(blame) if rest else cached

    async def log(self, sha: str, paths: Sequence[str], limit: int) -> list[Revision]:
        """The last `limit` commits up to `sha` that changed one of these paths, newest first. Raises: RefNotFound."""
        paths = [validate_path(path) for path in paths]

        def log(git: GitRunner) -> tuple[list[Revision], bool]:
            commits = history(git, sha, paths, limit)
            return commits, not shallow_boundary(git).isdisjoint(commit.sha for commit in commits)

        return await self._read_history(log)

    async def path_changes(self, sha: str, path: str, limit: int) -> list[PathChange]:
        """As `log`, for one path, with the files in which these commits differ. Raises: RefNotFound."""
        path = validate_path(path)

        def read(git: GitRunner) -> tuple[list[PathChange], bool]:
            changes = path_changes(git, sha, path, limit)
            return changes, not shallow_boundary(git).isdisjoint(change.revision.sha for change in changes)

        return await self._read_history(read)

    async def read_blobs(self, blobs: Iterable[str], max_bytes: int) -> dict[str, bytes]:
        """The contents of blobs by their hashes, in this order, until they exceed `max_bytes`.

        Raises: GitError: the mirror lacks one.
        """
        names = list(blobs)
        return await self._read(lambda git: read_blobs(git, names, max_bytes))

    async def _read_history(self, work: Callable[[GitRunner], tuple[T, bool]]) -> T:
        """The result of `work`, which also returns whether the shallow boundary cuts it off: then the mirror is
        deepened and `work` runs again. A remote that has no more history, or cannot be reached, is not asked again
        before the next new commit.
        """

        def read(git: GitRunner) -> tuple[T, frozenset[str]]:
            result, cut_off = work(git)
            return result, shallow_boundary(git) if cut_off else frozenset()

        result, boundary = await self._read(read)
        if not boundary or boundary == self._exhausted_boundary:
            return result
        if await run_in_thread(self._writer, min(self._timeout, _DEEPEN_SECONDS), self._deepen):
            result, _ = await self._read(read)
        return result

    async def _read(self, work: Callable[[GitRunner], T]) -> T:
        def read(deadline: Deadline) -> T:
            try:
                with open_repository(self._folder.repository, deadline) as git:
                    return work(git)
            except NoRepository as error:
                raise RefNotFound(f"{self._title} was not fetched yet") from error

        return await run_in_thread(_READERS, _READ_SECONDS, read)

    def _deepen(self, deadline: Deadline) -> bool:  # noqa: ARG002  # what was cut off is nowhere
        """Whether the mirror has more history afterwards."""
        return False
