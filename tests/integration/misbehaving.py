"""A POP3 server of many mailboxes that fails, at random, in every way that is known from others.

    with Misbehaving(seed, 200) as server:      # a process of its own
        … server.port, server.users …
        server.ask('quiet')                     # from now on it behaves
        server.ask('truth')                     # what it has, had, and did

The user's name chooses the mailbox, the password is `secret`. What new sessions do wrong is drawn
from FAULTS; mail comes, goes and is renumbered meanwhile. A fault that makes it impossible for any
client to tell two messages apart is left to mailboxes that are `loose`: their sizes lie, but no UIDL
of theirs is ever used twice.
"""
import collections
import hashlib
import multiprocessing
import random
import socket
import string
import threading
import time

import mailgen
import scripted

EVENTS_PER_SECOND = 10     # of 200 mailboxes
FAULTY = 0.55              # of the sessions, while it misbehaves
LOOSE = 0.3
FAULTS = {}                # name: (function, only in loose mailboxes)


def digest(data):
    return hashlib.sha256(data).hexdigest()


class Mail:
    """A message under one UIDL, and what became of it."""
    def __init__(self, data, uidl, hopeless=None):
        self.data, self.uidl, self.hopeless = data, uidl, hopeless
        self.size = len(data)
        self.digests = {digest(data)}
        self.trouble = hopeless is not None    # a client may have good reason to refuse it

    def renumbered(self, uidl):
        other = Mail(self.data, uidl, self.hopeless)
        other.digests = self.digests
        return other


class Mailbox:
    def __init__(self, seed, name, first):
        self.rng = random.Random(f'{seed}/{name}')
        self.name = name
        self.lock = threading.RLock()
        self.session = None
        self.loose = self.rng.random() < LOOSE
        kinds = ('whole',) * 14 + (() if self.loose else ('gmail', 'gmail', 'expire')) + ('newest',)
        self.kind = self.rng.choice(kinds)
        self.window = self.rng.choice((5, 10, 130))
        self.number = 0
        self.sizes = set()
        self.mails = []
        self.ever = set()       # digests a client may have got
        self.handed = {}        # digest: UIDL; gone because a client had it and said QUIT
        self.gone = 0           # UIDLs that were listed and are not any more, at most
        self.nasty = list(mailgen.nasty(name).values())
        self.rng.shuffle(self.nasty)
        for _ in range(first):
            self.arrive()

    def new_data(self):
        """Of a size that no other message here has."""
        while True:
            self.number += 1
            if not self.loose and self.nasty and self.rng.random() < 0.03:
                data = self.nasty.pop()
            elif self.rng.random() < 0.01:
                data = mailgen.message(self.name, self.number)
            else:
                data = mailgen.message(self.name, self.number, self.rng.randint(100, 1500))
            if len(data) not in self.sizes:
                self.sizes.add(len(data))
                return data

    def new_uidl(self):
        self.number += 1
        name = b'%d.%08x' % (self.number, self.rng.getrandbits(32))
        odd = self.rng.random()
        if odd < 0.04:
            return name + b'x' * self.rng.randint(60, 900)
        if odd < 0.08:
            return name + bytes(self.rng.choices(range(0xf8, 0x100), k=5))   # never UTF-8
        return name

    def add(self, mail):
        self.ever |= mail.digests
        self.mails.append(mail)

    def arrive(self):
        hopeless = None
        if self.rng.random() < 0.01:
            hopeless = self.rng.choice(('-ERR no', '-ERR [SYS/PERM] damaged', 'cut', 'stall'))
        self.add(Mail(self.new_data(), self.new_uidl(), hopeless))

    def arrive_under_a_uidl_that_is_there(self):
        if self.loose or not self.mails:
            return self.arrive()
        return self.add(Mail(self.new_data(), self.rng.choice(self.mails).uidl))

    def replace_under_the_same_uidl(self):
        if self.loose or not self.mails:
            return
        old = self.mails.pop(self.rng.randrange(len(self.mails)))
        self.gone += 1
        self.add(Mail(self.new_data(), old.uidl))

    def vanish(self):
        if self.mails:
            self.mails.pop(self.rng.randrange(len(self.mails)))
            self.gone += 1

    def renumber(self):
        self.gone += len(self.mails)
        self.mails = [m.renumbered(self.new_uidl()) for m in self.mails]

    def misbehave(self):
        weights = {self.arrive: 80, self.vanish: 8, self.renumber: 1,
                   self.arrive_under_a_uidl_that_is_there: 5, self.replace_under_the_same_uidl: 5}
        with self.lock:
            self.rng.choices(list(weights), weights.values())[0]()

    def shown(self):
        with self.lock:
            if self.kind == 'newest':
                return self.mails[-self.window:]
            if self.kind == 'gmail':
                return self.mails[:self.window]
            return list(self.mails)

    def hand_over(self, mails):
        """A client had these and said QUIT: it must have them for ever."""
        with self.lock:
            for mail in mails:
                if mail in self.mails:
                    self.mails.remove(mail)
                    self.gone += 1
                    self.handed[digest(mail.data)] = mail.uidl

    def truth(self):
        with self.lock:
            return {'user': self.name, 'loose': self.loose, 'kind': self.kind, 'gone': self.gone,
                    'ever': self.ever, 'handed': self.handed,
                    'listed': [{'uidl': m.uidl, 'digests': m.digests, 'trouble': m.trouble,
                                'hopeless': m.hopeless} for m in self.shown()]}


