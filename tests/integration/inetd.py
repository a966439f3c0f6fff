#!/usr/bin/python3
"""A small inetd: one listening socket on loopback, one process for each connection.

    inetd.py ROOT LOG COMMAND [ARGUMENT…]

Prints its port. Each connection's process has ROOT for its root folder, the connection as its
standard input and output, LOG as its standard error, and the addresses in the variables that
couriertcpd sets. SIGUSR1 kills all of them, as a crash would; SIGTERM ends inetd and them.
"""
import os
import signal
import socket
import sys

children = set()
MOST = 40


def kill_all(*unused):
    for pid in list(children):   # one that ends meanwhile is taken out
        try:
            os.killpg(pid, signal.SIGKILL)
        except ProcessLookupError:   # it has ended, or not come to its setsid() yet
            pass


def leave(*unused):
    kill_all()
    os._exit(0)


def reap(*unused):
    while children:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        children.discard(pid)


def serve(connection, peer, root, log, command):
    """In the child."""
    os.setsid()
    for number in (signal.SIGUSR1, signal.SIGTERM, signal.SIGCHLD, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    here = connection.getsockname()
    for number in (0, 1):
        os.dup2(connection.fileno(), number)
    os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), 2)
    os.chroot(root)
    os.chdir('/')
    os.execve(command[0], command, dict(os.environ) | {
        'TCPREMOTEIP': peer[0], 'TCPREMOTEPORT': str(peer[1]),
        'TCPLOCALIP': here[0], 'TCPLOCALPORT': str(here[1])})


def main():
    root, log, *command = sys.argv[1:]
    handled = {signal.SIGUSR1: kill_all, signal.SIGTERM: leave, signal.SIGCHLD: reap}
    for number, handler in handled.items():
        signal.signal(number, handler)
    listener = socket.create_server(('127.0.0.1', 0), backlog=64)
    print(listener.getsockname()[1], flush=True)
    while True:
        connection, peer = listener.accept()
        if len(children) >= MOST:
            connection.close()
            continue
        # No handler may look at the children before the new one is among them.
        signal.pthread_sigmask(signal.SIG_BLOCK, handled)
        pid = os.fork()
        if pid == 0:
            try:
                signal.pthread_sigmask(signal.SIG_UNBLOCK, handled)
                serve(connection, peer, root, log, command)
            finally:
                os._exit(127)
        children.add(pid)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, handled)
        connection.close()


if __name__ == '__main__':
    main()
