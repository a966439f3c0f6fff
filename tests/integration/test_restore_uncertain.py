"""Restore to servers that tell little or lie: no UID of what was added, no literals without
waiting, an OK and no message. And going on after kill -9, again and again."""
import os
import random
import re
import signal
import time

import fixture
import mailgen
import scripted_imap
import tap
from popkeep import FAILED, PARTLY
from tap import case, check, equal
from test_restore import MAIL, Target, appended, sha

tap.CASES.clear()       # those of test_restore run there
FEW = MAIL[:12]
ROUNDS = int(os.environ.get('POPKEEP_KILLS', '8'))     # 200 by hand


class Silent(scripted_imap.Session):
    """Without UIDPLUS."""
    capabilities = b'IMAP4rev1 AUTH=PLAIN SASL-IR LITERAL+'

    def appended(self, tag, name):
        return tag + b' OK done'


class Bare(Silent):
    """And each literal has to wait."""
    capabilities = b'IMAP4rev1 AUTH=PLAIN'


class Small(Silent):
    capabilities = b'IMAP4rev1 AUTH=PLAIN SASL-IR LITERAL- UIDPLUS'

    def appended(self, tag, name):
        return scripted_imap.Session.appended(self, tag, name)


class Many(scripted_imap.Session):
    capabilities = b'IMAP4rev1 AUTH=PLAIN SASL-IR LITERAL+ UIDPLUS MULTIAPPEND'


class Bench:
    """An archive with mail, a scripted server, and the command that brings one to the other."""

    def __init__(self, folder, kind, mail=None):
        mail = mail or FEW
        (folder / 'from').mkdir()
        self.keep = fixture.fetched_archive(folder / 'from', mail)
        self.secret = folder / 'secret'
        self.secret.write_text('secret\n')
        self.secret.chmod(0o600)
        self.server = scripted_imap.Server(kind)

    def __enter__(self):
        self.server.__enter__()
        self.command = ['restore', '--to', f'imap://bob@127.0.0.1:{self.server.port}/INBOX',
                        '--tls', 'none', '--password-file', self.secret, '--connections', '1']
        return self

    def __exit__(self, *unused):
        self.server.__exit__()

    def restore(self, *more, **options):
        return self.keep.json(*self.command, *more, **options)

    def there(self):
        return sorted(map(sha, self.server.mailboxes[b'INBOX']))


def moves_nothing_twice(folder, kind):
    with Bench(folder, kind) as b:
        text = b.keep.run(*b.command)
        check(b'all 12 messages are at the target: 12 sent now' in text.out, text)
        again = b.keep.run(*b.command)
        check(b'all 12 messages are at the target: 0 sent now' in again.out, again)
        equal(b.there(), sorted(map(sha, FEW)), 'each once')
        journal = next(b.keep.archive.rglob('*.journal')).read_text()
        ends = [line.split() for line in journal.splitlines() if line.startswith('done')]
        equal(sorted({int(w[6]) for w in ends} - {0}), list(range(1, 13)), 'UIDs in the journal')


@case
def without_uidplus_a_second_run_moves_nothing(folder):
    moves_nothing_twice(folder, Silent)


@case
def where_each_literal_has_to_wait_a_second_run_moves_nothing(folder):
    moves_nothing_twice(folder, Bare)


@case
def with_small_literals_only_a_second_run_moves_nothing(folder):
    moves_nothing_twice(folder, Small)


@case
def with_multiappend_a_second_run_moves_nothing(folder):
    moves_nothing_twice(folder, Many)


def drop(kind):
    """Says OK, and drops one."""
    class Dropping(kind):
        dropped = 0

        def keep(self, name, data):
            if data == FEW[4]:
                type(self).dropped += 1
                self.server.mailboxes[name].append(None)
            else:
                super().keep(name, data)

        def do_UID(self, tag, rest):
            first = int(rest.split(b' ')[2].split(b':')[0])
            for n, data in enumerate(self.selected or [], 1):
                if data is not None and n >= first and (b':' in rest or n == first):
                    self.say(self.fetched(n, data, b'BODY.PEEK[]' in rest))
            self.say(tag + b' OK')
    return Dropping


