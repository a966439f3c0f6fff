"""Servers in the wild: what they do to other clients must not cost a message here.

The scripted server fails a test by itself when a client sends DELE.
"""
import pathlib
import re

import client
import dovecot
import mailgen
import popkeep
import scripted
from fixture import check_kept, fetch_until, scripted_account
from popkeep import check_sums, sums
from scripted import Message, Server, Session
from tap import case, check, equal, main, wait_until

MAIL = mailgen.mailbox('wild', 12, size=900)


def retrs(server, since=0):
    """The message numbers asked for, in order, by all sessions from `since` on."""
    return [int(c.split()[1]) for s in server.sessions[since:] for c in s.commands
            if c.upper().startswith(b'RETR')]


def fetch_all_of(folder, messages, session=Session, **options):
    """One fetch of a server that serves messages; (keep, server, the account's line)."""
    with Server(messages, session) as server:
        keep = scripted_account(folder, server, **options)
        line = keep.fetch_account('anna')
    check_sums(line)
    return keep, server, line


# 1: state lost on a crash

@case
def what_was_durable_before_a_kill_is_not_fetched_again(folder):
    class Slow(Session):
        def retr(self, number, message):
            if len(self.server.sessions) == 1 and number > 8:
                self.ok()   # what follows a message is what shows that it was whole
                self.stall()
            super().retr(number, message)

    with Server(MAIL, Slow) as server:
        keep = scripted_account(folder, server, timeout='60s')
        process = keep.start('fetch')
        # A group waits a second at most for more mail; then these eight are durable.
        wait_until(lambda: keep.archive.joinpath('catalog.db').exists()
                   and len(keep.messages()) == 8, 30, 'eight messages are durable')
        process.kill()
        process.communicate()
        line = keep.fetch_account('anna')
        equal((line['new'], line['archived']), (4, 12), 'new and archived')
        equal(sorted(retrs(server, since=1)), [9, 10, 11, 12], 'asked for again')
        check_kept(keep, MAIL)


# 2: every UIDL new

@case
def a_maildrop_whose_uidls_are_all_new_is_not_kept_twice(folder):
    with Server([Message(m, b'old-%d' % n) for n, m in enumerate(MAIL)]) as server:
        keep = scripted_account(folder, server)
        keep.fetch_account('anna')
        for n, message in enumerate(server.messages):
            message.uidl = b'new-%d' % n
        result = keep.fetch('anna')
        line = result.of_type('account')[0]
        equal((line['new'], line['duplicate'], line['archived']), (0, 12, 12), 'sums')
        check('renumbered' in result.err or 'renumbered' in result.out.decode(), 'it says so')
        check_kept(keep, MAIL)


# 3: UIDLs reused or not unique

@case
def two_messages_of_one_uidl_in_a_listing_are_both_kept(folder):
    twice = [Message(m, b'same') for m in MAIL[:3]] + MAIL[3:]
    keep, server, line = fetch_all_of(folder, twice)
    equal((line['listed'], line['archived']), (12, 12), 'listed and archived')
    check_kept(keep, MAIL)


@case
def two_messages_of_one_uidl_are_not_fetched_again_and_again(folder):
    with Server([Message(m, b'same') for m in MAIL[:3]] + MAIL[3:]) as server:
        keep = scripted_account(folder, server)
        keep.fetch_account('anna')
        line = keep.fetch_account('anna')
        equal((line['new'], line['archived']), (0, 12), 'second fetch')
        equal(retrs(server, since=1), [], 'asked for in the second fetch')


@case
def a_refused_message_that_shares_its_uidl_is_not_fetched_at_every_poll(folder):
    class Refusing(Session):
        def retr(self, number, message):
            if message.data == MAIL[0]:
                self.err('damaged')
            else:
                super().retr(number, message)

    with Server([Message(m, b'same') for m in MAIL[:2]], Refusing) as server:
        keep = scripted_account(folder, server)
        for _ in range(4):
            line = keep.fetch_account('anna', code=None)
            check_sums(line)
        equal((line['archived'], line['refused']), (1, 1), 'archived and refused')
        equal(retrs(server, 3), [], 'RETRs of the last poll')
        before = popkeep.sums(keep.status('anna'))
        for name in ('catalog.db', 'catalog.db-wal', 'catalog.db-shm'):
            (keep.archive / name).unlink(missing_ok=True)
        keep.run('rebuild')
        equal(popkeep.sums(keep.status('anna')), before, 'sums after a rebuild')


@case
def two_messages_of_one_uidl_and_one_size_are_both_kept(folder):
    one, two = b'Subject: 1\r\n\r\nx\r\n', b'Subject: 2\r\n\r\nx\r\n'
    keep, server, line = fetch_all_of(folder, [Message(one, b'same'), Message(two, b'same')])
    equal((line['listed'], line['archived']), (2, 2), 'listed and archived')
    check_kept(keep, [one, two])


