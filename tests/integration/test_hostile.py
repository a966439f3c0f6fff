"""Servers and mail that mean harm. Whatever they do: nothing wrong is kept, the sums are right, the
other accounts go on, and it ends."""
import hashlib
import time

import popkeep
import tap
from popkeep import DONE, PARTLY, check_sums
from scripted import Cut, Message, Server, Session
from tap import case, check, equal

MAIL = [b'Subject: %d\r\n\r\nmessage %d\r\n' % (n, n) * (n % 3 + 1) for n in range(1, 13)]


def keeper(folder, server, **options):
    keep = popkeep.Popkeep(folder)
    keep.account('anna', server.port, **options)
    return keep


def fetch(keep, code=(DONE, PARTLY), name='anna', **options):
    """The account's line; its sums and those of status are right."""
    line = keep.fetch_account(name, code=code, **options)
    check_sums(line)
    check_sums(keep.status(name))
    return line


def check_kept(keep, mail, what='what is kept'):
    """These, and nothing that was never sent."""
    equal(keep.digests(), sorted(hashlib.sha256(m).hexdigest() for m in mail), what)


# ---- One message must not block the others -------------------------------------------------------

class HangsUpAt(Session):
    """Closes the connection instead of answering to RETR of one message."""
    bad = 4

    def do_RETR(self, argument):
        if int(argument) == self.bad:
            raise Cut
        super().do_RETR(argument)


class HangsUpAtFirst(HangsUpAt):
    bad = 1


class HangsUpSerially(HangsUpAt):
    capa = (b'USER', b'UIDL')


@case
def a_message_whose_RETR_ends_the_session_does_not_block_the_others(folder):
    for n, kind in enumerate((HangsUpAt, HangsUpAtFirst, HangsUpSerially)):
        below = folder / str(n)
        below.mkdir()
        with Server(MAIL, kind) as server:
            keep = keeper(below, server)
            line = fetch(keep)
            equal(line['archived'], len(MAIL) - 1, f'archived with {kind.__name__}')
            equal(line['refused'], 1, 'refused')
            check_kept(keep, [m for i, m in enumerate(MAIL, 1) if i != kind.bad])


class TemporaryTrouble(Session):
    """-ERR [SYS/TEMP] for one message, for ever."""
    def do_RETR(self, argument):
        if int(argument) == 2:
            self.err('[SYS/TEMP] internal error')
        else:
            super().do_RETR(argument)


@case
def a_message_with_temporary_trouble_does_not_block_the_others(folder):
    with Server(MAIL, TemporaryTrouble) as server:
        keep = keeper(folder, server)
        line = fetch(keep)
        equal((line['archived'], line['refused']), (len(MAIL) - 1, 1), 'archived, refused')


class AllInTrouble(Session):
    def do_RETR(self, argument):
        self.err('[SYS/TEMP] the disk is away')


@case
def a_server_in_trouble_does_not_make_all_messages_refused(folder):
    with Server(MAIL, AllInTrouble) as server:
        keep = keeper(folder, server)
        line = fetch(keep, code=PARTLY)
        check(line['refused'] < 10, f'few are refused: {line}')
        check(line['pending'] > 0, f'the others are pending: {line}')


# ---- Dots that were not doubled -------------------------------------------------------------------

class Undoubled(Session):
    stuff_dots = False


class UndoubledSlowly(Undoubled):
    """What follows the line that is a dot has not arrived when the message seems to end."""
    def body(self, data):
        head, dot, rest = data.partition(b'\r\n.\r\n')
        self.write(head + dot)
        if dot:
            self.flush()
            time.sleep(0.05)
        self.write(rest)
        self.line('.')


def cut_mail(rest):
    return b'Subject: cut\r\n\r\nbefore\r\n.\r\n' + rest


CUTS = {
    'a line': b'+OK then more of it\r\nand more\r\n',
    'an error': b'-ERR as if refused\r\nand more\r\n',
    'a reply': b'+OK\r\n',
    'a whole message': b'+OK 3 octets\r\nSubject: forged\r\n\r\nforged\r\n.\r\n',
    'two messages': b'+OK\r\nSubject: forged\r\n\r\nforged\r\n.\r\n' * 2,
    'errors': b'-ERR no\r\n' * 3,
    'replies to NOOP': b'+OK\r\n+OK\r\n',
    'many replies': b'+OK\r\n' * 40,
}


def fetch_cut_mail(folder, session, capa=Session.capa):
    class Kind(session):
        pass
    Kind.capa = capa
    for n, (name, rest) in enumerate(CUTS.items()):
        below = folder / str(n)
        below.mkdir()
        cut = cut_mail(rest)
        mail = MAIL[:5] + [cut] + MAIL[5:]
        with Server(mail, Kind) as server:
            keep = keeper(below, server)
            line = fetch(keep)
            equal(line['pending'], 0, f'{name}: pending')
            check_kept(keep, MAIL, name)
            equal(line['refused'], 1, f'{name}: refused')


@case
def a_message_cut_at_a_dot_and_its_followers_are_never_kept_wrong(folder):
    fetch_cut_mail(folder, Undoubled)


@case
def nor_are_they_where_the_rest_of_it_comes_late(folder):
    fetch_cut_mail(folder, UndoubledSlowly)


@case
def nor_are_they_without_pipelining(folder):
    fetch_cut_mail(folder, UndoubledSlowly, (b'USER', b'UIDL'))