# ---- What goes wrong ------------------------------------------------------------------------------

def fault(function):
    FAULTS[function.__name__] = (function, False)
    return function


def loose_fault(function):
    FAULTS[function.__name__] = (function, True)
    return function


REFUSED_LOGINS = (
    '-ERR [IN-USE] locked', '-ERR [LOGIN-DELAY] wait', '-ERR [SYS/TEMP] later',
    '-ERR [SYS/PERM] never', '-ERR [AUTH] wrong', '-ERR no', '-ERR too many connections',
    '-ERR [AUTH] Web login required; too many login attempts, rate limit exceeded', '-ERR',
    '-ERR \x1b[31m\x07[IN-USE', '+ERR', '')
REFUSED_RETRS = (
    '-ERR no', '-ERR [SYS/TEMP] later', '-ERR [SYS/PERM] damaged', '-ERR [IN-USE] ?', '-ERR',
    '-ERR too many requests', '-ERR internal error')


@fault
def cut_at_any_byte(s, rng):
    s.cut_after_bytes = int(10 ** rng.uniform(0, 5))


@fault
def reset_at_any_byte(s, rng):
    s.cut_after_bytes = int(10 ** rng.uniform(0, 5))
    s.reset = True


@fault
def cut_at_any_command(s, rng):
    s.cut_at_command = rng.randint(1, 15)


@fault
def cut_after_a_time(s, rng):
    s.deadline = time.monotonic() + rng.uniform(0.02, 0.5)
    s.pause = 0.02


@fault
def stall_at_any_command(s, rng):
    s.stall_at = rng.randint(1, 20)


@fault
def stall_inside_a_message(s, rng):
    s.stall_in = rng.randint(1, 10)


@fault
def trickle(s, rng):
    s.trickle = rng.randint(20, 400)


@fault
def refuse_some_RETR(s, rng):
    s.refuse_retr = (rng.choice(REFUSED_RETRS), rng.choice((0.05, 0.3, 1)))


@fault
def refuse_the_login(s, rng):
    s.password_reply = rng.choice(REFUSED_LOGINS).encode()


@fault
def refuse_at_the_greeting(s, rng):
    s.banner = rng.choice((b'-ERR [SYS/TEMP] busy', b'-ERR too many connections', b'-ERR', b'hello',
                           b'+OK' + b'x' * 9000, b'220 mail ESMTP', b'\0\xff+OK'))


@fault
def refuse_UIDL(s, rng):
    s.refuse_listing = ('UIDL', rng.choice(REFUSED_RETRS))


@loose_fault
def refuse_LIST(s, rng):
    s.refuse_listing = ('LIST', rng.choice(REFUSED_RETRS))


@fault
def no_CAPA(s, rng):
    s.capa = ()


@fault
def another_CAPA_after_the_login(s, rng):
    s.capa_after_login = rng.choice(((), (b'TOP',), (b'USER', b'LOGIN-DELAY 1', b'EXPIRE 0 USER')))


@fault
def no_PIPELINING_before_the_login(s, rng):
    s.capa_after_login, s.capa = s.capa, (b'USER', b'RESP-CODES')


@fault
def PIPELINING_that_is_a_lie(s, rng):
    s.drop_pipelined = True