@case
def a_second_message_under_a_known_uidl_is_fetched(folder):
    with Server([Message(MAIL[0], b'u')]) as server:
        keep = scripted_account(folder, server)
        keep.fetch_account('anna')
        server.messages.append(Message(MAIL[1], b'u'))
        line = keep.fetch_account('anna')
        equal((line['new'], line['archived']), (1, 2), 'new and archived')
        check_kept(keep, MAIL[:2])


@case
def a_uidl_used_again_for_other_bytes_is_fetched(folder):
    with Server([Message(MAIL[0], b'u')]) as server:
        keep = scripted_account(folder, server)
        keep.fetch_account('anna')
        other = MAIL[1] + b'longer\r\n'
        server.messages[:] = [Message(other, b'u')]
        line = keep.fetch_account('anna')
        equal((line['new'], line['listed'], line['archived']), (1, 1, 1), 'sums')
        check_kept(keep, [MAIL[0], other])


@case
def sizes_that_change_between_sessions_do_not_cost_a_download_each_time(folder):
    with Server(MAIL) as server:
        keep = scripted_account(folder, server)
        keep.fetch_account('anna')
        for _ in range(2):
            for message in server.messages:
                message.size += 7
            line = keep.fetch_account('anna')
            equal((line['new'], line['archived']), (0, 12), 'sums')
        # Once it may look; then it knows that this maildrop's sizes say nothing.
        equal(retrs(server, since=2), [], 'asked for in the third fetch')
        check_kept(keep, MAIL)


# 4: unlisted is not deleted

@case
def a_uidl_that_a_listing_lacks_is_not_forgotten(folder):
    with Server(MAIL) as server:
        keep = scripted_account(folder, server)
        keep.fetch_account('anna')
        all_of_them = server.messages[:]
        server.messages[:] = all_of_them[-3:]
        line = keep.fetch_account('anna')
        equal(sums(line), {'listed': 3, 'archived': 3, 'pending': 0, 'refused': 0,
                           'vanished': 0}, 'while a part is listed')
        server.messages[:] = all_of_them
        line = keep.fetch_account('anna')
        equal((line['new'], line['archived']), (0, 12), 'when all are listed again')
        equal(retrs(server, since=1), [], 'asked for again')


@case
def an_empty_listing_forgets_nothing(folder):
    with Server(MAIL) as server:
        keep = scripted_account(folder, server)
        keep.fetch_account('anna')
        all_of_them = server.messages[:]
        server.messages[:] = []
        equal(keep.fetch_account('anna')['listed'], 0, 'listed')
        server.messages[:] = all_of_them
        equal(keep.fetch_account('anna')['new'], 0, 'new')
        equal(retrs(server, since=1), [], 'asked for again')


@case
def what_was_listed_and_never_archived_counts_as_vanished_when_it_goes(folder):
    class Refusing(Session):
        def retr(self, number, message):
            if message.uidl == b'bad':
                self.err('[SYS/PERM] cannot')
            else:
                super().retr(number, message)

    with Server([Message(MAIL[0], b'bad')] + MAIL[1:], Refusing) as server:
        keep = scripted_account(folder, server)
        line = keep.fetch_account('anna', code=None)
        equal((line['archived'], line['refused']), (11, 1), 'while it is there')
        del server.messages[0]
        line = keep.fetch_account('anna', code=None)
        equal(sums(line), {'listed': 11, 'archived': 11, 'pending': 0, 'refused': 0,
                           'vanished': 1}, 'when it is gone')
        equal(keep.run('status', code=None).code, popkeep.PARTLY, 'status of an incomplete account')


# 6: CAPA lies or changes

class NoCapa(Session):
    capa = None


@case
def a_server_without_CAPA_is_fetched_one_command_at_a_time(folder):
    keep, server, line = fetch_all_of(folder, MAIL, NoCapa)
    equal(line['archived'], 12, 'archived')
    check(not any(s.pipelined for s in server.sessions), 'nothing was sent ahead')
    check_kept(keep, MAIL)


@case
def pipelining_that_shows_after_the_login_is_used(folder):
    class Late(Session):
        capa = (b'TOP', b'UIDL', b'USER')
        capa_after_login = (b'TOP', b'UIDL', b'PIPELINING')

    keep, server, line = fetch_all_of(folder, MAIL, Late)
    commands = server.sessions[0].commands
    at = commands.index(b'PASS secret')
    check(b'CAPA' in commands[at:], 'CAPA is asked for after the login')
    check(server.sessions[0].pipelined, 'commands were sent ahead')
    check_kept(keep, MAIL)


@case
def pipelining_that_goes_with_the_login_is_not_used(folder):
    class Retracting(Session):
        capa_after_login = (b'TOP', b'UIDL')

    keep, server, line = fetch_all_of(folder, MAIL, Retracting)
    check(not server.sessions[0].pipelined, 'nothing was sent ahead')
    check_kept(keep, MAIL)


