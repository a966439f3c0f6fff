"""IMAP servers that misbehave, against imap_put (daemon/imap_session.h)."""
import hashlib
import re
import time

from imap_putting import files, mail, of, put
from scripted_imap import Cut, Server, Session
from tap import case, main

CLEAR = ['-n', '-t', '1500']


def url(server, folder=''):
    return f'imap://anna@127.0.0.1:{server.port}{folder}'


def verdicts(lines):
    return [line.split()[2] for line in of(lines, 'append')]


def fault(lines):
    assert lines[-2].startswith('fault '), lines[-3:]
    return lines[-2].partition(' | ')[2]


def refused(folder, kind, mails=3, **more):
    """The lines of a session that must fail, and the server that it was with."""
    with Server(kind) as server:
        lines = put(url(server), *files(folder, [mail(n) for n in range(mails)]), options=CLEAR,
                    check=False, **more)
    return lines, server


@case
def a_good_one_takes_everything_with_and_without_literal_plus(folder):
    class Asks(Session):
        capabilities = b'IMAP4rev1 AUTH=PLAIN'

    class Short(Session):
        capabilities = b'IMAP4rev1 LITERAL-'

    mails = [mail(n, 100 + 900 * n) for n in range(12)]
    for kind in (Session, Asks, Short):
        with Server(kind) as server:
            lines = put(url(server, '/New'), *files(folder, mails), options=CLEAR + ['-b'])
            assert server.mailboxes[b'New'] == mails, kind
            assert lines[-1] == 'end 12 of 12', lines[-3:]
            assert [line.split()[3] for line in of(lines, 'body')] == \
                [hashlib.sha256(m).hexdigest() for m in mails]


@case
def one_message_that_is_refused_leaves_the_others(folder):
    class Picky(Session):
        def on_append(self, tag, name, data):
            if b'<1@' in data:
                self.say(tag + b' NO I do not like it')
            elif b'<2@' in data:
                self.say(tag + b' BAD neither that')
            else:
                super().on_append(tag, name, data)

    with Server(Picky) as server:
        lines = put(url(server), *files(folder, [mail(n) for n in range(4)]), options=CLEAR)
        assert verdicts(lines) == ['done', 'refused', 'refused', 'done']
        assert len(server.mailboxes[b'INBOX']) == 2


@case
def a_refusal_instead_of_go_ahead_sends_no_byte_of_the_message(folder):
    class Asks(Session):
        capabilities = b'IMAP4rev1 AUTH=PLAIN'

        def before_literal(self, tag, size):
            if self.appends % 2:
                self.say(tag + b' NO [OVERQUOTA] full')
                return False
            return super().before_literal(tag, size)

    hostile = b'X1 DELETE INBOX\r\n' * 50
    with Server(Asks) as server:
        lines = put(url(server), *files(folder, [hostile] * 4), options=CLEAR)
        assert verdicts(lines) == ['full', 'done'] * 2
        assert not [c for c in server.sessions[0].commands if b'DELETE' in c]


@case
def a_refusal_in_the_middle_of_a_literal_is_fed_to_its_end(folder):
    class Early(Session):
        def do_APPEND(self, tag, rest):
            if self.appends == 0:
                self.say(tag + b' NO [TOOBIG] too much')
                tag = None
            self.tagged = tag
            super().do_APPEND(tag, rest)

        def on_append(self, tag, name, data):
            if tag:
                super().on_append(tag, name, data)

    with Server(Early) as server:
        lines = put(url(server), *files(folder, [mail(0, 5_000_000), mail(1), mail(2)]),
                    options=CLEAR)
        assert verdicts(lines) == ['too-big', 'done', 'done']
        assert len(server.mailboxes[b'INBOX']) == 2


@case
def a_batch_arrives_whole_or_one_by_one(folder):
    class Batches(Session):
        capabilities = b'IMAP4rev1 LITERAL+ MULTIAPPEND UIDPLUS'

    class Picky(Batches):
        def on_batch(self, tag, name, batch):
            if [data for data in batch if b'<70@' in data]:
                self.say(tag + b' NO I do not like one of them')
            else:
                super().on_batch(tag, name, batch)

        def on_append(self, tag, name, data):
            if b'<70@' in data:
                self.say(tag + b' NO I do not like it')
            else:
                super().on_append(tag, name, data)

    class None_(Batches):
        def on_batch(self, tag, name, batch):
            self.say(tag + b' BAD what is that')

    mails = [mail(n) for n in range(100)]
    for kind, refusals in ((Batches, 0), (Picky, 1), (None_, 0)):
        with Server(kind) as server:
            lines = put(url(server), *files(folder, mails), options=CLEAR)
            assert sorted(verdicts(lines)) == ['done'] * (100 - refusals) + ['refused'] * refusals
            assert sorted(server.mailboxes[b'INBOX']) == sorted(
                m for n, m in enumerate(mails) if not (refusals and n == 70))
            uids = {line.split()[1]: int(line.split()[4]) for line in of(lines, 'append')}
            for n, uid in uids.items():
                assert uid == 0 or server.mailboxes[b'INBOX'][uid - 1] == mails[int(n)]