@fault
def strange_CAPA(s, rng):
    s.capa = (b'', b'PIPELINING' * 50, b'EXPIRE', b'LOGIN-DELAY 99999999999999999999', b'\0\xff',
              b'SASL', b'UIDL no', b'IMPLEMENTATION \x1b[2J')


@fault
def STAT_that_lies(s, rng):
    s.lie_in_stat = True


@fault
def RETR_that_announces_another_size(s, rng):
    s.lie_in_retr = rng.choice((-1, 1, 10 ** 9))


@loose_fault
def LIST_that_lies(s, rng):
    s.lie_in_list = rng.choice((-50, -1, 1, 100, 10 ** 7))


@loose_fault
def dots_that_are_not_doubled(s, rng):
    s.stuff_dots = False


@loose_fault
def LF_alone(s, rng):
    s.newline = b'\n'


@fault
def garbage_instead_of_a_reply(s, rng):
    s.garbage_at = rng.randint(1, 20)


@fault
def an_extra_line_between_replies(s, rng):
    s.extra_at = rng.randint(5, 20)


@fault
def long_and_strange_status_lines(s, rng):
    s.decorate = rng.choice((b'x' * 500, b'x' * 7000, b'\0\0', b'\r\r', b'\xff\xfe\x1b[0m'))


@fault
def UIDL_in_another_order(s, rng):
    s.arrange = rng.shuffle


@fault
def UIDL_of_a_part(s, rng):
    def some(lines):
        del lines[rng.randint(0, len(lines)):]
    s.arrange = some


@fault
def an_empty_listing(s, rng):
    s.view = []


@fault
def UIDL_with_a_malformed_line(s, rng):
    bad = rng.choice((b'', b'x', b'-1 a', b'99999999999999999999 b', b'1', b'1 ', b'0 zero',
                      b'1 again', b'3000000 far'))
    s.arrange = lambda lines: lines.insert(rng.randint(0, len(lines)), bad)
    s.invents = 1


@fault
def UIDL_that_is_too_long(s, rng):
    def longer(lines):
        if lines:
            lines[rng.randrange(len(lines))] += b'y' * rng.choice((1100, 9000))
    s.arrange = longer


@fault
def UIDL_with_more_spaces(s, rng):
    def spaces(lines):
        lines[:] = [b'  '.join(line.split(b' ', 1)) + b'  ' for line in lines]
        s.invents = len(lines)   # a space at the end is part of the UIDL
    s.arrange = spaces


@fault
def no_good_bye(s, rng):
    s.good_bye = rng.choice(('close', 'error', 'reset'))


@fault
def a_stall_instead_of_a_good_bye(s, rng):
    s.good_bye = 'stall'


