"""A program that stands between a worker and an operator's command, so that the command ends when the worker does.

``python -I -S guard.py PARENT COMMAND``: runs ``sh -c COMMAND`` in its own session, of which it is the leader, its output on
standard error. When the worker dies, by whatever, the kernel sends SIGTERM here, and the whole session is killed. At the end
one line of JSON on standard output: exit status, and what the command took. Standard library only; nothing of ours is imported.
"""

import ctypes
import json
import os
import resource
import signal
import subprocess
import sys
import time

PR_SET_PDEATHSIG = 1
#: Not handed on: the command's environment is exactly the task's variables.
MARK = "LOTUS_SCHED_CHILD_OF"


def die_with_parent(number: int) -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(number), 0, 0, 0)


def end_session(session: int) -> None:
    """Kill all processes of a session but the caller, whatever groups they have made in it.

    One may have been forked after the list was made, and before its parent was killed: it is in the next one.
    """
    seen = {os.getpid()}
    while True:
        found = set()
        for name in os.listdir("/proc"):  # noqa: PTH208 - this program starts once a task, without pathlib
            try:
                if name.isdigit() and int(name) not in seen and os.getsid(int(name)) == session:
                    found.add(int(name))
                    os.kill(int(name), signal.SIGKILL)
            except OSError:
                pass
        if not found:
            return
        seen |= found


def main() -> None:
    parent, command = int(sys.argv[1]), sys.argv[2]

    def end(*_: object) -> None:
        end_session(os.getsid(0))
        os._exit(128 + signal.SIGTERM)

    signal.signal(signal.SIGTERM, end)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    die_with_parent(signal.SIGTERM)
    if os.getppid() != parent:
        os._exit(128 + signal.SIGTERM)
    began = time.monotonic()

    def first() -> None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
        die_with_parent(signal.SIGKILL)

    env = {name: value for name, value in os.environ.items() if name != MARK and name != "LC_CTYPE"}
    process = subprocess.Popen(
        ["/bin/sh", "-c", command], env=env, stdin=subprocess.DEVNULL, stdout=2, preexec_fn=first
    )
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
    code = process.wait()
    end_session(os.getsid(0))  # what it left in the background
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    told = {
        "code": code,
        "seconds": time.monotonic() - began,
        "cpu_seconds": used.ru_utime + used.ru_stime,
        "max_rss": used.ru_maxrss * 1024,
    }
    sys.stdout.write(json.dumps(told))
    sys.stdout.flush()


if __name__ == "__main__":
    main()
