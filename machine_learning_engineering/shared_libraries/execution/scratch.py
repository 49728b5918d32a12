"""The private folder that a script runs in, and the way of its files from there into the run.

The folder lies under the system's temporary folder, with a random name, so that nothing a script is given leads to the
run. A job on a final view, which shows every label, has its folder inside the run instead: there it is no neighbour of
scripts that must not see them. `work` becomes the job's folder; `home` and `tmp` are thrown away.

Inside a run paths are long, and names of sockets, which pools of processes have in their temporary folder, may have
107 bytes. So such a job knows its `tmp` by a short link.
"""

import contextlib
import os
import secrets
import shutil
import stat
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from machine_learning_engineering.shared_libraries.records import Job

_DEEPEST = 50
_FICLONE = 0x40049409  # ioctl of Linux: share the blocks of a file, copied when either side writes


@dataclass(frozen=True)
class Scratch:
    root: Path
    link: Path | None = None  # to `temp`, in the system's temporary folder

    @property
    def work(self) -> Path:
        return self.root / "work"

    @property
    def home(self) -> Path:
        return self.root / "home"

    @property
    def temp(self) -> Path:
        return self.root / "tmp"

    @property
    def named_temp(self) -> Path:
        """`temp` by the name that the job is told."""
        return self.link or self.temp

    @property
    def system_temp(self) -> Path:
        """What a fenced script finds under the name /tmp."""
        return self.root / "system-tmp"


def make_scratch(job: Job) -> Scratch:
    """A new folder that only this user can enter, with the folders in it that every job has."""
    if not is_in_run(job):
        return make_any_scratch()
    job.folder.parent.mkdir(parents=True, exist_ok=True)
    root = Path(tempfile.mkdtemp(prefix=".mle-", dir=job.folder.parent.resolve()))
    link = Path(_system_temp(), root.name.removeprefix("."))
    link.symlink_to(root / "tmp")
    return _furnished(Scratch(root, link))


def make_any_scratch() -> Scratch:
    """One for any job whose folder does not lie in its run."""
    return _furnished(Scratch(Path(tempfile.mkdtemp(prefix="mle-", dir=_system_temp()))))


def is_in_run(job: Job) -> bool:
    """Whether a job has its folder inside the run."""
    return job.view is not None and job.view.view.kind == "final"


def is_usable(scratch: Scratch) -> bool:
    """Whether a folder that was made for any job is where one would be made now, and nobody has cleared it away."""
    return str(scratch.root.parent) == _system_temp() and (scratch.work / "final").is_dir()


def _furnished(scratch: Scratch) -> Scratch:
    inside = (scratch.work / name for name in ("final", "input"))
    try:
        for folder in (scratch.work, scratch.home, scratch.temp, scratch.system_temp, *inside):
            folder.mkdir()
        _unnamed_script(scratch).touch()
    except OSError:
        discard(scratch)
        raise
    return scratch


def _system_temp() -> str:
    """Without symbolic links: inside a fence they may lead to nothing."""
    return os.path.realpath(tempfile.gettempdir())


def discard(scratch: Scratch) -> None:
    """Removes the folder and what leads to it."""
    remove(scratch.root)
    if scratch.link is not None:
        remove(scratch.link)


def _unnamed_script(scratch: Scratch) -> Path:
    """Where the file of a script waits whose name is not known yet."""
    return scratch.root / "script"


def fill(scratch: Scratch, job: Job, copy_view: bool = True) -> None:
    """Puts the script and a read-only copy of the view where the script expects them.

    Without `copy_view`, `input` is an empty folder for the view to be mounted on.
    """
    if scratch.link is not None:
        (scratch.system_temp / scratch.link.name).symlink_to(scratch.temp)
    script = _unnamed_script(scratch).rename(scratch.work / job.name)
    script.write_bytes(job.script.encode("utf-8", errors="replace"))
    if job.view is None:
        (scratch.work / "input").rmdir()
    elif copy_view:
        _copy_read_only(job.view.path, scratch.work / "input")


