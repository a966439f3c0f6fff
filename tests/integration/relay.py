"""Passes bytes between popkeep and a server, counts what the server says, and does something in the
middle of it.

    with Relay(server.plain) as relay:
        relay.after(20000, server.kill)   # once, when that many bytes of the server's have passed
        relay.port, relay.passed
"""
import socket
import threading


class Relay:
    def __init__(self, port):
        self.target = port
        self.passed = 0
        self.trigger = None
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.port = self.listener.getsockname()[1]

    def after(self, count, action):
        self.passed = 0
        self.trigger = (count, action)

    def accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:   # __exit__
                return
            far = socket.create_connection(('127.0.0.1', self.target))
            for s in (near, far):
                s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for start, end, counts in ((near, far, False), (far, near, True)):
                threading.Thread(target=self.pump, args=(start, end, counts), daemon=True).start()

    def pump(self, start, end, counts):
        """The one that hears the end of a side tells the other; both sockets go with the last."""
        try:
            while data := start.recv(16384):
                if counts:
                    self.count(len(data))
                end.sendall(data)
        except OSError:
            pass
        for s in (start, end):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def count(self, n):
        self.passed += n
        if self.trigger and self.passed >= self.trigger[0]:
            action, self.trigger = self.trigger[1], None
            action()

    def __enter__(self):
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def __exit__(self, *unused):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