@case
def UIDL_is_tried_though_CAPA_lacks_it(folder):
    class Modest(Session):
        capa = (b'USER', b'PIPELINING')

    keep, server, line = fetch_all_of(folder, MAIL, Modest)
    equal(line['archived'], 12, 'archived')


@case
def a_server_without_UIDL_is_named_and_nothing_is_kept_by_guess(folder):
    class Without(Session):
        def do_UIDL(self, argument):
            self.err('unknown command')

    with Server(MAIL, Without) as server:
        keep = scripted_account(folder, server)
        result = keep.fetch('anna', code=None)
        check(result.code not in (popkeep.DONE, popkeep.LOGIN), f'exit status\n{result}')
        check('UIDL' in result.err, f'the error names UIDL\n{result}')
        equal(retrs(server), [], 'asked for')


@case
def nothing_is_sent_behind_PASS_before_it_is_answered(folder):
    class Watching(Session):
        def do_PASS(self, argument):
            # Courier and solid-pop3d lose what comes in one packet with PASS.
            assert not self.inbuf, f'came with PASS: {self.inbuf}'
            super().do_PASS(argument)

    keep, server, line = fetch_all_of(folder, MAIL, Watching)
    equal(line['archived'], 12, 'archived')


def certificate(folder):
    dovecot.make_certificate(folder)
    return folder / 'ca.pem'


@case
def CAPA_is_asked_for_again_after_STLS(folder):
    class Changing(Session):
        capa = (b'UIDL', b'STLS')
        capa_after_stls = (b'UIDL', b'USER', b'PIPELINING')

    ca = certificate(folder)
    with Server(MAIL, Changing, tls=folder) as server:
        keep = scripted_account(folder, server, tls='starttls', ca=ca, host='localhost')
        equal(keep.fetch_account('anna')['archived'], 12, 'archived')
        commands = server.sessions[0].commands
        check(commands.index(b'STLS') < commands.index(b'PASS secret'), 'STLS before PASS')
        at = commands.index(b'STLS')
        check(b'CAPA' in commands[at:commands.index(b'PASS secret')], 'CAPA after STLS')


@case
def what_was_injected_before_STLS_is_not_believed(folder):
    class Injected(Session):
        capa = (b'UIDL', b'STLS', b'USER')

        def do_STLS(self, argument):
            self.ok('begin TLS')
            # As somebody in between adds it: answers to what comes inside TLS.
            self.write(b'+OK\r\nUSER\r\nSASL PLAIN\r\n.\r\n+OK\r\n+OK\r\n+OK 0 0\r\n+OK\r\n.\r\n')
            self.flush()
            self.start_tls()

    ca = certificate(folder)
    with Server(MAIL, Injected, tls=folder) as server:
        keep = scripted_account(folder, server, tls='starttls', ca=ca, host='localhost')
        result = keep.fetch('anna', code=None)
        lines = result.of_type('account')
        complete = bool(lines) and lines[0]['archived'] == 12
        check(complete or result.code not in (popkeep.DONE, popkeep.LOGIN),
              f'either all is fetched, or the session is given up\n{result}')
        for session in server.sessions:
            check(session.secure or not session.count('PASS'), 'no password in the clear')


@case
def a_server_that_offers_no_STLS_gets_no_password(folder):
    ca = certificate(folder)
    with Server(MAIL) as server:
        keep = scripted_account(folder, server, tls='starttls', ca=ca, host='localhost')
        equal(keep.fetch('anna', code=None).code, popkeep.UNREACHABLE, 'exit status')
        for session in server.sessions:
            equal(session.count('USER') + session.count('PASS') + session.count('AUTH'), 0,
                  'logins tried')


# 7: sizes are hints, and the end of a message is CRLF.CRLF

class LyingAboutNumbers(Session):
    def do_STAT(self, argument):
        self.ok('3 17')


@case
def STAT_may_lie(folder):
    keep, server, line = fetch_all_of(folder, MAIL, LyingAboutNumbers)
    equal((line['listed'], line['archived']), (12, 12), 'sums')
    check_kept(keep, MAIL)


@case
def LIST_may_lie(folder):
    lies = [0, 1, 10**6, 10**9, 5, 2**40, 899, 901, 2**63, 2**64 - 1, 1, 1]
    sizes = [s if s < 10**9 else 500_000_000 for s in lies]
    keep, server, line = fetch_all_of(
        folder, [Message(m, size=s) for m, s in zip(MAIL, sizes)])
    equal(line['archived'], 12, 'archived')
    check_kept(keep, MAIL)


@case
def LIST_may_be_refused(folder):
    class Without(Session):
        def do_LIST(self, argument):
            self.err('no')

    keep, server, line = fetch_all_of(folder, MAIL, Without)
    check_kept(keep, MAIL)


