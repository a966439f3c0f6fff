"""A POP3 server for misbehaving on purpose. Each test says how, by a subclass of Session.

    class Liar(Session):
        def do_STAT(self, argument):
            self.ok('7 1')

    with Server([b'Subject: x\\r\\n\\r\\nx\\r\\n'], Liar) as server:
        … server.port …
        server.sessions[0].commands   # what the client sent
        server.sessions[0].ended      # 'quit', 'dropped' (by the client), 'cut' (by us)

One thread for each connection. Messages are `Message`s, or bytes, which get a UIDL of their digest.
"""
import hashlib
import selectors
import socket
import ssl
import threading
import time

STALL_SECONDS = 60


class Message:
    def __init__(self, data, uidl=None, size=None):
        """size: what LIST says, where that is a lie."""
        self.data = data
        self.uidl = hashlib.sha256(data).hexdigest()[:16].encode() if uidl is None else uidl
        self.size = len(data) if size is None else size


class Cut(Exception):
    """The server hangs up now."""


class Gone(Exception):
    """The client hung up."""


class Session:
    banner = b'+OK ready'
    capa = (b'TOP', b'UIDL', b'RESP-CODES', b'PIPELINING', b'AUTH-RESP-CODE', b'USER')
    capa_after_login = None          # None: the same
    capa_after_stls = None
    password_reply = None            # instead of +OK to PASS
    newline = b'\r\n'                # of all the server says
    stuff_dots = True
    cut_after_bytes = None           # of what the server sends in this session
    cut_at_command = None            # the n-th command, from 1, is not answered
    reset = False                    # cut by RST and not by FIN

    def __init__(self, server, connection):
        self.server, self.socket = server, connection
        self.commands = []
        self.ended = None
        self.sent = 0
        self.inbuf = b''
        self.outbuf = []
        self.user = None
        self.authorized = self.secure = False
        self.pipelined = False       # a command came before the one before it was answered

    # Reading and writing

    def write(self, data):
        if self.cut_after_bytes is not None and self.sent + len(data) >= self.cut_after_bytes:
            data = data[:max(0, self.cut_after_bytes - self.sent)]
            self.outbuf.append(data)
            self.flush()
            raise Cut
        self.sent += len(data)
        self.outbuf.append(data)
        if sum(map(len, self.outbuf)) > 1 << 16:
            self.flush()

    def flush(self):
        data, self.outbuf = b''.join(self.outbuf), []
        try:
            self.socket.sendall(data)
        except OSError as e:
            raise Gone from e

    def line(self, text):
        self.write((text.encode() if isinstance(text, str) else text) + self.newline)

    def ok(self, text=''):
        self.line(b'+OK' + (b' ' if text else b'')
                  + (text.encode() if isinstance(text, str) else text))

    def err(self, text='no'):
        self.line('-ERR ' + text)

    def lines(self, lines):
        for text in lines:
            self.line(b'.' + text if text.startswith(b'.') and self.stuff_dots else text)
        self.line('.')

    def body(self, data):
        """A message as it goes over the wire, with the line that ends it."""
        if self.newline != b'\r\n':
            data = data.replace(b'\r\n', self.newline)
        if self.stuff_dots:
            data = (b'.' if data.startswith(b'.') else b'') + data.replace(
                self.newline + b'.', self.newline + b'..')
        self.write(data)
        if not data.endswith(self.newline):
            self.write(self.newline)
        self.line('.')

    def endless(self, piece=b'x' * 65536):
        """Says piece until the client has had enough."""
        while not self.server.closing:
            self.write(piece)
            self.flush()

    def stall(self):
        """Says nothing until the client hangs up."""
        self.flush()
        self.socket.settimeout(0.1)
        deadline = time.monotonic() + STALL_SECONDS
        while time.monotonic() < deadline and not self.server.closing:
            try:
                if not self.socket.recv(65536):
                    raise Gone
            except (TimeoutError, ssl.SSLWantReadError):
                continue
            except OSError as e:
                raise Gone from e
        raise Cut

    def read_command(self):
        while b'\n' not in self.inbuf:
            self.flush()
            try:
                data = self.socket.recv(65536)
            except OSError as e:
                raise Gone from e
            if not data:
                raise Gone
            self.inbuf += data
        line, _, self.inbuf = self.inbuf.partition(b'\n')
        self.pipelined = self.pipelined or bool(self.inbuf)
        return line.rstrip(b'\r')

    # The session

    def run(self):
        self.greet()
        while True:
            line = self.read_command()
            self.commands.append(line)
            if self.cut_at_command is not None and len(self.commands) >= self.cut_at_command:
                raise Cut
            name, _, argument = line.partition(b' ')
            name = name.decode('ascii', 'replace').upper()
            handler = getattr(self, 'do_' + name, None)
            if handler is None:
                self.err('what?')
                continue
            handler(argument)
            if name == 'QUIT':
                self.flush()
                self.ended = 'quit'
                return

    @property
    def messages(self):
        return self.server.messages

    def count(self, name):
        """How many commands of this name came."""
        name = name.encode()
        return sum(1 for c in self.commands if c.split(b' ')[0].upper() == name)

    def greet(self):
        self.line(self.banner)

    def do_CAPA(self, argument):
        capa = self.capa
        if self.authorized and self.capa_after_login is not None:
            capa = self.capa_after_login
        elif self.secure and self.capa_after_stls is not None:
            capa = self.capa_after_stls
        if not capa:
            self.err('unknown command')
            return
        self.ok('capabilities follow')
        self.lines(capa)

    def do_STLS(self, argument):
        if self.server.tls is None or self.secure:
            self.err('not here')
            return
        self.ok('begin TLS')
        self.flush()
        self.start_tls()

    def start_tls(self):
        self.inbuf = b''
        try:
            self.socket = self.server.tls.wrap_socket(self.socket, server_side=True)
        except OSError as e:
            raise Gone from e
        self.secure = True

    def do_USER(self, argument):
        self.user = argument
        self.ok()

    def do_PASS(self, argument):
        if self.password_reply is not None:
            self.line(self.password_reply)
            return
        if argument != self.server.password:
            self.err('[AUTH] wrong')
            return
        self.authorized = True
        self.ok('welcome')

    def do_STAT(self, argument):
        self.ok(f'{len(self.messages)} {sum(m.size for m in self.messages)}')

    def listed(self):
        """(number, message) as UIDL and LIST show them."""
        return enumerate(self.messages, 1)

    def do_UIDL(self, argument):
        self.ok()
        self.lines([b'%d %s' % (n, m.uidl) for n, m in self.listed()])

    def do_LIST(self, argument):
        self.ok()
        self.lines([b'%d %d' % (n, m.size) for n, m in self.listed()])

    def do_NOOP(self, argument):
        self.ok()

    def do_RSET(self, argument):
        self.ok()

    def do_DELE(self, argument):
        self.server.deleted.append(int(argument))
        self.ok()

    def do_RETR(self, argument):
        self.retr(int(argument), self.messages[int(argument) - 1])

    def retr(self, number, message):
        self.ok(f'{len(message.data)} octets')
        self.body(message.data)

    def do_QUIT(self, argument):
        self.ok('bye')