@case
def forged_mail_of_the_size_that_comes_next_is_not_kept_under_its_UIDL(folder):
    body = b'Subject: forged\r\n\r\nforged\r\n'
    real = b'Subject: real\r\n\r\nno forgery\r\n'
    real += b'x' * (len(body) - len(real) - 2) + b'\r\n' if len(real) < len(body) else b''
    body += b'x' * (len(real) - len(body) - 2) + b'\r\n' if len(real) > len(body) else b''
    equal(len(real), len(body), 'size')
    mail = [cut_mail(b'+OK\r\n' + body + b'.\r\n'), real, real.replace(b'no', b'NO'), *MAIL]
    for position in (0, 6):
        below = folder / str(position)
        below.mkdir()
        order = mail[3:3 + position] + mail[:3] + mail[3 + position:]
        with Server(order, Undoubled) as server:
            keep = keeper(below, server)
            fetch(keep)
            check_kept(keep, mail[1:])


@case
def sizes_that_are_always_too_large_cost_little(folder):
    mail = [Message(b'Subject: %d\r\n\r\n%d\r\n' % (n, n), size=1000) for n in range(400)]
    with Server(mail) as server:
        keep = keeper(folder, server)
        line = fetch(keep, code=DONE)
        equal(line['new'], len(mail), 'new')
        equal(len(server.sessions), 1, 'sessions')
        asked = server.sessions[0].count('RETR')
        check(asked < 2 * len(mail) + 16 * 40, f'{asked} RETR')


@case
def one_size_that_is_too_large_costs_little(folder):
    mail = [Message(b'Subject: %d\r\n\r\n%d\r\n' % (n, n)) for n in range(3000)]
    mail[1500].size += 2
    with Server(mail) as server:
        keep = keeper(folder, server)
        equal(fetch(keep, code=DONE)['new'], len(mail), 'new')
        equal(len(server.sessions), 1, 'sessions')


# ---- Sums and bounds ------------------------------------------------------------------------------

class EndsEverySession(Session):
    """Each session gets one message through, the same one, under a size that changes."""
    def do_LIST(self, argument):
        self.ok()
        self.lines([b'%d %d' % (n, len(self.server.sessions) * 1000 + n)
                    for n, m in self.listed()])

    def do_RETR(self, argument):
        super().do_RETR(argument)
        if self.count('RETR') == 2:
            raise Cut


@case
def sessions_that_bring_nothing_new_end(folder):
    with Server(MAIL[:2], EndsEverySession) as server:
        keep = keeper(folder, server)
        fetch(keep)
        check(len(server.sessions) < 300, f'{len(server.sessions)} sessions')


class BreaksAtTheEnd(Session):
    """Without sizes; within the last message it goes away for good."""
    def do_LIST(self, argument):
        self.err()

    def do_PASS(self, argument):
        if len(self.server.sessions) > 3:
            self.err('[SYS/TEMP] gone')
        else:
            super().do_PASS(argument)

    def do_RETR(self, argument):
        if int(argument) == 4:
            self.ok()
            self.write(b'x')
            self.flush()
            raise Cut
        super().do_RETR(argument)


@case
def sums_are_right_where_a_UIDL_is_reused_and_the_session_breaks(folder):
    with Server([Message(m, b'u') for m in MAIL[:2]]) as server:
        keep = keeper(folder, server)
        equal(fetch(keep)['archived'], 2, 'archived')
        equal(fetch(keep)['archived'], 2, 'archived')
        server.messages = [*(Message(m, b'u') for m in MAIL[2:5]), Message(MAIL[5], b'w')]
        server.session = BreaksAtTheEnd
        line = fetch(keep, code=PARTLY)
        check('error' in line, 'the poll ended early')
        check_kept(keep, MAIL[:5])


@case
def thousands_of_messages_that_are_too_large_are_refused_in_little_memory(folder):
    mail = [Message(b'x\r\n', b'u%d' % n, 5 << 30) for n in range(60000)]
    with Server(mail) as server:
        keep = keeper(folder, server)
        line = fetch(keep)
        equal(line['refused'], len(mail), 'refused')


@case
def long_UIDLs_of_bytes_that_need_escaping_fit_the_ledger(folder):
    mail = [Message(b'x\r\n', b'%05d' % n + b'\xff' * 1000, 5 << 30) for n in range(20000)]
    with Server(mail) as server:
        keep = keeper(folder, server)
        line = fetch(keep, timeout=60)
        equal(line['refused'], len(mail), 'refused')
        server.messages = []
        line = fetch(keep, timeout=60)
        equal((line['listed'], line['vanished']), (0, len(mail)), 'listed, vanished')


class Endless(Session):
    def do_RETR(self, argument):
        self.ok()
        self.endless()


class Ticking(Session):
    """Says when the client let it say what."""
    def do_RETR(self, argument):
        self.server.began = time.monotonic()
        super().do_RETR(argument)


@case
def an_endless_message_does_not_hold_up_other_accounts(folder):
    with Server(MAIL[:1], Endless) as bad, Server(MAIL) as good:
        keep = keeper(folder, bad)
        keep.account('bert', good.port)
        process = keep.start('--json', 'fetch')
        try:
            tap.wait_until(lambda: good.sessions and good.sessions[0].ended == 'quit', 30,
                           'the other account is done')
            check(bad.sessions[0].ended is None, 'while the endless message goes on')
        finally:
            process.terminate()
            keep.finish(process)


if __name__ == '__main__':
    tap.main()