@case
def RETR_may_announce_another_size(folder):
    class Wrong(Session):
        def retr(self, number, message):
            self.ok(f'{number * 100000} octets')
            self.body(message.data)

    keep, server, line = fetch_all_of(folder, MAIL, Wrong)
    check_kept(keep, MAIL)


@case
def garbage_between_two_answers_ends_the_session_and_costs_no_message(folder):
    class Noisy(Session):
        def retr(self, number, message):
            super().retr(number, message)
            if number == 3 and len(self.server.sessions) == 1:
                self.write(b'*** debug: cache miss\r\n')

    with Server(MAIL, Noisy) as server:
        keep = scripted_account(folder, server)
        line = fetch_until(keep)
        equal(line['archived'], 12, 'archived')
        equal(server.sessions[0].ended, 'dropped', 'the first session was not ended by QUIT')
        check_kept(keep, MAIL)


@case
def a_server_that_gets_out_of_step_each_time_gives_all_but_that_message(folder):
    class Noisy(Session):
        def retr(self, number, message):
            super().retr(number, message)
            if message.uidl == b'noisy':
                self.write(b'*** debug: cache miss\r\n')

    messages = [Message(m, b'noisy') if n == 4 else Message(m) for n, m in enumerate(MAIL)]
    with Server(messages, Noisy) as server:
        keep = scripted_account(folder, server)
        for _ in range(4):
            line = keep.fetch_account('anna', code=None)
            check_sums(line)
        check(line['archived'] >= 11, f'the others are kept: {line}')
        kept = set(keep.digests())
        check({client.digest(m.data) for m in messages if m.uidl != b'noisy'} <= kept,
              'the others are kept')


def kept_under(keep, uidl):
    events = keep.json('log').of_type('event')
    return [e['fields']['digest'] for e in events
            if e['event'] == 'keep' and e['fields']['uidl'] == uidl]


def one_line_too_many(folder, said, **options):
    class Noisy(Session):
        def retr(self, number, message):
            if number == 4 and len(self.server.sessions) == 1:
                self.line(said)
            super().retr(number, message)

    # Each one longer than the one after it, so that no body is too short for its neighbour.
    mail = [b'Subject: %d\r\n\r\n%s\r\n' % (n, b'x' * (500 - 20 * n)) for n in range(12)]
    messages = [Message(m, b'u%d' % n) for n, m in enumerate(mail)]
    with Server(messages, Noisy) as server:
        keep = scripted_account(folder, server, **options)
        for _ in range(3):
            line = keep.fetch_account('anna', code=None)
            check_sums(line)
    for n, m in enumerate(mail):
        if n != 3:
            equal(kept_under(keep, f'u{n}'), [client.digest(m)], f'what is kept under u{n}')
    return keep, mail, line


@case
def an_OK_that_answers_nothing_is_no_part_of_a_message(folder):
    keep, mail, line = one_line_too_many(folder, '+OK debug')
    check_kept(keep, mail)


@case
def an_OK_that_answers_nothing_is_no_part_of_a_message_where_it_is_fetched_alone(folder):
    keep, mail, line = one_line_too_many(folder, '+OK debug', pipelining='no')
    check_kept(keep, mail)


@case
def after_an_ERR_that_answers_nothing_no_message_is_taken_for_another(folder):
    keep, mail, line = one_line_too_many(folder, '-ERR what?')
    check(client.digest(mail[3]) in keep.digests() or line['refused'] == 1, f'{line}')


@case
def mail_that_begins_like_a_reply_is_kept(folder):
    mail = [*MAIL[:3], b'+OK\r\n', b'-ERR no\r\n\r\nx\r\n', *MAIL[3:6]]
    keep, server, line = fetch_all_of(folder, mail)
    check_kept(keep, mail)
    equal(len(server.sessions), 1, 'sessions')


# 8: dot-stuffing done wrong

@case
def dots_are_undone_exactly(folder):
    mail = [b'.\r\n', b'..\r\n', b'.x\r\n\r\n.\r\n..\r\n...\r\n', b'\r\n.\r\n', b'a\r\n.\r\n.\r\nb\r\n',
            b'\r\n\r\n.', b'x' * 70000 + b'\r\n.' + b'y' * 70000 + b'\r\n']
    keep, server, line = fetch_all_of(folder, mail)
    ended = [m if m.endswith(b'\r\n') else m + b'\r\n' for m in mail]
    check_kept(keep, ended)


@case
def an_empty_message_is_kept(folder):
    class Empty(Session):
        def retr(self, number, message):
            self.ok()
            self.line('.')

    keep, server, line = fetch_all_of(folder, [b'\r\n'], Empty)
    equal(line['archived'], 1, 'archived')
    check_kept(keep, [b''])