@case
def a_batch_cut_in_the_middle_leaves_all_of_it_in_doubt(folder):
    class Cuts(Session):
        capabilities = b'IMAP4rev1 LITERAL+ MULTIAPPEND UIDPLUS'
        cut_at_append = 70

    lines, server = refused(folder, Cuts, 100)
    assert lines[-1] == 'end 64 of 100' and len(server.mailboxes[b'INBOX']) == 64, lines[-2:]


@case
def a_mailbox_that_goes_is_told(folder):
    class Vanishes(Session):
        def on_append(self, tag, name, data):
            self.server.mailboxes.pop(name, None)
            super().on_append(tag, name, data)

    with Server(Vanishes) as server:
        lines = put(url(server), *files(folder, [mail(1), mail(2)]), options=CLEAR)
        assert verdicts(lines) == ['no-mailbox'] * 2


@case
def a_connection_cut_in_the_middle_counts_what_was_answered(folder):
    class Cuts(Session):
        cut_at_append = 3

    lines, server = refused(folder, Cuts, 5)
    assert verdicts(lines) == ['done'] * 2 and lines[-1] == 'end 2 of 5', lines
    assert len(server.mailboxes[b'INBOX']) == 2


@case
def bye_in_the_middle_says_why(folder):
    class Leaves(Session):
        def on_append(self, tag, name, data):
            if self.appends == 2:
                self.say(b'* BYE [UNAVAILABLE] back in a minute')
                raise Cut
            super().on_append(tag, name, data)

    lines, _ = refused(folder, Leaves)
    assert 'back in a minute' in fault(lines) and lines[-1] == 'end 1 of 3', lines


@case
def throttling_is_told_from_refusal(folder):
    answers = [b'BAD Request is throttled. Suggested Backoff Time: 92415 milliseconds',
               b'NO [THROTTLED] later', b'NO [LIMIT] APPEND Rate limit hit.',
               b'NO [UNAVAILABLE] try later', b'NO [INUSE] locked']

    class Slow(Session):
        def on_append(self, tag, name, data):
            self.say(tag + b' ' + answers[self.appends - 1])

    with Server(Slow) as server:
        lines = put(url(server), *files(folder, [mail(n) for n in range(5)]), options=CLEAR)
        assert verdicts(lines) == ['later'] * 5


@case
def answers_that_cannot_be_end_the_session(folder):
    def saying(*lines):
        class Lies(Session):
            def on_append(self, tag, name, data):
                self.say(*(line.replace(b'TAG', tag) for line in lines))
        return Lies

    for kind, word in ((saying(b'TAG OK', b'TAG OK'), 'answer to nothing'),
                       (saying(b'zzz OK'), 'answer to nothing'),
                       (saying(b'+ more'), 'not announced'),
                       (saying(b'* BAD what'), 'BAD what'),
                       (saying(b'* 1 FETCH (BODY[] {99999999999}'), 'literal larger'),
                       (saying(b'x' * 70000), 'does not end'),
                       (saying(*[b'* 1 EXISTS'] * 20000), 'belong to no command')):
        lines, _ = refused(folder, kind, 2)
        assert word in fault(lines), (word, lines[-3:])


@case
def ok_before_the_message_was_sent_is_not_believed(folder):
    class Eager(Session):
        capabilities = b'IMAP4rev1 AUTH=PLAIN'

        def before_literal(self, tag, size):
            self.say(tag + b' OK done')
            return False

    lines, _ = refused(folder, Eager)
    assert 'does not have yet' in fault(lines) and lines[-1] == 'end 0 of 3', lines[-3:]


@case
def a_server_that_never_answers_is_left(folder):
    class Stalls(Session):
        def on_append(self, tag, name, data):
            self.stall()

    class Drips(Session):
        def on_append(self, tag, name, data):
            for _ in range(100):
                self.send(b'* ')
                time.sleep(0.2)

    for kind in (Stalls, Drips):
        began = time.monotonic()
        lines, _ = refused(folder, kind)
        assert 'stalled' in fault(lines), lines[-3:]
        assert time.monotonic() - began < 6


@case
def an_endless_line_costs_no_memory(folder):
    class Endless(Session):
        def on_append(self, tag, name, data):
            while True:
                self.send(b'z' * 65536)

    class Giant(Session):
        def do_LIST(self, tag, rest):
            self.say(b'* LIST () "/" {900000000}')
            while True:
                self.send(b'z' * 65536)

    lines, _ = refused(folder, Endless)
    assert 'does not end' in fault(lines), lines[-3:]
    lines, _ = refused(folder, Giant)
    assert lines[-2].startswith('fault '), lines[-3:]


@case
def odd_delimiters_and_names_do_no_harm(folder):
    for said, name in ((b'NIL', b'a.b'), (b'"."', b'a.b'), (b'"\\\\"', b'a\\\\b')):
        class Odd(Session):
            delimiter = said

        with Server(Odd) as server:
            put(url(server, '/a/b'), *files(folder, [mail(1)]), options=CLEAR)
            assert list(server.mailboxes) == [b'INBOX', name], server.mailboxes


