"""Turn into another program that ends with its parent. Run as a script, it imports nothing of ours:

`python -I become.py HOW SIGNAL PARENT PROGRAM [ARGUMENT...]`

HOW is `self` (stay who we are), `nobody` (uid 65534; for programs that refuse to be root) or `namespace` (the same
uid, but only as seen inside a user namespace of its own: for files that only root may read). SIGNAL is what the kernel
sends when the parent's thread ends, however it ends; 0 sends nothing. PARENT is the parent's process id.
"""

from __future__ import annotations

import ctypes
import os
import signal as signals
import sys
from pathlib import Path

NOBODY = 65534
_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Change the user, ask for the signal, become the program."""
    how, signal, parent, *program = sys.argv[1:]
    libc = ctypes.CDLL(None)  # loaded before the user changes: nobody may be unable to read it
    if how == "nobody":
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    elif how == "namespace":
        _enter_namespace()
    if sys.platform == "linux" and int(signal):
        libc.prctl(_PR_SET_PDEATHSIG, int(signal), 0, 0, 0)
        if os.getppid() != int(parent):  # it ended before we asked
            sys.exit(1)
    signals.signal(signals.SIGINT, signals.SIG_DFL)  # a shell has what it starts in the background ignore it
    os.execv(program[0], program)  # noqa: S606 - a shell would be in the way


def _enter_namespace() -> None:
    """Look like nobody inside a namespace of our own; outside, files are still reached as who we were."""
    uid, gid = os.getuid(), os.getgid()
    os.unshare(os.CLONE_NEWUSER)
    Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
    Path("/proc/self/uid_map").write_text(f"{NOBODY} {uid} 1", encoding="ascii")
    Path("/proc/self/gid_map").write_text(f"{NOBODY} {gid} 1", encoding="ascii")


if __name__ == "__main__":
    main()