@case
def a_bare_LF_before_a_dot_does_not_end_a_message(folder):
    mail = [b'a\n.\nb\r\n', b'a\n.\r\nb\r\n', b'a\r.\r\nb\r\n', b'a\r\n.\nb\r\n', b'a\r.\rb\r\n']
    keep, server, line = fetch_all_of(folder, mail)
    check_kept(keep, mail)


@case
def dots_that_a_server_does_not_double_cost_only_the_message_they_cut(folder):
    class Careless(Session):
        stuff_dots = False

    broken = b'Subject: cut\r\n\r\nbefore\r\n.\r\nafter the dot\r\n'
    mail = MAIL[:5] + [broken] + MAIL[5:]
    plain = [m for m in MAIL if b'\r\n.' not in m and not m.startswith(b'.')]
    check(len(plain) > 3, 'there is mail without dots')
    with Server(mail, Careless) as server:
        keep = scripted_account(folder, server)
        for _ in range(4):
            line = keep.fetch_account('anna', code=None)
            check_sums(line)
        equal(line['pending'], 0, f'pending in {line}')
        kept = set(keep.digests())
        check({client.digest(m) for m in plain} <= kept, 'mail without such dots is kept')
        check(client.digest(broken) not in kept, 'what was cut is not taken for whole')
        check(line['refused'] >= 1, f'it is refused: {line}')


class LineFeeds(Session):
    newline = b'\n'


@case
def a_server_that_ends_lines_with_LF_alone_is_understood(folder):
    keep, server, line = fetch_all_of(folder, MAIL, LineFeeds)
    equal(line['archived'], 12, 'archived')
    check_kept(keep, [m.replace(b'\r\n', b'\n') for m in MAIL])


# 9: lines without end

@case
def a_line_of_eight_megabytes_is_kept_as_it_is(folder):
    mail = [b'Subject: long\r\n\r\n' + b'x' * (8 << 20) + b'\r\n'] + MAIL
    keep, server, line = fetch_all_of(folder, mail)
    check_kept(keep, mail)


@case
def NUL_CR_and_8_bit_are_kept_as_they_are(folder):
    mail = [b'\0\r\n', b'\0' * 5000 + b'\r\n', b'a\rb\r\r\n', b'\r\r\r\n', bytes(range(128, 256)) + b'\r\n',
            b'\xff\xfe\0\r\n.\0\r\n']
    keep, server, line = fetch_all_of(folder, mail)
    check_kept(keep, mail)


def peak_memory_kb(process):
    """VmHWM while it runs."""
    try:
        text = pathlib.Path(f'/proc/{process.pid}/status').read_text()
    except OSError:
        return 0
    found = re.search(r'VmHWM:\s+(\d+) kB', text)
    return int(found[1]) if found else 0


class EndlessBody(Session):
    def retr(self, number, message):
        if message.uidl != b'endless':
            super().retr(number, message)
            return
        self.ok()
        self.endless(b'x' * 65536)


@case
def a_body_without_end_is_refused_as_too_large_and_the_others_come(folder):
    messages = [Message(m, b'endless') if n == 6 else Message(m) for n, m in enumerate(MAIL)]
    with Server(messages, EndlessBody) as server:
        keep = scripted_account(folder, server, max_message_size='4MiB')
        for _ in range(3):
            line = keep.fetch_account('anna', code=None)
            check_sums(line)
        equal((line['archived'], line['refused'], line['pending']), (11, 1, 0), 'sums')
        check(sum(s.sent for s in server.sessions) < 400 << 20, 'it did not listen for ever')


def ends_with_a_reason(folder, session, words, mail=MAIL, **options):
    """The account fails with one of words in its error, in bounded memory; another goes on."""
    with Server(mail, session) as bad, Server(MAIL) as good:
        keep = scripted_account(folder, bad, name='bad', timeout='3s', **options)
        keep.account('good', good.port)
        process = keep.start('--json', 'fetch')
        peak = 0

        def ended():
            nonlocal peak
            peak = max(peak, peak_memory_kb(process))
            return process.poll() is not None
        wait_until(ended, 90, 'end of the fetch')
        result = keep.finish(process)
        check(result.code not in (popkeep.DONE, popkeep.LOGIN), f'exit status\n{result}')
        check('bad' in result.err, f'the account is named\n{result}')
        check(any(w in result.err.lower() for w in words), f'one of {words} is named\n{result}')
        by_name = {line['account']: line for line in result.of_type('account')}
        equal(by_name['good']['archived'], 12, 'archived of the other account')
        check(peak < 400 << 10, f'memory stays bounded: {peak} kB')   # of a build with ASan
        return keep, bad, by_name['bad']


@case
def a_greeting_without_end_ends_the_session(folder):
    class Endless(Session):
        def greet(self):
            self.write(b'+OK ')
            self.endless()

    ends_with_a_reason(folder, Endless, ('line', 'long', 'greeting'))