@case
def lies_about_uids_are_not_followed(folder):
    class Liar(Session):
        def appended(self, tag, name):
            return tag + b' OK [APPENDUID 99999999999 4294967299] done'

    with Server(Liar) as server:
        lines = put(url(server), *files(folder, [mail(1)]), options=CLEAR)
        assert of(lines, 'append')[0].startswith('append 0 done 0 0 '), lines


@case
def logins_that_are_refused_say_what_to_do(folder):
    for reply, code, words in (
            (b'NO [AUTHENTICATIONFAILED] no', '10 2', 'check user and password'),
            (b'NO [UNAVAILABLE] database down', '12 1', 'for now'),
            (b'NO [INUSE] locked', '12 3', 'for now'),
            (b'NO [LIMIT] too many logins', '12 4', 'for now'),
            (b'NO geheim is wrong', '10 2', '****** is wrong')):
        class Refuses(Session):
            login_reply = reply

        lines, _ = refused(folder, Refuses)
        assert lines[-2].startswith(f'fault {code} ') and words in lines[-2], lines


@case
def the_login_command_is_the_last_resort_and_not_where_it_is_disabled(folder):
    class Plain(Session):
        capabilities = b'IMAP4rev1 LITERAL+'

    class Disabled(Session):
        capabilities = b'IMAP4rev1 LOGINDISABLED'

    with Server(Plain) as server:
        lines = put(url(server), options=CLEAR, password='a"b\\c')
        assert lines[0].startswith('up USER '), lines
        assert [c for c in server.sessions[0].commands if b'"anna" "a\\"b\\\\c"' in c]
    lines, server = refused(folder, Disabled)
    assert lines[-2].startswith('fault 10 ') and 'offers nothing' in lines[-2], lines
    assert not [c for c in server.sessions[0].commands if b'geheim' in c]


@case
def passwords_beyond_ascii_go_to_the_login_command_as_literals(folder):
    class Asks(Session):
        capabilities = b'IMAP4rev1'

    class Takes(Session):
        capabilities = b'IMAP4rev1 LITERAL+'

    for kind, size in ((Asks, b'{7}'), (Takes, b'{7+}')):
        with Server(kind) as server:
            lines = put(url(server), options=CLEAR, password='gehé"m')
            session = server.sessions[0]
            assert lines[0].startswith('up USER '), lines
            assert session.login == b'LOGIN "anna" ' + 'gehé"m'.encode(), session.login
            assert session.commands[1].endswith(b' ' + size), session.commands


@case
def where_id_is_wanted_it_is_told_once_and_before_a_mailbox_is_opened(folder):
    class Wary(Session):
        capabilities_after_login = Session.capabilities + b' ID'
        known = None

        def do_ID(self, tag, rest):
            assert self.known is None, rest
            self.known = rest
            self.say(b'* ID ("name" {2}', b'x) NIL "version" "1")', tag + b' OK')

        def select(self, tag, name):
            if self.known is None:
                self.say(tag + b' NO Unsafe Login. Please contact kefu')
            else:
                super().select(tag, name)

    with Server(Wary) as server:
        put(url(server), *files(folder, [mail(1)]), options=CLEAR + ['-b'])
        known = server.sessions[0].known
        assert re.fullmatch(rb'ID \("name" "popkeep" "version" "[0-9.]+"\)', known), known
    with Server(Session) as server:
        put(url(server), *files(folder, [mail(1)]), options=CLEAR)
        assert not [c for c in server.sessions[0].commands if b' ID' in c]


@case
def a_login_that_nobody_asked_for_is_refused_in_clear(folder):
    class Open(Session):
        greeting = b'* PREAUTH welcome'

    class Closed(Session):
        greeting = b'* BYE [UNAVAILABLE] full house'

    class Other(Session):
        greeting = b'+OK POP3 here'

    lines, _ = refused(folder, Open)
    assert 'PREAUTH' in fault(lines), lines
    with Server(Open) as server:
        lines = put(url(server), check=False, options=['-t', '1500'])
        assert 'PREAUTH' in fault(lines) and 'STARTTLS' in fault(lines), lines
        assert not [c for c in server.sessions[0].commands if b'geheim' in c]
    lines, _ = refused(folder, Closed)
    assert 'full house' in fault(lines), lines
    lines, _ = refused(folder, Other)
    assert 'no IMAP server' in fault(lines), lines


@case
def starttls_that_is_missing_or_injected_is_refused(folder):
    class Injects(Session):
        capabilities = b'IMAP4rev1 STARTTLS AUTH=PLAIN'

        def do_STARTTLS(self, tag, rest):
            self.say(tag + b' OK go', b'* CAPABILITY IMAP4rev1 AUTH=PLAIN')

    for kind, word in ((Session, 'offers no STARTTLS'), (Injects, 'in clear')):
        with Server(kind) as server:
            lines = put(url(server), check=False)
            assert word in fault(lines), lines
            assert not [c for c in server.sessions[0].commands if b'AUTH' in c]


if __name__ == '__main__':
    main()
