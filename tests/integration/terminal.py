"""A command on a terminal of a given width."""
import fcntl
import os
import pty
import select
import struct
import termios
import time

import popkeep


def on_terminal(keep, columns, *arguments, type_after=None, stop_after=None):
    """(exit status, what the terminal got)"""
    pid, fd = pty.fork()
    if pid == 0:
        os.environ.update(keep.environment())
        time.sleep(0.1)   # until the size is set
        os.execv(popkeep.BINARY, keep.command(*arguments))
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack('HHHH', 24, columns, 0, 0))
    out, deadline = b'', time.monotonic() + 60
    while time.monotonic() < deadline:
        if select.select([fd], [], [], 0.1)[0]:
            try:
                piece = os.read(fd, 65536)
            except OSError:
                break
            if not piece:
                break
            out += piece
        if type_after and type_after[0] in out:
            os.write(fd, type_after[1])
            type_after = None
        if stop_after and stop_after in out:
            os.write(fd, b'\x03')
            stop_after = None
    os.close(fd)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), out
