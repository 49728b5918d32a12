"""The calls into the kernel that Python's standard library lacks, each raising OSError with the call's name."""

import ctypes
import os
import platform
import struct

CLONE_NEWNS, CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWNET = 0x00020000, 0x08000000, 0x10000000, 0x40000000
MS_NOSUID, MS_NODEV = 0x2, 0x4
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_SECCOMP, _PR_CAPBSET_DROP = 1, 4, 22, 24
_PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS = 36, 38
_MOUNT_SETATTR, _AT_FDCWD, _AT_RECURSIVE, _MOUNT_ATTR_RDONLY = 442, -100, 0x8000, 0x1
_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446  # the same on every architecture
_LANDLOCK_VERSION = 1
_CAPSET = {"x86_64": 126, "aarch64": 91}
_CAPABILITY_VERSION_3 = 0x20080522
_LAST_CAPABILITY = 63
_HUGE_PAGE, _MADV_COLLAPSE = 2 * 2**20, 25  # Linux 6.1

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def _checked(result: int, call: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}")
    return result


def _syscall(call: str, number: int, *args: object) -> int:
    return _checked(int(_libc.syscall(ctypes.c_long(number), *args)), call)


def _prctl(call: str, option: int, value: int) -> None:
    _checked(int(_libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0)), call)


def adopt_orphans() -> None:
    """Makes this process the parent of all its descendants whose own parent ends."""
    _prctl("subreaper", _PR_SET_CHILD_SUBREAPER, 1)


def set_dumpable(dumpable: bool) -> None:
    """Whether other processes of the same user may look into this one."""
    _prctl("dumpable", _PR_SET_DUMPABLE, int(dumpable))


def die_with_parent(number: int) -> None:
    """Asks for this signal when the parent ends."""
    _prctl("parent-death signal", _PR_SET_PDEATHSIG, number)


def forbid_new_privileges() -> None:
    _prctl("no_new_privs", _PR_SET_NO_NEW_PRIVS, 1)


def join_pages() -> None:
    """Gathers this process's own memory in huge pages, which fork copies faster; nothing where the kernel cannot."""
    with open("/proc/self/maps") as file:  # noqa: PTH123
        lines = [line.split() for line in file]
    for words in lines:
        first, last = (int(number, 16) for number in words[0].split("-"))
        start, end = -(-first // _HUGE_PAGE) * _HUGE_PAGE, last // _HUGE_PAGE * _HUGE_PAGE
        if words[1] == "rw-p" and words[4] == "0" and end > start:
            _libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), _MADV_COLLAPSE)


def unshare(flags: int) -> None:
    _checked(int(_libc.unshare(flags)), "unshare")


def mount(source: str | None, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    encoded = [None if text is None else text.encode() for text in (source, target, kind, data)]
    result = _libc.mount(encoded[0], encoded[1], encoded[2], ctypes.c_ulong(flags), encoded[3])
    _checked(int(result), f"mount {target}")


def make_read_only(target: str) -> None:
    """Forbids writing to a mount and to all below it, times and modes of files included (Linux 5.12)."""
    _set_mount_flags(target, _AT_RECURSIVE, add=_MOUNT_ATTR_RDONLY)


def make_writable(target: str) -> None:
    """Takes `make_read_only` back for one mount."""
    _set_mount_flags(target, 0, remove=_MOUNT_ATTR_RDONLY)


def _set_mount_flags(target: str, flags: int, add: int = 0, remove: int = 0) -> None:
    attributes = struct.pack("=QQQQ", add, remove, 0, 0)
    call = f"mount_setattr {target}"
    _syscall(call, _MOUNT_SETATTR, _AT_FDCWD, target.encode(), flags, attributes, ctypes.c_size_t(len(attributes)))


def drop_capabilities() -> None:
    """Gives up every capability, for good: root has them all, and so has whoever makes a user namespace."""
    for capability in range(_LAST_CAPABILITY + 1):
        _libc.prctl(_PR_CAPBSET_DROP, ctypes.c_ulong(capability), 0, 0, 0)
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    _syscall("capset", _CAPSET[platform.machine()], header, bytes(24))


def landlock_version() -> int:
    """The kernel's Landlock ABI; 0 where there is none."""
    return max(0, int(_libc.syscall(ctypes.c_long(_LANDLOCK_CREATE), None, ctypes.c_size_t(0), _LANDLOCK_VERSION)))


def landlock_ruleset(files: int, network: int, scopes: int) -> int:
    """The descriptor of a ruleset that denies these kinds of access where no rule allows them."""
    sizes = {0: 8, 1: 8, 2: 8, 3: 8, 4: 16, 5: 16}
    size = sizes.get(landlock_version(), 24)
    return _syscall("landlock", _LANDLOCK_CREATE, struct.pack("=QQQ", files, network, scopes), ctypes.c_size_t(size), 0)


def landlock_allow(ruleset: int, path: int, access: int) -> None:
    """Allows access beneath the file or folder that the descriptor `path` stands for."""
    _syscall("landlock rule", _LANDLOCK_ADD, ruleset, 1, struct.pack("=Qi", access, path), 0)


def landlock_restrict(ruleset: int) -> None:
    _syscall("landlock_restrict_self", _LANDLOCK_RESTRICT, ruleset, 0)


def filter_syscalls(program: bytes) -> None:
    """Installs a seccomp filter: classic BPF instructions of eight bytes each."""
    code = ctypes.create_string_buffer(program, len(program))
    pointer = ctypes.create_string_buffer(struct.pack("@HP", len(program) // 8, ctypes.addressof(code)))
    _checked(int(_libc.prctl(_PR_SET_SECCOMP, ctypes.c_ulong(2), pointer, 0, 0)), "seccomp")
