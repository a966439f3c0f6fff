"""An IMAP server for misbehaving on purpose. Each test says how, by a subclass of Session.

    class Full(Session):
        def on_append(self, tag, mailbox, data):
            self.say(tag + b' NO [OVERQUOTA] full')

    with Server(Full) as server:
        … server.port …
        server.sessions[0].commands     # what the client sent, literals left out
        server.mailboxes                # {name: [bytes, …]}: what was appended, and kept

One thread for each connection; in clear, and the login is LOGIN or AUTHENTICATE PLAIN.
"""
import re
import socket
import threading

STALL_SECONDS = 60


class Cut(Exception):
    """The server hangs up now."""


class Gone(Exception):
    """The client hung up."""


class Session:
    greeting = b'* OK ready'
    capabilities = b'IMAP4rev1 AUTH=PLAIN SASL-IR LITERAL+ UIDPLUS'
    capabilities_after_login = None     # None: the same
    delimiter = b'"/"'
    login_reply = b'OK in'
    uid_validity = 77
    cut_at_append = None                # the n-th, from 1: the connection goes within its literal
    take_at_most = None                 # bytes of one literal

    def __init__(self, server, connection):
        self.server, self.socket = server, connection
        self.commands, self.inbuf, self.appends = [], b'', 0
        self.selected, self.login = None, None

    # What it reads and says

    def say(self, *lines):
        self.send(b''.join(line + b'\r\n' for line in lines))

    def send(self, data):
        try:
            self.socket.sendall(data)
        except OSError as e:
            raise Gone from e

    def fill(self):
        try:
            data = self.socket.recv(65536)
        except OSError as e:
            raise Gone from e
        if not data:
            raise Gone
        self.inbuf += data

    def line(self):
        while b'\r\n' not in self.inbuf:
            self.fill()
        line, _, self.inbuf = self.inbuf.partition(b'\r\n')
        return line

    def octets(self, n):
        parts, left = [], n
        while left > 0:
            if not self.inbuf:
                self.fill()
            parts.append(self.inbuf[:left])
            left -= len(parts[-1])
            self.inbuf = self.inbuf[len(parts[-1]):]
        return b''.join(parts)

    def stall(self):
        """Says nothing more, until the client goes."""
        try:
            while True:
                self.fill()
                self.inbuf = b''
        except Gone:
            raise
    # What it does

    def run(self):
        self.say(self.greeting)
        while True:
            line = self.line()
            self.commands.append(line)
            tag, _, rest = line.partition(b' ')
            word = rest.split(b' ')[0].upper()
            handler = getattr(self, 'do_' + word.decode('ascii', 'replace'), None)
            if handler is None:
                self.say(tag + b' BAD unknown')
            else:
                handler(tag, rest)

    def do_CAPABILITY(self, tag, rest):
        self.say(b'* CAPABILITY ' + self.capabilities, tag + b' OK')

    def do_NOOP(self, tag, rest):
        self.say(tag + b' OK')

    def do_LOGOUT(self, tag, rest):
        self.say(b'* BYE', tag + b' OK')
        raise Cut

    def log_in(self, tag):
        self.capabilities = self.capabilities_after_login or self.capabilities
        self.say(tag + b' ' + self.login_reply)

    def do_LOGIN(self, tag, rest):
        while literal := re.search(rb'\{(\d+)(\+?)\}$', rest):
            if not literal[2]:
                self.say(b'+ go ahead')
            rest = rest[:literal.start()] + self.octets(int(literal[1])) + self.line()
        self.login = rest
        self.log_in(tag)

    def do_ID(self, tag, rest):
        self.say(b'* ID NIL', tag + b' OK')

    def do_AUTHENTICATE(self, tag, rest):
        if len(rest.split(b' ')) < 3:
            self.say(b'+ ')
            self.line()
        self.log_in(tag)

    def do_LIST(self, tag, rest):
        self.say(b'* LIST (\\Noselect) ' + self.delimiter + b' ""', tag + b' OK')

    def name(self, rest):
        return re.search(rb'"((?:[^"\\]|\\.)*)"', rest)[1]

    def do_SELECT(self, tag, rest):
        self.select(tag, self.name(rest))

    do_EXAMINE = do_SELECT

    def select(self, tag, name):
        if name not in self.server.mailboxes:
            self.say(tag + b' NO [NONEXISTENT] none such')
            return
        self.selected = self.server.mailboxes[name]
        self.say(b'* %d EXISTS' % len(self.selected), b'* FLAGS (\\Seen)',
                 b'* OK [PERMANENTFLAGS (\\Seen \\*)] x',
                 b'* OK [UIDVALIDITY %d] x' % self.uid_validity,
                 b'* OK [UIDNEXT %d] x' % (len(self.selected) + 1), tag + b' OK [READ-WRITE] in')

    def do_CREATE(self, tag, rest):
        self.server.mailboxes.setdefault(self.name(rest), [])
        self.say(tag + b' OK')

    do_SUBSCRIBE = do_NOOP

    def do_STATUS(self, tag, rest):
        box = self.server.mailboxes.get(self.name(rest), [])
        self.say(b'* STATUS "%s" (MESSAGES %d UIDNEXT %d UIDVALIDITY %d)' % (
            self.name(rest), len(box), len(box) + 1, self.uid_validity), tag + b' OK')

    def do_APPEND(self, tag, rest):
        name, batch = self.name(rest), []
        while rest:
            size, plus = re.search(rb'\{(\d+)(\+?)\}$', rest).groups()
            self.appends += 1
            if not plus and not self.before_literal(tag, int(size)):
                return
            if self.appends == self.cut_at_append:
                self.octets(int(size) // 2)
                raise Cut
            batch.append(self.octets(int(size)))
            rest = self.line()      # of MULTIAPPEND there is more
        if len(batch) > 1:
            self.on_batch(tag, name, batch)
        else:
            self.on_append(tag, name, batch[0])

    def on_batch(self, tag, name, batch):
        """MULTIAPPEND: all or none."""
        first = len(self.server.mailboxes[name]) + 1
        for data in batch:
            self.keep(name, data)
        self.say(tag + b' OK [APPENDUID %d %d:%d] done' % (
            self.uid_validity, first, first + len(batch) - 1))

    def before_literal(self, tag, size):
        """A literal is announced that waits. False: it was refused."""
        self.say(b'+ go ahead')
        return True

    def on_append(self, tag, name, data):
        if name not in self.server.mailboxes:
            self.say(tag + b' NO [TRYCREATE] none such')
            return
        self.keep(name, data)
        self.say(self.appended(tag, name))

    def keep(self, name, data):
        self.server.mailboxes[name].append(data)

    def appended(self, tag, name):
        return tag + b' OK [APPENDUID %d %d] done' % (
            self.uid_validity, len(self.server.mailboxes[name]))

    def do_UID(self, tag, rest):
        first, last = (rest.split(b' ')[2].split(b':') * 2)[:2]
        for n, data in enumerate(self.selected or [], 1):
            if n < int(first) or (last != b'*' and n > int(last)):
                continue
            self.say(self.fetched(n, data, b'BODY.PEEK[]' in rest))
        self.say(tag + b' OK')

    def fetched(self, n, data, whole):
        if whole:
            return b'* %d FETCH (UID %d BODY[] {%d}\r\n%s)' % (n, n, len(data), data)
        found = re.search(rb'^Message-ID:.*\r\n', data, re.M | re.I)
        field = (found[0] if found else b'') + b'\r\n'
        return (b'* %d FETCH (UID %d RFC822.SIZE %d INTERNALDATE "17-Jul-1996 02:44:25 +0000" '
                b'FLAGS () BODY[HEADER.FIELDS (MESSAGE-ID)] {%d}\r\n%s)' % (
                    n, n, len(data), len(field), field))


class Server:
    def __init__(self, kind=Session, mailboxes=(b'INBOX',)):
        self.kind, self.sessions, self.threads = kind, [], []
        self.mailboxes = {name: [] for name in mailboxes}
        self.failures = []
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.port = self.listener.getsockname()[1]

    def __enter__(self):
        thread = threading.Thread(target=self.serve, daemon=True)
        thread.start()
        return self

    def __exit__(self, *_):
        self.listener.close()
        for session in self.sessions:
            session.socket.close()
        for thread in self.threads:
            thread.join(5)
        assert not self.failures, self.failures

    def serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            connection.settimeout(STALL_SECONDS)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            session = self.kind(self, connection)
            self.sessions.append(session)
            thread = threading.Thread(target=self.talk, args=[session], daemon=True)
            self.threads.append(thread)
            thread.start()

    def talk(self, session):
        try:
            session.run()
        except (Cut, Gone):
            pass
        except Exception as e:      # pylint: disable=broad-except
            self.failures.append(repr(e))
        finally:
            try:
                session.socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            session.socket.close()