@case
def a_status_line_without_end_ends_the_session(folder):
    class Endless(Session):
        def retr(self, number, message):
            self.write(b'+OK ')
            self.endless()

    ends_with_a_reason(folder, Endless, ('line', 'long'))


@case
def a_listing_line_without_end_ends_the_session(folder):
    class Endless(Session):
        def do_UIDL(self, argument):
            self.ok()
            self.write(b'1 ')
            self.endless()

    ends_with_a_reason(folder, Endless, ('line', 'long'))


@case
def a_listing_without_end_ends_the_session(folder):
    class Endless(Session):
        def do_UIDL(self, argument):
            self.ok()
            piece = b''.join(b'%d x\r\n' % n for n in range(1, 5000))
            self.endless(piece)

    ends_with_a_reason(folder, Endless, ('uidl', 'listing', 'number', 'twice'))


@case
def a_CAPA_without_end_ends_the_session(folder):
    class Endless(Session):
        def do_CAPA(self, argument):
            self.ok()
            self.endless(b'X-NONSENSE\r\n' * 1000)

    ends_with_a_reason(folder, Endless, ('capa', 'capabilit', 'lines', 'large'))


# 10: parsing that stops delivery

@case
def mail_that_breaks_parsers_is_kept_as_it_is(folder):
    nasty = [m if m.endswith(b'\r\n') else m + b'\r\n' for m in mailgen.nasty().values()]
    keep, server, line = fetch_all_of(folder, nasty)
    equal(line['archived'], len(nasty), 'archived')
    check_kept(keep, nasty)


@case
def mail_that_breaks_parsers_can_be_listed_and_shown(folder):
    keep, server, line = fetch_all_of(folder, list(mailgen.nasty().values()))
    listing = keep.run('search').out
    check(not re.search(rb'[\x00-\x08\x0b-\x1f\x7f]', listing), 'no control characters in a list')
    listing.decode('utf-8')
    for message in keep.messages():
        for option in ([], ['--headers']):
            shown = keep.run('show', message['id'], *option).out
            check(b'\x1b' not in shown, f'no escape sequences in {message}')


# 11: one message that cannot be retrieved

@case
def a_RETR_that_fails_is_refused_with_its_reason_and_the_others_come(folder):
    class Refusing(Session):
        def retr(self, number, message):
            if number == 5:
                self.err('disk \x1b[31merror')
            else:
                super().retr(number, message)

    with Server(MAIL, Refusing) as server:
        keep = scripted_account(folder, server)
        result = keep.fetch('anna', code=None)
        line = result.of_type('account')[0]
        equal((line['archived'], line['refused'], line['pending']), (11, 1, 0), 'sums')
        equal(keep.run('status', code=None).code, popkeep.PARTLY, 'exit status of status')
        check('\x1b' not in result.err, 'no escape sequence from the server')
        ledger = (keep.archive / 'ledger' / '000001.log').read_text()
        check('event=refuse' in ledger and 'retr-failed' in ledger, 'the ledger says so')
        line = keep.fetch_account('anna', code=None)
        equal(retrs(server, since=1), [], 'asked for again at once')
        equal(line['refused'], 1, 'refused')


@case
def a_server_in_trouble_is_left_alone_and_no_message_blocks_the_others(folder):
    class Troubled(Session):
        def retr(self, number, message):
            if 3 <= number <= 9:
                self.err('[SYS/TEMP] come back later')
            else:
                super().retr(number, message)

    with Server(MAIL, Troubled) as server:
        keep = scripted_account(folder, server)
        line = keep.fetch_account('anna', code=popkeep.PARTLY)
        check_sums(line)
        equal((line['archived'], line['refused']), (2, 3), 'sums of the first fetch')
        check(line['pending'] == 7 and 'come back later' in line['error'], f'{line}')
        for _ in range(3):
            line = keep.fetch_account('anna', code=None)
        equal((line['archived'], line['refused'], line['pending']), (5, 7, 0), 'sums')


@case
def a_message_larger_than_allowed_is_not_asked_for(folder):
    big = b'Subject: big\r\n\r\n' + b'x' * 2_000_000 + b'\r\n'
    with Server(MAIL + [big]) as server:
        keep = scripted_account(folder, server, max_message_size='1MiB')
        line = keep.fetch_account('anna', code=None)
        equal((line['archived'], line['refused']), (12, 1), 'sums')
        equal(keep.run('status', code=None).code, popkeep.PARTLY, 'exit status of status')
        check(13 not in retrs(server), 'it was not asked for')
        keep.account('anna', server.port, max_message_size='8MiB')
        keep.fetch_account('anna', code=None)