def collect(scratch: Scratch, folder: Path, stdout: bytes, stderr: bytes) -> None:
    """Moves what the script left, and its full output, to `folder`, which appears at once and complete.

    `input`, symbolic links and special files stay behind.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = folder.parent / f".{folder.name}.{secrets.token_hex(4)}.unfinished"
    try:
        unfinished.mkdir()
        if scratch.work.is_dir() and not scratch.work.is_symlink():
            _move_files(scratch.work, unfinished, skip="input")
        for name, output in (("stdout.txt", stdout), ("stderr.txt", stderr)):
            remove(unfinished / name)
            (unfinished / name).write_bytes(output)
        unfinished.rename(folder)
    except BaseException:
        remove(unfinished)
        raise


def remove(path: Path) -> None:
    """Removes a file or a whole folder, also one that a script made unwritable; follows no link."""
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
        return
    try:
        shutil.rmtree(path, ignore_errors=True)
        if path.exists():
            _open_up(path)
            for folder, _, _ in os.walk(path):
                _open_up(Path(folder))
            shutil.rmtree(path, ignore_errors=True)
    except RecursionError:  # folders in folders, a thousand deep
        subprocess.run(["rm", "-rf", "--", str(path)], check=False)


def largest_file_bytes(folder: Path) -> int:
    """The size of the largest regular file below a folder, but for what it was given in `input`; else 0."""
    sizes = [0]
    with contextlib.suppress(RecursionError):  # folders in folders, a thousand deep
        for parent, folders, names in os.walk(folder):
            if Path(parent) == folder and "input" in folders:
                folders.remove("input")
            for name in names:
                with contextlib.suppress(OSError):
                    found = os.lstat(os.path.join(parent, name))  # noqa: PTH118 - names may be undecodable and many
                    sizes.append(found.st_size if stat.S_ISREG(found.st_mode) else 0)
    return max(sizes)


def _open_up(folder: Path) -> None:
    """Lets us list and change a folder and the folders in it."""
    with contextlib.suppress(OSError):
        folder.chmod(0o700)
    with contextlib.suppress(OSError):
        for entry in os.scandir(folder):
            if entry.is_dir(follow_symlinks=False):
                Path(entry.path).chmod(0o700)


def _copy_read_only(source: Path, target: Path) -> None:
    target.mkdir(exist_ok=True)
    for entry in os.scandir(source):
        copy = target / entry.name
        if entry.is_dir():
            _copy_read_only(Path(entry.path), copy)
        else:
            _copy_file(Path(entry.path), copy)
            copy.chmod(0o444)
    target.chmod(0o555)


def _copy_file(source: Path, target: Path) -> None:
    """A copy that no write can carry back to its source; without reading it where the file system can share blocks."""
    with source.open("rb") as data, target.open("wb") as copy:
        if not _share_blocks(data.fileno(), copy.fileno()):
            shutil.copyfileobj(data, copy, 2**20)


def _share_blocks(source: int, target: int) -> bool:
    import fcntl

    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError:
        return False
    return True


def _move_files(source: Path, target: Path, skip: str | None = None, depth: int = 0) -> None:
    """Moves regular files, folder by folder; what lies deeper than any script of use goes is left behind."""
    _open_up(source)
    if depth > _DEEPEST:
        return
    for entry in list(os.scandir(source)):
        if entry.name == skip:
            continue
        moved = target / entry.name
        if entry.is_dir(follow_symlinks=False):
            moved.mkdir()
            _move_files(Path(entry.path), moved, depth=depth + 1)
        elif entry.is_file(follow_symlinks=False):
            _move_file(Path(entry.path), moved)


def _move_file(source: Path, target: Path) -> None:
    """Moves a regular file; one with further hard links is copied, since what else it is may not be the script's."""
    if source.lstat().st_nlink == 1:
        source.chmod(0o644)
        shutil.move(source, target)
    else:
        with contextlib.suppress(OSError):
            shutil.copyfile(source, target, follow_symlinks=False)
