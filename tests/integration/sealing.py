"""What the tests of sealing ask: segments on disk, and the worker that makes one."""
import os
import signal
import time

import client
import popkeep
import tap


class Keep(popkeep.Popkeep):
    """With variables of its own."""

    def __init__(self, folder, **variables):
        super().__init__(folder)
        self.variables = variables

    def environment(self):
        return super().environment() | {k: str(v) for k, v in self.variables.items()}


def open_segments(keep):
    return sorted((keep.archive / 'segments').glob('*.open.tar.zst'))


def sealed_segments(keep):
    return sorted(p for p in (keep.archive / 'segments').glob('*.tar.zst')
                  if not p.name.endswith('.open.tar.zst'))


def stored(keep):
    """Names and bytes of all segments."""
    return {p.name: p.read_bytes() for p in open_segments(keep) + sealed_segments(keep)}


def children(pid):
    """Those that did not end yet."""
    found = []
    for name in filter(str.isdigit, os.listdir('/proc')):
        try:
            with open(f'/proc/{name}/stat') as file:
                state, parent = file.read().rpartition(')')[2].split()[:2]
        except OSError:
            continue
        if int(parent) == pid and state not in 'ZX':
            found.append(int(name))
    return found


def program(pid):
    try:
        with open(f'/proc/{pid}/comm') as file:
            return file.read().strip()
    except OSError:
        return None


def is_shut_in(pid):
    try:
        with open(f'/proc/{pid}/status') as file:
            return 'Seccomp:\t2' in file.read()
    except OSError:
        return False


def worker_of(process, seconds=60):
    """The worker that `popkeep seal` has started, at work."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for pid in children(process.pid):
            if program(pid) == 'popkeep-worker' and is_shut_in(pid):
                return pid
        if process.poll() is not None:
            out, err = process.communicate()
            raise AssertionError(popkeep.Result(process.args, process.returncode, out, err))
        time.sleep(0.0005)
    raise AssertionError('no worker was started')


def is_gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    with open(f'/proc/{pid}/stat') as file:
        return file.read().rpartition(')')[2].split()[0] in 'ZX'


class Stopped:
    """A seal whose worker was stopped in the middle."""

    def __init__(self, keep, *arguments):
        self.keep = keep
        self.process = keep.start('--json', 'seal', *arguments)
        self.worker = worker_of(self.process)
        os.kill(self.worker, signal.SIGSTOP)

    def __enter__(self):
        return self

    def go_on(self):
        os.kill(self.worker, signal.SIGCONT)

    def finish(self, timeout=120):
        return self.keep.finish(self.process, timeout)

    def __exit__(self, *unused):
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()


def check_whole(keep, mail):
    """Every message, byte for byte, in every way that there is to read it."""
    wanted = {client.digest(m): m for m in mail}
    tap.equal(keep.digests(), sorted(wanted), 'digests kept')
    for digest, data in wanted.items():
        tap.equal(keep.raw(digest), data, f'show --raw {digest}')
    tap.equal(keep.verify().summary['messages'], len(wanted), 'messages that verify counts')