@case
def a_session_that_always_breaks_in_one_message_gives_the_others(folder):
    class Breaking(Session):
        def retr(self, number, message):
            if message.uidl == b'breaks':
                self.ok()
                self.write(message.data[:200])
                self.flush()
                raise scripted.Cut
            super().retr(number, message)

    messages = [Message(m, b'breaks') if n == 4 else Message(m) for n, m in enumerate(MAIL)]
    with Server(messages, Breaking) as server:
        keep = scripted_account(folder, server)
        for _ in range(6):
            line = keep.fetch_account('anna', code=None)
            check_sums(line)
        equal((line['archived'], line['refused'], line['pending']), (11, 1, 0), 'sums')
        ledger = (keep.archive / 'ledger' / '000001.log').read_text()
        check('truncated' in ledger, 'the ledger names the reason')


# 12: what the codes say

def ends_with(folder, reply, code):
    class Saying(Session):
        password_reply = reply

    with Server(MAIL, Saying) as server:
        keep = scripted_account(folder, server)
        result = keep.fetch('anna', code=None)
        equal(result.code, code, f'exit status after {reply}\n{result}')
        return server


@case
def IN_USE_is_no_login_failure(folder):
    ends_with(folder, b'-ERR [IN-USE] somebody has it', popkeep.PARTLY)


@case
def SYS_TEMP_is_no_login_failure(folder):
    ends_with(folder, b'-ERR [SYS/TEMP] come back', popkeep.PARTLY)


@case
def AUTH_is_a_login_failure_and_is_not_tried_again_and_again(folder):
    server = ends_with(folder, b'-ERR [AUTH] no', popkeep.LOGIN)
    check(len(server.sessions) == 1, f'{len(server.sessions)} sessions')


# 13: UIDL syntax

@case
def uidls_of_any_bytes_are_kept_track_of(folder):
    uidls = [b'spaces', b'x' * 70, b'y' * 71, b'z' * 1024, b'', bytes(range(0x80, 0x100)), b'\x01\x7f',
             b'a b c', b'%00%', b'"quotes"', b'-', b'1']
    messages = [Message(m, u) for m, u in zip(MAIL, uidls)]

    class Spaced(Session):
        def do_UIDL(self, argument):
            self.ok()
            self.lines([b'%d   %s' % (n, m.uidl) if n == 1 else b'%d %s' % (n, m.uidl)
                        for n, m in self.listed()])

    with Server(messages, Spaced) as server:
        keep = scripted_account(folder, server)
        line = keep.fetch_account('anna')
        equal((line['listed'], line['archived']), (12, 12), 'first fetch')
        line = keep.fetch_account('anna')
        equal((line['new'], line['archived']), (0, 12), 'second fetch')
        equal(retrs(server, since=1), [], 'asked for again')
        check_kept(keep, MAIL)


@case
def UIDL_and_LIST_are_never_asked_for_one_message(folder):
    keep, server, line = fetch_all_of(folder, MAIL)
    for command in server.commands():
        check(command in (b'UIDL', b'LIST')
              or not command.startswith((b'UIDL', b'LIST')), f'{command} was sent')


# 14: TOP

@case
def TOP_is_not_used_to_fetch(folder):
    class Truncating(Session):
        def do_TOP(self, argument):
            number = int(argument.split()[0])
            self.ok()
            self.body(self.messages[number - 1].data[:100])

    keep, server, line = fetch_all_of(folder, MAIL, Truncating)
    equal(sum(s.count('TOP') for s in server.sessions), 0, 'TOP commands')
    check_kept(keep, MAIL)


# 15: EXPIRE 0

@case
def all_is_durable_before_QUIT(folder):
    class Forgetful(Session):
        capa = Session.capa + (b'EXPIRE 0',)
        seen = None

        def do_QUIT(self, argument):
            type(self).seen = ''.join(
                p.read_text() for p in sorted((folder / 'archive' / 'ledger').glob('*.log')))
            super().do_QUIT(argument)

    keep, server, line = fetch_all_of(folder, MAIL, Forgetful)
    equal(server.sessions[0].ended, 'quit', 'end of the session')
    for message in MAIL:
        check(client.digest(message) in Forgetful.seen, 'the ledger had it when QUIT came')
    last = [l for l in Forgetful.seen.splitlines() if 'event=keep' in l or 'event=commit' in l][-1]
    check('event=commit' in last, 'and it was committed')


# 16: sessions are cut

@case
def a_server_that_cuts_every_session_is_fetched_in_several(folder):
    class Short(Session):
        cut_after_bytes = 5000

    with Server(MAIL, Short) as server:
        keep = scripted_account(folder, server)
        line = fetch_until(keep, limit=12)
        equal(line['archived'], 12, 'archived')
        check_kept(keep, MAIL)
        # A message is asked for again only when it did not come whole: one for each session.
        check(len(set(retrs(server))) == 12, 'all were asked for')


