"""Messages larger than any window, buffer or frame."""
import hashlib
import os
import subprocess

import tap
from popkeep import Popkeep
from scripted import Message, Server, Session
from tap import case

LINE = b'x' * 76 + b'\r\n'
PIECE = LINE * 8192


class Large(Message):
    """A message of about so many bytes that never lies in memory as a whole."""

    def __init__(self, size, uidl):
        super().__init__(b'', uidl=uidl)
        self.pieces = size // len(PIECE) + 1
        self.size = self.pieces * len(PIECE)

    def digest(self):
        whole = hashlib.sha256()
        for _ in range(self.pieces):
            whole.update(PIECE)
        return whole.hexdigest()


class Streaming(Session):
    def retr(self, number, message):
        if not isinstance(message, Large):
            super().retr(number, message)
            return
        self.ok()
        for _ in range(message.pieces):
            self.write(PIECE)
        self.line('.')


SMALL = Message(b'Subject: small\r\n\r\nsmall\r\n')


def peak_kib(popkeep, *arguments):
    """The most memory that the command had at once."""
    env = popkeep.environment()
    env['ASAN_OPTIONS'] += ':quarantine_size_mb=1'
    process = subprocess.Popen(popkeep.command(*arguments), env=env,
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    tap.equal(process.returncode, 0, 'exit status')
    return usage.ru_maxrss


@case
def a_message_that_fills_the_window_alone_holds_nobody_up(folder):
    large = Large(70 << 20, b'large')
    popkeep = Popkeep(folder)
    with Server([large, SMALL], Streaming) as server:
        popkeep.account('anna', server.port, timeout='20s')
        line = popkeep.fetch_account('anna', timeout=120)
    tap.equal((line['new'], line['pending']), (2, 0), 'new, pending')
    tap.equal(sorted(popkeep.digests()),
              sorted([large.digest(), hashlib.sha256(SMALL.data).hexdigest()]), 'digests')
    popkeep.verify()


@case
def memory_does_not_grow_with_the_message(folder):
    peaks = []
    for name, size in (('anna', 20 << 20), ('bert', 200 << 20)):
        popkeep = Popkeep(folder)
        with Server([Large(size, name.encode())], Streaming) as server:
            popkeep.account(name, server.port)
            peaks.append(peak_kib(popkeep, 'fetch', name))
    tap.comment(f'peaks {peaks} KiB')
    tap.check(peaks[1] - peaks[0] < 32 << 10, f'peak grew from {peaks[0]} to {peaks[1]} KiB')
    for command in (['verify'], ['search'], ['export', '--output', folder / 'out',
                                             '--format', 'eml']):
        peak = peak_kib(popkeep, *command)
        tap.check(peak < peaks[0] + (64 << 10), f'{command[0]}: {peak} KiB')


if __name__ == '__main__':
    tap.main()
