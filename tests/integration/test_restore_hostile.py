"""Restore into IMAP servers that lie: whatever they say, popkeep ends, and says that all is at the
target only when the target has listed it."""
import re

import fixture
import mailgen
import popkeep
import tap
from popkeep import PARTLY
from scripted_imap import Server, Session
from tap import case, check, equal

MAIL = [m for m in mailgen.mailbox('hostile restore', 8) if b'\0' not in m][:6]


class Target:
    def __init__(self, folder, kind, mail=MAIL):
        self.keep = fixture.fetched_archive(folder, mail)
        self.folder, self.server = folder, Server(kind)
        self.secret = folder / 'bob.password'
        self.secret.write_text('secret\n')
        self.secret.chmod(0o600)

    def __enter__(self):
        self.server.__enter__()
        return self

    def __exit__(self, *unused):
        self.server.__exit__()

    def restore(self, *more, code=PARTLY, timeout=60):
        return self.keep.run('restore', '--to', f'imap://bob@localhost:{self.server.port}/INBOX',
                             '--tls', 'none', '--password-file', self.secret,
                             *more, code=code, timeout=timeout)


def says_all(result):
    return re.search(rb'^all \d+ messages? (is|are) at the target', result.out, re.M)


@case
def a_message_that_is_refused_before_it_was_sent_ends_the_wait_for_it(folder):
    class Refuses(Session):
        capabilities = b'IMAP4rev1 AUTH=PLAIN SASL-IR UIDPLUS'

        def before_literal(self, tag, size):
            self.say(tag + b' NO not this one')
            return False

    with Target(folder, Refuses) as t:
        result = t.restore()
        check('not this one' in result.err and not says_all(result), result)


@case
def one_uid_for_all_messages_stands_for_one_of_them(folder):
    class One(Session):
        def keep(self, name, data):
            self.server.mailboxes[name][:] = [data]

        def appended(self, tag, name):
            return tag + b' OK [APPENDUID 77 1] done'

    with Target(folder, One) as t:
        result = t.restore()
        check(not says_all(result), result)
        check(f'1 of {len(MAIL)} messages'.encode() in result.out, result)


@case
def nothing_is_claimed_when_the_last_look_is_not_possible(folder):
    class Shy(Session):
        def do_SELECT(self, tag, rest):
            if self.server.mailboxes[b'INBOX']:
                self.say(tag + b' NO not now')
            else:
                super().do_SELECT(tag, rest)

    with Target(folder, Shy) as t:
        result = t.restore()
        check(not says_all(result), result)


@case
def a_mailbox_that_was_made_anew_meanwhile_is_noticed(folder):
    class Anew(Session):
        def on_append(self, tag, name, data):
            super().on_append(tag, name, data)
            if len(self.server.mailboxes[name]) == 12:
                type(self).uid_validity = 78
                self.server.mailboxes[name][:6] = [b'x\r\n'] * 6

        on_batch = None
        capabilities = b'IMAP4rev1 AUTH=PLAIN SASL-IR LITERAL+ UIDPLUS'

    with Target(folder, Anew, mail=MAIL + [m + b'more\r\n' for m in MAIL]) as t:
        result = t.restore()
        check(not says_all(result), result)


@case
def a_listing_in_any_order_finds_what_is_there(folder):
    class Backwards(Session):
        def do_UID(self, tag, rest):
            whole = b'BODY.PEEK[]' in rest
            first, last = (rest.split(b' ')[2].split(b':') * 2)[:2]
            found = [(n, data) for n, data in enumerate(self.selected or [], 1)
                     if n >= int(first) and (last == b'*' or n <= int(last))]
            for n, data in reversed(found):
                self.say(self.fetched(n, data, whole))
            self.say(tag + b' OK')

    with Target(folder, Backwards, mail=MAIL[:1]) as t:
        other = bytes(reversed(MAIL[0][-40:-4]))
        same = MAIL[0][:-40] + other + MAIL[0][-4:]
        t.server.mailboxes[b'INBOX'][:] = [MAIL[0], same]
        result = t.restore(code=0)
        check(says_all(result), result)
        equal(len(t.server.mailboxes[b'INBOX']), 2, 'messages')


if __name__ == '__main__':
    tap.main()