class Wild(scripted.Session):
    capa = (*scripted.Session.capa, b'EXPIRE 0')
    deadline = stall_at = stall_in = trickle = refuse_retr = refuse_listing = None
    lie_in_stat = lie_in_retr = lie_in_list = garbage_at = extra_at = decorate = arrange = None
    invents = 0                # UIDLs that are in this session only
    drop_pipelined = False
    good_bye = None
    pause = 0
    view = None

    def __init__(self, server, connection):
        super().__init__(server, connection)
        self.rng = random.Random(f'{server.seed}/{server.count_session()}')
        self.box = self.current = None
        self.sent_whole = []
        self.faults = []
        self.retrs = 0

    # Faults are chosen when the mailbox is known, but for those that come before.

    def run(self):
        self.socket.settimeout(30)
        if self.server.wild and self.rng.random() < 0.05:
            self.draw((refuse_at_the_greeting, no_CAPA, cut_at_any_byte, reset_at_any_byte,
                       no_PIPELINING_before_the_login, strange_CAPA, stall_at_any_command))
        super().run()

    def draw(self, those):
        chosen = self.rng.choice(those)
        chosen(self, self.rng)
        self.faults.append(chosen.__name__)
        self.server.note(chosen.__name__)

    def misbehave(self):
        if not self.server.wild or self.faults or self.rng.random() >= FAULTY:
            return
        can = [f for f, loose in FAULTS.values() if self.box.loose or not loose]
        for _ in range(self.rng.choice((1, 1, 1, 2))):
            self.draw(can)

    def read_command(self):
        if self.pause:
            time.sleep(self.pause)
        if self.deadline and time.monotonic() > self.deadline:
            raise scripted.Cut
        line = super().read_command()
        n = len(self.commands) + 1
        if self.drop_pipelined:
            self.inbuf = b''
        if n == self.stall_at:
            self.stall()
        if n == self.extra_at and self.box:
            self.line(self.rng.choice((b'* what', b'', b'.', b'+', b'\0', b'-error', b'+OKAY',
                                       b'+OK', b'+OK' if self.box.loose else b'-ERR no')))
        if n == self.garbage_at:
            self.line(bytes(self.rng.choices(range(1, 256), k=self.rng.randint(0, 300))))
        return line

    def flush(self):
        if not self.trickle:
            super().flush()
            return
        data, self.outbuf = b''.join(self.outbuf), []
        step = max(self.trickle, len(data) // 100)
        for start in range(0, len(data), step):
            self.outbuf = [data[start:start + step]]
            super().flush()
            time.sleep(0.005)

    def ok(self, text=''):
        if self.decorate is not None and self.authorized:
            text = (text.encode() if isinstance(text, str) else text) + b' ' + self.decorate
        super().ok(text)

    # The session

    def do_USER(self, argument):
        self.user = argument.decode('ascii', 'replace')
        self.box = self.server.boxes.get(self.user)
        if self.box:
            self.misbehave()
        self.ok()

    def do_PASS(self, argument):
        if not self.box or (argument != b'secret' and self.password_reply is None):
            self.err('[AUTH] wrong')
            return
        if self.password_reply is None and not self.enter():
            self.server.note('two sessions at once')
            self.err('[IN-USE] another session has it')
            return
        super().do_PASS(argument)
        if self.authorized and self.view is None:
            self.view = self.box.shown()

    def enter(self):
        """A session whose client is gone may need a moment to see it."""
        deadline = time.monotonic() + 1
        while time.monotonic() < deadline:
            with self.box.lock:
                if self.box.session is None:
                    self.box.session = self
                    return True
            time.sleep(0.01)
        return False

    @property
    def messages(self):
        return self.view or []

    def do_STAT(self, argument):
        if self.lie_in_stat:
            self.ok('%d %d' % (self.rng.choice((0, 7, 10 ** 9)), self.rng.getrandbits(40)))
        else:
            super().do_STAT(argument)

    def refuses(self, name):
        if self.refuse_listing and self.refuse_listing[0] == name:
            self.line(self.refuse_listing[1])
            return True
        return False

    def do_UIDL(self, argument):
        if self.refuses('UIDL'):
            return
        lines = [b'%d %s' % (n, m.uidl) for n, m in self.listed()]
        if self.arrange:
            self.arrange(lines)
            with self.box.lock:
                self.box.gone += self.invents
        self.ok()
        self.lines(lines)

    def do_LIST(self, argument):
        if self.refuses('LIST'):
            return
        lie = self.lie_in_list
        self.ok()
        self.lines([b'%d %d' % (n, max(0, m.size + (self.rng.randint(min(0, lie), max(0, lie))
                                                    if lie else 0)))
                    for n, m in self.listed()])

    def do_RETR(self, argument):
        if not argument.isdigit() or not 1 <= int(argument) <= len(self.messages):
            self.err('no such message')
            return
        super().do_RETR(argument)

    def retr(self, number, message):
        self.current = message
        self.retrs += 1
        if self.refuse_retr and self.rng.random() < self.refuse_retr[1]:
            message.trouble = True
            self.line(self.refuse_retr[0])
            return
        if message.hopeless:
            self.fail_for_ever(message)
            return
        if not self.stuff_dots and (b'\r\n.' in message.data or message.data.startswith(b'.')):
            self.note_undoubled(message)
        if self.newline == b'\n':
            self.note_other(message, message.data.replace(b'\r\n', b'\n'))
        self.ok(f'{len(message.data) + (self.lie_in_retr or 0)} octets')
        if self.retrs == self.stall_in:
            self.write(message.data[:len(message.data) // 2].replace(b'\r\n.', b'\r\n..'))
            self.stall()
        self.body(message.data)
        self.sent_whole.append(message)

    def fail_for_ever(self, message):
        if message.hopeless.startswith('-ERR'):
            self.line(message.hopeless)
            return
        self.ok()
        self.write(message.data[:len(message.data) // 2].replace(b'\r\n.', b'\r\n..'))
        if message.hopeless == 'stall' and self.server.wild:
            self.stall()
        raise scripted.Cut

    def note_other(self, message, data):
        """What a client rightly takes for this message is something else."""
        with self.box.lock:
            message.digests.add(digest(data))
            self.box.ever.add(digest(data))

    def note_undoubled(self, message):
        """A first dot of a line is lost; that cannot be seen, unless it stands alone."""
        message.trouble = True
        data = message.data
        plain = (data[1:] if data.startswith(b'.') else data).replace(b'\r\n.', b'\r\n')
        if b'\r\n.\r\n' not in data and not data.startswith(b'.\r\n'):
            self.note_other(message, plain)

    def do_QUIT(self, argument):
        if self.box and self.box.kind in ('gmail', 'expire') and self.authorized:
            self.box.hand_over(self.sent_whole)
        if self.good_bye == 'stall':
            self.stall()
        if self.good_bye == 'error':
            self.err('some deleted messages not removed')
            return
        if self.good_bye:
            self.reset = self.good_bye == 'reset'
            raise scripted.Cut
        super().do_QUIT(argument)

    def leave(self):
        """What was under way when it ended badly, or was to come next, is under suspicion."""
        if self.ended != 'quit' and self.current:
            self.current.trouble = True
        if self.ended != 'quit' and self.view:
            waiting = [c for c in self.inbuf.split(b'\n') if c.startswith(b'RETR ')][:1]
            numbers = [c.split()[1] for c in [*self.commands[-1:], *waiting]
                       if c.startswith(b'RETR ')]
            for n in (int(n) for n in numbers if n.isdigit()):
                if 1 <= n <= len(self.view):
                    self.view[n - 1].trouble = True
        if self.box:
            with self.box.lock:
                if self.box.session is self:
                    self.box.session = None


class Manifold(scripted.Server):
    def __init__(self, seed, users, first):
        super().__init__([], Wild)
        self.seed, self.wild = seed, True
        self.rng = random.Random(f'{seed}/server')
        self.boxes = {u: Mailbox(seed, u, first) for u in users}
        self.noted = collections.Counter()
        self.count_lock = threading.Lock()
        self.sessions_n = 0

    def count_session(self):
        with self.count_lock:
            self.sessions_n += 1
            return self.sessions_n

    def note(self, name):
        with self.count_lock:
            self.noted[name] += 1

    def accept(self):
        self.listener.settimeout(0.1)
        while not self.closing:
            try:
                connection, _ = self.listener.accept()
            except TimeoutError:
                continue
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self.serve, args=(self.session(self, connection),),
                             daemon=True).start()

    def hang_up(self, session):
        session.leave()
        super().hang_up(session)

    # What the parent asks for

    def misbehave_for(self, seconds):
        """The mailboxes change meanwhile."""
        if self.wild:
            rate = EVENTS_PER_SECOND * max(len(self.boxes), 20) / 200
            events = seconds * rate
            for _ in range(int(events) + (self.rng.random() < events % 1)):
                self.rng.choice(list(self.boxes.values())).misbehave()

    def quiet(self):
        self.wild = False

    def truth(self):
        return {'boxes': [b.truth() for b in self.boxes.values()], 'noted': self.noted,
                'sessions': self.sessions_n, 'deleted': self.deleted,
                'errors': [repr(e) for e in self.errors]}


def serve(pipe, *arguments):
    with Manifold(*arguments) as server:
        pipe.send(server.port)
        while True:
            if not pipe.poll(0.1):
                server.misbehave_for(0.1)
                continue
            try:
                question = pipe.recv()
            except EOFError:
                question = None
            if question is None:
                break
            pipe.send(getattr(server, question)())
        server.errors.clear()   # truth() has told them
        server.deleted.clear()


class Misbehaving:
    def __init__(self, seed, accounts, first=15):
        letters = random.Random(seed)
        self.users = [f'{"".join(letters.choices(string.ascii_lowercase, k=4))}{n}'
                      for n in range(accounts)]
        context = multiprocessing.get_context('fork')
        self.pipe, other = context.Pipe()
        self.process = context.Process(target=serve, args=(other, seed, self.users, first),
                                       daemon=True)
        self.process.start()
        other.close()

    def __enter__(self):
        self.port = self.pipe.recv()
        return self

    def ask(self, question):
        self.pipe.send(question)
        return self.pipe.recv()

    def __exit__(self, *unused):
        try:
            self.pipe.send(None)
        except OSError:
            pass
        self.process.join(15)
        self.process.kill()