@case
def a_session_may_be_cut_at_any_byte(folder):
    mail = MAIL[:3] + [b'.dot\r\n\r\n.\r\n..\r\n']
    whole = 3000 + sum(map(len, mail))
    for cut in range(1, whole, max(1, whole // 30)):
        below = folder / str(cut)
        below.mkdir()

        class CutOnce(Session):
            def __init__(self, server, connection):
                super().__init__(server, connection)
                if not server.sessions:
                    self.cut_after_bytes = cut
                    self.reset = cut % 2 == 0

        with Server(mail, CutOnce) as server:
            keep = scripted_account(below, server)
            line = fetch_until(keep)
            equal(line['archived'], 4, f'archived after a cut at byte {cut}')
            check_kept(keep, mail)


@case
def a_session_may_be_cut_at_any_command(folder):
    for cut in range(1, 14):
        below = folder / str(cut)
        below.mkdir()

        class CutOnce(Session):
            def __init__(self, server, connection):
                super().__init__(server, connection)
                if not server.sessions:
                    self.cut_at_command = cut

        with Server(MAIL[:5], CutOnce) as server:
            keep = scripted_account(below, server)
            line = fetch_until(keep)
            equal(line['archived'], 5, f'archived after a cut at command {cut}')
            check_kept(keep, MAIL[:5])


class Stalling(Session):
    def retr(self, number, message):
        if message.uidl == b'stalls':
            self.ok()
            self.write(message.data[:100])
            self.stall()
        super().retr(number, message)


@case
def a_message_that_stalls_the_server_costs_no_other(folder):
    messages = [Message(m, b'stalls') if n == 6 else Message(m) for n, m in enumerate(MAIL)]
    with Server(messages, Stalling) as server:
        keep = scripted_account(folder, server, timeout='2s')
        for _ in range(3):
            line = keep.fetch_account('anna', code=None)
            check_sums(line)
            check(line['elapsed_ms'] < 30_000, f'it does not wait for ever: {line}')
        equal((line['archived'], line['refused'] + line['pending']), (11, 1), 'sums')


@case
def a_server_that_stalls_in_every_session_is_given_up_with_a_reason(folder):
    class Silent(Session):
        def do_UIDL(self, argument):
            self.stall()

    ends_with_a_reason(folder, Silent, ('stalled', 'no answer', 'timed out', 'silent'))


class Partial(Session):
    """Lists 250 at once of those that no session has fetched and left by QUIT, as Gmail does."""
    capa = (b'USER', b'RESP-CODES', b'EXPIRE 0', b'LOGIN-DELAY 300', b'TOP', b'UIDL')
    at_once = 250

    def run(self):
        self.fetched = set()
        gone = self.server.gone
        self.shown = [m for m in self.server.messages if m.uidl not in gone][:self.at_once]
        super().run()

    @property
    def messages(self):
        return self.shown

    def retr(self, number, message):
        super().retr(number, message)
        self.fetched.add(message.uidl)

    def do_QUIT(self, argument):
        self.server.gone |= self.fetched
        super().do_QUIT(argument)


def partial(messages, session=Partial):
    server = Server(messages, session)
    server.gone = set()
    return server


@case
def a_listing_of_a_part_is_drained_session_after_session(folder):
    mail = mailgen.mailbox('gmail', 700, size=300)
    with partial(mail) as server:
        keep = scripted_account(folder, server)
        line = keep.fetch_account('anna')
        equal(line['new'], len(mail), 'new in one fetch')
        check_kept(keep, mail)
        equal(len(server.sessions), 4, 'sessions: the last one finds nothing')
        # What comes later begins with a known maildrop whose mail is not listed any more.
        more = mailgen.mailbox('gmail later', 600, size=300)
        server.messages += [Message(m) for m in more]
        equal(keep.fetch_account('anna')['new'], len(more), 'new in the second fetch')
        check_kept(keep, mail + more)


@case
def a_server_that_always_lists_the_newest_is_not_asked_for_ever(folder):
    class Newest(Session):
        @property
        def messages(self):
            return self.server.messages[-250:]

    mail = mailgen.mailbox('newest', 400, size=300)
    with Server(mail, Newest) as server:
        keep = scripted_account(folder, server)
        equal(keep.fetch_account('anna')['new'], 250, 'new')
        equal(len(server.sessions), 1, 'sessions')


@case
def a_second_look_that_comes_too_soon_is_no_failure(folder):
    class Slow(Partial):
        def do_PASS(self, argument):
            if len(self.server.sessions) == 2:
                self.err('[LOGIN-DELAY] not yet')
            else:
                super().do_PASS(argument)

    mail = mailgen.mailbox('slow', 400, size=300)
    with partial(mail, Slow) as server:
        keep = scripted_account(folder, server)
        equal(keep.fetch_account('anna')['new'], 250, 'new')
        equal(len(server.sessions), 2, 'sessions')
        equal(keep.fetch_account('anna')['new'], 150, 'new in the next one')
        check_kept(keep, mail)


if __name__ == '__main__':
    main()
