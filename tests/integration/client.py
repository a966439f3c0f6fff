"""A POP3 client that shares nothing with popkeep, to compare with: read everything, keep nothing."""
import hashlib
import socket
import ssl


class Pop3Error(Exception):
    pass


class Client:
    def __init__(self, port, tls=None, ca=None, host='127.0.0.1', timeout=60):
        """tls: None, 'starttls' or 'implicit'."""
        self.socket = socket.create_connection((host, port), timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        context = ssl.create_default_context(cafile=str(ca)) if tls else None
        if tls == 'implicit':
            self.socket = context.wrap_socket(self.socket, server_hostname='localhost')
        self.file = self.socket.makefile('rb')
        self.banner = self.reply()
        if tls == 'starttls':
            self.command(b'STLS')
            self.file.close()
            self.socket = context.wrap_socket(self.socket, server_hostname='localhost')
            self.file = self.socket.makefile('rb')

    def reply(self):
        line = self.file.readline()
        if not line.startswith(b'+OK'):
            raise Pop3Error(line)
        return line.rstrip(b'\r\n')

    def command(self, line):
        self.socket.sendall(line + b'\r\n')
        return self.reply()

    def multiline(self):
        """The lines of an answer with their ends, dots undone."""
        lines = []
        while (line := self.file.readline()) != b'.\r\n':
            if not line:
                raise Pop3Error(b'the connection ended')
            lines.append(line[1:] if line.startswith(b'.') else line)
        return lines

    def login(self, user, password):
        try:   # RFC 6856: otherwise some servers rewrite messages with 8-bit headers
            self.command(b'UTF8')
        except Pop3Error:
            pass
        self.command(b'USER ' + user.encode())
        self.command(b'PASS ' + password.encode())

    def uidl(self):
        """[(number, uidl)]"""
        self.command(b'UIDL')
        listing = []
        for line in self.multiline():
            number, _, uidl = line.rstrip(b'\r\n').partition(b' ')
            listing.append((int(number), uidl.strip(b' ')))
        return listing

    def retr(self, numbers, window=50):
        """Yields each message in turn."""
        numbers = list(numbers)
        for start in range(0, len(numbers), window):
            part = numbers[start:start + window]
            self.socket.sendall(b''.join(b'RETR %d\r\n' % n for n in part))
            for _ in part:
                self.reply()
                yield b''.join(self.multiline())

    def quit(self):
        self.command(b'QUIT')
        self.close()

    def close(self):
        self.file.close()
        self.socket.close()


def digest(data):
    return hashlib.sha256(data).hexdigest()


def fetch_all(port, user, password, tls=None, ca=None):
    """[(uidl, message)] of the whole mailbox."""
    client = Client(port, tls, ca)
    client.login(user, password)
    listing = client.uidl()
    messages = list(client.retr(n for n, _ in listing))
    client.quit()
    return [(uidl, data) for (_, uidl), data in zip(listing, messages)]
