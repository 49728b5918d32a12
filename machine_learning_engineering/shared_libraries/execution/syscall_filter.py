"""A seccomp filter that refuses the system calls by which a script could get at the kernel or out of its fence.

It is a deny-list: scientific libraries use too much of the kernel for an allow-list. Refused calls fail with EPERM,
`clone3` with ENOSYS, whereupon the C library uses `clone`, whose flags can be looked at.
"""

import errno
import platform
import struct

_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_LOAD, _EQUAL, _ANY_BIT, _RETURN = 0x20, 0x15, 0x45, 0x06
_ARCHITECTURE = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_X32_BIT = 0x40000000
_NEW_NAMESPACES = 0x7E020000  # the CLONE_NEW* flags of clone
_CLONE3 = 435

# name: (number on x86_64, number on aarch64)
_REFUSED = {
    "acct": (163, 89), "add_key": (248, 217), "bpf": (321, 280), "chroot": (161, 51), "delete_module": (176, 106),
    "finit_module": (313, 273), "fsconfig": (431, 431), "fsmount": (432, 432), "fsopen": (430, 430),
    "fspick": (433, 433), "init_module": (175, 105), "io_uring_enter": (426, 426), "io_uring_register": (427, 427),
    "io_uring_setup": (425, 425), "kcmp": (312, 272), "kexec_file_load": (320, 294), "kexec_load": (246, 104),
    "keyctl": (250, 219), "mount": (165, 40), "mount_setattr": (442, 442), "move_mount": (429, 429),
    "move_pages": (279, 239), "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265), "open_tree": (428, 428),
    "perf_event_open": (298, 241), "pidfd_getfd": (438, 438), "pivot_root": (155, 41), "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271), "ptrace": (101, 117), "quotactl": (179, 60), "reboot": (169, 142),
    "request_key": (249, 218), "setns": (308, 268), "settimeofday": (164, 170), "swapoff": (168, 225),
    "swapon": (167, 224), "umount2": (166, 39), "unshare": (272, 97), "userfaultfd": (323, 282),
    "clock_settime": (227, 112), "syslog": (103, 116), "vhangup": (153, 58),
}  # fmt: skip
_CLONE = (56, 220)
_CALLER = -1  # stands for any number of the calling process
# Calls that name a process: what their arguments, by place, have to be, so that they are about the caller itself. A 0
# that stands for the caller may also be the number of the job's first process.
_ON_ITSELF = {
    "ioprio_set": (251, 30, {0: 1, 1: _CALLER}), "prlimit64": (302, 261, {0: _CALLER}),
    "sched_setaffinity": (203, 122, {0: _CALLER}), "sched_setattr": (314, 274, {0: _CALLER}),
    "sched_setparam": (142, 118, {0: _CALLER}), "sched_setscheduler": (144, 119, {0: _CALLER}),
    "setpriority": (141, 140, {0: 0, 1: _CALLER}),
}  # fmt: skip
_SOCKET = (41, 198)
_FAMILIES = (1, 2, 10, 16)  # unix, IPv4, IPv6, netlink


def supported() -> bool:
    return platform.machine() in _ARCHITECTURE


def program(pid: int) -> bytes:
    """The filter for this machine and a job whose first process has this number, as classic BPF."""
    machine = platform.machine()
    row = 0 if machine == "x86_64" else 1
    refused = sorted(numbers[row] for numbers in _REFUSED.values())
    code = [_op(_LOAD, 4), _op(_EQUAL, _ARCHITECTURE[machine], 1, 0), _op(_RETURN, _KILL), _op(_LOAD, 0)]
    if machine == "x86_64":
        code += [_op(_ANY_BIT, _X32_BIT, 0, 1), _op(_RETURN, _ERRNO | errno.ENOSYS)]
    code += [_op(_EQUAL, _CLONE3, 0, 1), _op(_RETURN, _ERRNO | errno.ENOSYS)]
    for number in refused:
        code += [_op(_EQUAL, number, 0, 1), _op(_RETURN, _ERRNO | errno.EPERM)]
    for *numbers, arguments in _ON_ITSELF.values():
        checks: list[bytes] = [_op(_RETURN, _ALLOW), _op(_RETURN, _ERRNO | errno.EPERM)]
        for place, value in reversed(arguments.items()):
            refuse = len(checks) - 1  # steps from the check that stands before these to the last, which refuses
            if value == _CALLER:
                checks = [_op(_EQUAL, 0, 1, 0), _op(_EQUAL, pid, 0, refuse), *checks]
            else:
                checks = [_op(_EQUAL, value, 0, refuse), *checks]
            checks = [_op(_LOAD, 16 + 8 * place), *checks]
        code += [_op(_EQUAL, numbers[row], 0, len(checks)), *checks]
    code += [_op(_EQUAL, _SOCKET[row], 0, len(_FAMILIES) + 3), _op(_LOAD, 16)]
    code += [_op(_EQUAL, family, len(_FAMILIES) - i, 0) for i, family in enumerate(_FAMILIES)]
    code += [_op(_RETURN, _ERRNO | errno.EAFNOSUPPORT), _op(_RETURN, _ALLOW)]
    code += [_op(_EQUAL, _CLONE[row], 0, 3), _op(_LOAD, 16), _op(_ANY_BIT, _NEW_NAMESPACES, 0, 1)]
    code += [_op(_RETURN, _ERRNO | errno.EPERM), _op(_RETURN, _ALLOW)]
    return b"".join(code)


def _op(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)