def finds_what_was_dropped(folder, kind):
    kind = drop(kind)
    with Bench(folder, kind) as b:
        result = b.restore(code=PARTLY)
        equal((result.summary['at_target'], result.summary['missing']), (11, 1), 'summary')
        equal([f['digest'] for f in result.of_type('failed')], [sha(FEW[4])], 'named')
        check('does not list it' in result.of_type('failed')[0]['error'], result)
        again = b.restore(code=PARTLY)
        equal((again.summary['sent'], again.summary['at_target']), (1, 11), 'it is tried again')
        equal(kind.dropped, 2, 'how often it was sent')


@case
def a_message_that_the_server_drops_is_found_and_named(folder):
    finds_what_was_dropped(folder, scripted_imap.Session)


@case
def and_without_uidplus_too(folder):
    finds_what_was_dropped(folder, Silent)


@case
def line_ends_are_right_wherever_a_message_is_cut_into_pieces(folder):
    mail = [b'Subject: x\r\n\r\n' + b'a' * odd + end * 150_000 + b'end\r\n'
            for odd in (0, 1) for end in (b'\n', b'\r\n')]
    with Bench(folder, scripted_imap.Session, mail) as b:
        b.restore()
        equal(b.there(), sorted(sha(re.sub(rb'(?<!\r)\n', b'\r\n', m)) for m in mail), 'bytes')


@case
def a_mailbox_that_was_made_anew_between_two_runs_gets_all_again(folder):
    with Bench(folder, type('Renewed', (scripted_imap.Session,), {})) as b:
        b.restore()
        b.server.kind.uid_validity = 78
        b.server.mailboxes[b'INBOX'] = [b'Subject: %d\r\n\r\nother\r\n' % n for n in range(12)]
        summary = b.restore().summary
        equal((summary['sent'], summary['at_target']), (12, 12), 'second run')
        check(not set(map(sha, FEW)) - set(b.there()), 'all are there')


@case
def killed_before_an_answer_from_a_server_that_changes_line_ends_nothing_comes_twice(folder):
    running = []

    def changed(data):
        head, gap, body = data.partition(b'\r\n\r\n')
        return head + gap + body.replace(b'\r', b'')

    class Unix(scripted_imap.Session):
        def keep(self, name, data):
            super().keep(name, changed(data))
            if len(self.server.mailboxes[name]) == 5 and running:
                running.pop().kill()
                raise scripted_imap.Cut

    with Bench(folder, Unix) as b:
        running.append(b.keep.start(*b.command))
        running[0].communicate()
        equal(len(b.server.mailboxes[b'INBOX']), 5, 'when it was killed')
        summary = b.restore().summary
        equal((summary['sent'], summary['at_target']), (7, 12), 'the second run')
        equal(b.there(), sorted(sha(changed(m)) for m in FEW), 'each once')


def killed(folder, kind, number, rounds=ROUNDS):
    """Kills it at random points. A server that is far behind makes them fall between its steps."""
    mail = [m for m in mailgen.mailbox('kills', number) if b'\0' not in m]

    class Slow(kind):
        def on_append(self, tag, name, data):
            time.sleep(0.0005)
            super().on_append(tag, name, data)

    rng = random.Random(7)
    with Bench(folder, Slow, mail) as b:
        for _ in range(rounds):
            process = b.keep.start(*b.command)
            time.sleep(0.02 + rng.random() * 0.12)
            process.kill()
            process.communicate()
        before = len(b.server.mailboxes[b'INBOX'])
        equal(b.restore().summary['at_target'], len(mail), 'at the target')
        equal(b.there(), sorted(map(sha, mail)), f'each once, {before} when it was killed last')
        equal(b.restore().summary['sent'], 0, 'nothing is left')


@case
def killed_again_and_again_without_uidplus_it_brings_each_message_once(folder):
    killed(folder, Silent, 300)


@case
def killed_again_and_again_with_uidplus_it_brings_each_message_once(folder):
    killed(folder, scripted_imap.Session, 300)


if __name__ == '__main__':
    tap.main()
