"""Root is for binding ports: afterwards the servers are an ordinary user's, with one capability at most.

Shell, Linux. The law: when `become` returns, nothing in this process is root's and nothing can be again. The thread that called
it, and those that it starts, keep CAP_NET_ADMIN where there was one, to tell the kernel the hardware address of a client that
cannot answer ARP yet; programs (git, ssh) inherit nothing. capabilities(7), prctl(2).
"""

from __future__ import annotations

import ctypes
import os
import pwd
import stat
from pathlib import Path

_NET_ADMIN = 1 << 12
_SET_KEEPCAPS, _SET_NO_NEW_PRIVS, _AMBIENT, _AMBIENT_CLEAR_ALL = 8, 38, 47, 4
_VERSION_3 = 0x20080522


class CannotBecome(Exception):
    """The user is not there, or we may not become it; the message is a sentence with a next step."""


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Sets(ctypes.Structure):
    """The lower 32 capabilities, then the upper ones, as effective, permitted and inheritable each."""

    _fields_ = (("words", ctypes.c_uint32 * 6),)


def find_user(name: str) -> pwd.struct_passwd:
    """Raises CannotBecome for a user that is not there, is root, or is not for us to become."""
    try:
        user = pwd.getpwnam(name)
    except KeyError:
        raise CannotBecome(
            f"There is no user {name!r} on this host; make it with `useradd --system {name}`, or correct --user."
        ) from None
    if user.pw_uid == 0:
        raise CannotBecome(f"--user {name} is root itself; name a user without privileges, or leave --user out.")
    if os.geteuid() not in (0, user.pw_uid):
        raise CannotBecome(f"Only root can become {name}; start gitboot as root, or as {name} and without --user.")
    return user


def become(user: pwd.struct_passwd, state: Path) -> None:
    """Give the state directory to `user` and be that user from here on. Raises CannotBecome; then do not go on."""
    if os.geteuid() != user.pw_uid:
        try:
            _give(state, user.pw_uid, user.pw_gid)
            _change(user)
        except OSError as error:
            what = error.filename or "this process"
            raise CannotBecome(
                f"{what} cannot be given to {user.pw_name}: {error.strerror}; look at --state and --user."
            ) from None
    if not os.access(state, os.R_OK | os.W_OK | os.X_OK):
        raise CannotBecome(f"{user.pw_name} cannot use {state}; let that user pass through the folders above it.")
    for program in (__file__, os.__file__):  # not every module is loaded yet
        if not os.access(program, os.R_OK):
            raise CannotBecome(f"{user.pw_name} cannot read {program}; install gitboot, and Python, where every user can read.")


def bequeath_nothing() -> None:
    """What a service manager gave us for the ports (ambient capabilities) is not for the programs that we start."""
    ctypes.CDLL(None).prctl(_AMBIENT, _AMBIENT_CLEAR_ALL, 0, 0, 0)  # before Linux 4.3 there was nothing to clear


def _give(state: Path, uid: int, gid: int) -> None:
    """What root made before. Nothing is followed out of the directory, be it by a link or by a file with a second name."""
    for _, folders, files, at in os.fwalk(state, follow_symlinks=False):
        for name in (".", *folders, *files):
            found = os.stat(name, dir_fd=at, follow_symlinks=False)
            if found.st_uid != uid and (stat.S_ISDIR(found.st_mode) or found.st_nlink == 1):
                os.chown(name, uid, gid, dir_fd=at, follow_symlinks=False)


def _change(user: pwd.struct_passwd) -> None:
    """The C library changes the ids of every thread, but only this one keeps anything of its capabilities."""
    libc = ctypes.CDLL(None, use_errno=True)
    header, sets = _Header(_VERSION_3, 0), _Sets()
    _check(libc.capget(ctypes.byref(header), ctypes.byref(sets)))
    kept = sets.words[1] & _NET_ADMIN
    _check(libc.prctl(_SET_KEEPCAPS, 1, 0, 0, 0))
    os.setgroups(os.getgrouplist(user.pw_name, user.pw_gid))
    os.setresgid(user.pw_gid, user.pw_gid, user.pw_gid)
    os.setresuid(user.pw_uid, user.pw_uid, user.pw_uid)
    sets.words[:] = (kept, kept, 0, 0, 0, 0)
    _check(libc.capset(ctypes.byref(header), ctypes.byref(sets)))
    _check(libc.prctl(_SET_NO_NEW_PRIVS, 1, 0, 0, 0))


def _check(status: int) -> None:
    if status:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