class Server:
    def __init__(self, messages, session=Session, password=b'secret', tls=None, implicit=False):
        """tls: folder with server.pem and server.key (see dovecot.make_certificate)."""
        self.messages = [m if isinstance(m, Message) else Message(m) for m in messages]
        self.session, self.password, self.implicit = session, password, implicit
        self.tls = None
        if tls is not None:
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.tls.load_cert_chain(tls / 'server.pem', tls / 'server.key')
        self.sessions = []
        self.deleted = []
        self.errors = []
        self.closing = False
        self.threads = []

    def __enter__(self):
        self.listener = socket.create_server(('127.0.0.1', 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        self.accepter = threading.Thread(target=self.accept, daemon=True)
        self.accepter.start()
        return self

    def accept(self):
        with selectors.DefaultSelector() as selector:
            selector.register(self.listener, selectors.EVENT_READ)
            while not self.closing:
                if not selector.select(0.1):
                    continue
                connection, _ = self.listener.accept()
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                session = self.session(self, connection)
                self.sessions.append(session)
                thread = threading.Thread(target=self.serve, args=(session,), daemon=True)
                self.threads.append(thread)
                thread.start()

    def serve(self, session):
        try:
            if self.implicit:
                session.start_tls()
            session.run()
        except Cut:
            session.ended = 'cut'
            if session.reset:
                session.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                          b'\x01\0\0\0\0\0\0\0')
        except Gone:
            session.ended = 'dropped'
        except Exception as e:   # a mistake in a script must not look like a clever client
            session.ended = 'broken'
            self.errors.append(e)
        finally:
            self.hang_up(session)

    def hang_up(self, session):
        try:
            if session.ended == 'cut' and not session.reset:
                # Closing with input unread would send RST, and what was sent might be lost.
                session.socket.settimeout(2)
                session.socket.shutdown(socket.SHUT_WR)
                while session.socket.recv(65536):
                    pass
        except OSError:
            pass
        session.socket.close()

    def __exit__(self, kind, *unused):
        self.closing = True
        self.accepter.join()
        self.listener.close()
        for thread in self.threads:
            thread.join(10)
        if self.errors and kind is None:
            raise self.errors[0]
        if self.deleted and kind is None:
            raise AssertionError(f'the client deleted messages {self.deleted}')

    def commands(self):
        """All sessions' commands, in order."""
        return [c for s in self.sessions for c in s.commands]
