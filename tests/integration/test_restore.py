"""Restore into a real Dovecot, and into a Maildir: dates, folders and flags, what is there already,
what cannot be brought, and going on after whatever ended it."""
import hashlib
import mailbox
import pathlib
import random
import re
import shutil
import signal
import socket
import subprocess
import threading
import time

import dovecot
import fixture
import imap_client
import mailgen
import popkeep
import scripted_imap
import tap
from popkeep import DAMAGED, FAILED, LOGIN, NOTHING, PARTLY, UNREACHABLE, USAGE
from tap import case, check, equal

MAIL = [m for m in mailgen.mailbox('restore', 60) if b'\0' not in m]


class Target:
    """An archive with mail, and a Dovecot with IMAP to bring it to."""

    def __init__(self, folder, mail=MAIL, **options):
        (folder / 'from').mkdir()
        self.keep = fixture.fetched_archive(folder / 'from', mail) if mail else None
        self.server = fixture.a_dovecot(folder / 'to', {'bob': []}, imap=True, **options)
        self.secret = folder / 'bob.password'
        self.secret.write_text('secret\n')
        self.secret.chmod(0o600)

    def __enter__(self):
        self.server.start()
        return self

    def __exit__(self, *unused):
        self.server.stop()

    def url(self, folder='', tls=True):
        name = f'/{folder}' if folder else ''
        return f'imaps://bob@localhost:{self.server.imaps}{name}' if tls else \
            f'imap://bob@localhost:{self.server.imap}{name}'

    def arguments(self, *more, folder='Restored', tls=True):
        return ['restore', '--to', self.url(folder, tls), '--password-file', self.secret,
                '--tls-ca-file', self.server.ca, *more]

    def restore(self, *more, folder='Restored', tls=True, **options):
        return self.keep.json(*self.arguments(*more, folder=folder, tls=tls), **options)

    def client(self):
        return imap_client.Client(self.server.imap, 'bob', 'secret')

    def digests(self, folder='Restored'):
        with self.client() as c:
            return c.digests(folder)


def sha(mail):
    return hashlib.sha256(mail).hexdigest()


def appended(mail):
    return sorted(sha(dovecot.as_appended(m)) for m in mail)


@case
def a_missing_folder_is_made_and_a_second_run_moves_nothing(folder):
    with Target(folder) as t:
        first = t.restore().summary
        equal((first['sent'], first['at_target'], first['present']), (60, 60, 0), 'first run')
        with t.client() as c:
            found = c.fetch('Restored')
        equal(sorted(sha(m.data) for m in found), appended(MAIL), 'what is there')
        check(all(r'\Seen' in m.flags for m in found), 'flags')
        again = t.restore().summary
        equal((again['sent'], again['at_target'], again['present']), (0, 60, 60), 'second run')
        equal(len(t.digests()), 60, 'messages after it')
        text = t.keep.run(*t.arguments())
        check(b'all 60 messages are at the target' in text.out, text)

@case
def starttls_and_implicit_tls_both_work_and_are_required(folder):
    with Target(folder) as t:
        equal(t.restore(folder='One', tls=False).summary['sent'], 60, 'by STARTTLS')
        equal(t.restore(folder='Two', tls=True).summary['sent'], 60, 'by implicit TLS')
        t.keep.run('restore', '--to', t.url('Three'), '--password-file', t.secret,
                   code=UNREACHABLE)   # a certificate that nobody trusts
        with t.client() as c:
            check('Three' not in c.folders(), 'nothing was made')


@case
def a_wrong_password_is_said_and_nothing_is_begun(folder):
    with Target(folder) as t:
        t.secret.write_text('wrong\n')
        result = t.keep.run(*t.arguments(), code=LOGIN)
        check('wrong' not in result.err, result)


@case
def before_anybody_looked_nothing_is_said_of_the_target(folder):
    with Target(folder) as t:
        t.restore()
        log = t.keep.run('log').out
        check(b'restored everything to imaps://' in log, log)
        t.secret.write_text('wrong\n')
        for dry in ([], ['--dry-run']):
            result = t.keep.run(*t.arguments(*dry), code=LOGIN)
            equal(result.out, b'', 'said on stdout')
            told = t.restore(*dry, code=LOGIN)
            equal(told.of_type('folder'), [], 'folders')
            equal((told.summary['wanted'], told.summary['status']), (60, LOGIN), 'summary')
            check(not {'present', 'at_target', 'missing'} & told.summary.keys(), told.summary)


@case
def what_cannot_be_understood_is_a_usage_error(folder):
    with Target(folder) as t:
        for more in (['--folder', '{nothing}'], ['--folder', 'a}b'], ['--flags', 'some'],
                     ['--connections', '0'], ['--connections', '1000'], ['--tls', 'none']):
            t.keep.run(*t.arguments(*more), code=USAGE)
        t.keep.run('restore', code=USAGE)
        t.keep.run('restore', '--to', 'ftp://x@y/', code=USAGE)
        t.keep.run('restore', '--to', f'maildir:{folder}/x', '--user', 'x', code=USAGE)
        t.keep.run(*t.arguments('id:0000000000'), code=NOTHING)


@case
def a_dry_run_looks_and_changes_nothing(folder):
    with Target(folder) as t:
        with t.client() as c:
            c.create('Restored')
            c.append('Restored', MAIL[0])
        result = t.restore('--dry-run')
        equal((result.summary['wanted'], result.summary['sent']), (60, 0), 'counts')
        check(result.summary['estimate_ms'] > 0, result)
        new = t.restore('--dry-run', folder='New').of_type('folder')
        equal([(f['folder'], f['made'], f['messages']) for f in new], [('New', True, 60)], 'new')
        with t.client() as c:
            equal((c.count('Restored'), 'New' in c.folders()), (1, False), 'the target')


@case
def mail_that_is_there_already_is_known_by_its_bytes_and_not_by_its_message_id(folder):
    with Target(folder) as t:
        other = re.sub(rb'\r\n\r\n', b'\r\nX-Other: yes\r\n\r\n', MAIL[3], count=1)
        with t.client() as c:
            c.create('Restored')
            for m in MAIL[5:15] + [other]:
                c.append('Restored', m)
        summary = t.restore().summary
        equal(summary['at_target'], 60, 'at the target')
        equal(t.digests(), sorted(appended(MAIL) + appended([other])), 'each once, and the other')


@case
def a_message_with_bare_lf_is_sent_with_crlf_and_one_with_nul_is_named(folder):
    bare = b'Subject: bare\n\none\ntwo\r\nthree\r\n'
    null = b'Subject: nul\r\n\r\na\0b\r\n'
    with Target(folder, mail=[bare, null, MAIL[0]]) as t:
        result = t.restore(code=PARTLY)
        equal((result.summary['crlf'], result.summary['refused']), (1, 1), 'counts')
        failed = result.of_type('failed')
        equal([f['digest'] for f in failed], [sha(null)], 'which')
        check('NUL' in failed[0]['error'], failed)
        equal(t.digests(), appended([bare, MAIL[0]]), 'what is there')
        equal(t.restore(code=PARTLY).summary['sent'], 0, 'the second run')


@case
def a_quota_ends_it_with_the_numbers_and_it_goes_on_when_there_is_room(folder):
    with Target(folder, quota='messages=20') as t:
        result = t.restore(code=PARTLY)
        check('quota' in result.err.lower(), result)
        summary = result.summary
        equal((summary['sent'], summary['at_target']), (20, 20), 'as many as fit')
        equal(len(t.digests()), 20, 'what is there')
        again = t.restore(code=PARTLY).summary
        equal((again['sent'], again['at_target']), (0, 20), 'while it is full')
        t.server.set_quota('messages=200')
        summary = t.restore().summary
        equal((summary['sent'], summary['at_target']), (40, 60), 'when there is room')
        equal(t.digests(), appended(MAIL), 'each once')


@case
def a_folder_that_refuses_mail_is_said_and_the_rest_goes_on(folder):
    with Target(folder, acl={'Frozen': 'lrs'}) as t:
        t.server.make_maildir('bob/.Frozen')
        t.server.own(t.server.base / 'mail')
        result = t.restore(folder='Frozen', code=PARTLY)
        summary = result.summary
        equal((summary['wanted'], summary['sent'], summary['refused']), (60, 0, 60), 'counts')
        equal(len(result.of_type('failed')), 60, 'named')
        check(all('ermission' in f['error'] or 'read-only' in f['error']
                  for f in result.of_type('failed')), result.of_type('failed')[0])
        equal(t.digests('Frozen'), [], 'what is there')


@case
def folders_follow_the_template_and_dates_the_messages(folder):
    def one(n, received, date):
        head = f'Received: from x by y; {received}\r\n' if received else ''
        head += f'Date: {date}\r\n' if date else ''
        return f'{head}Subject: {n}\r\n\r\ntext\r\n'.encode()
    mail = [one(0, 'Mon, 05 Feb 2024 10:00:00 +0000', 'Sun, 04 Feb 2024 10:00:00 +0000'),
            one(1, '', 'Tue, 11 Mar 2003 10:00:00 +0100'),
            one(2, 'Mon, 05 Feb 2094 10:00:00 +0000', 'Tue, 11 Mar 2003 11:00:00 +0100'),
            one(3, '', 'Thu, 01 Jan 1970 00:00:00 +0000')]
    with Target(folder, mail=mail) as t:
        t.keep.run('index')
        t.restore('--folder', '{account}/{year}/{month}', folder='Old')
        found = {}
        with t.client() as c:
            for name, flags in c.folders().items():
                for m in [] if r'\Noselect' in flags else c.fetch(name):
                    found[int(re.search(rb'Subject: (\d)', m.data)[1])] = (name, m.when)
        year = time.gmtime().tm_year
        month = time.gmtime().tm_mon
        equal(found[0], ('Old.anna.2024.02', 1707127200), 'Received')
        equal(found[1], ('Old.anna.2003.03', 1047373200), 'Date')
        equal(found[2], ('Old.anna.2003.03', 1047376800), 'Date, as Received is in the future')
        equal(found[3][0], f'Old.anna.{year}.{month:02}', 'when it was archived')


@case
def killed_again_and_again_it_brings_each_message_once(folder):
    mail = [m for m in mailgen.mailbox('kill', 700) if b'\0' not in m]
    with Target(folder, mail=mail) as t:
        rng = random.Random(5)
        for i in range(6):
            process = t.keep.start(*t.arguments())
            time.sleep(0.03 + rng.random() * 0.25)
            process.send_signal(signal.SIGKILL)
            process.communicate()
        summary = t.restore().summary
        equal(summary['at_target'], len(mail), 'at the target')
        equal(t.digests(), appended(mail), 'each once')
        equal(t.restore().summary['sent'], 0, 'nothing is left')


class Cutter:
    """A proxy that cuts connections after so many bytes from the client."""

    def __init__(self, port, cuts):
        self.port_behind, self.cuts, self.made = port, list(cuts), 0
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self.made += 1
            budget = self.cuts.pop(0) if self.cuts else None
            server = socket.create_connection(('127.0.0.1', self.port_behind))
            threading.Thread(target=self.pump, args=(client, server, budget), daemon=True).start()
            threading.Thread(target=self.pump, args=(server, client, None), daemon=True).start()

    @staticmethod
    def pump(source, to, budget):
        try:
            while data := source.recv(65536):
                if budget is not None and len(data) >= budget:
                    to.sendall(data[:budget])
                    break
                budget = None if budget is None else budget - len(data)
                to.sendall(data)
        except OSError:
            pass
        for s in (source, to):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        self.listener.close()


@case
def a_connection_that_is_cut_in_the_middle_is_made_again(folder):
    with Target(folder) as t:
        cutter = Cutter(t.server.imap, [30000, 60000, 45000, 20000])
        try:
            url = f'imap://bob@localhost:{cutter.port}/Restored'
            result = t.keep.json('restore', '--to', url, '--password-file', t.secret,
                                 '--tls', 'none', '--connections', '2')
        finally:
            cutter.close()
        equal(result.summary['at_target'], 60, 'at the target')
        check(cutter.made >= 4, 'connections')
        equal(t.digests(), appended(MAIL), 'each once')


@case
def ctrl_c_leaves_what_the_same_command_goes_on_from(folder):
    mail = [m for m in mailgen.mailbox('stop', 600) if b'\0' not in m]
    with Target(folder, mail=mail) as t:
        process = t.keep.start(*t.arguments())
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and process.poll() is None:
            with t.client() as c:
                if 'Restored' in c.folders() and c.count('Restored') > 50:
                    break
        process.send_signal(signal.SIGINT)
        result = t.keep.finish(process)
        check(result.code in (FAILED, 0), result)
        if result.code == FAILED:
            check('the same command goes on from here' in result.err, result)
            check(re.search(rb'\d+ of 600 messages are at the target', result.out), result)
        equal(t.restore().summary['at_target'], len(mail), 'at the target')
        equal(t.digests(), appended(mail), 'each once')


@case
def what_was_deleted_there_comes_back(folder):
    with Target(folder) as t:
        t.restore()
        with t.client() as c:
            c.said(c.imap.select('Restored'))
            c.said(c.imap.store('1:10', '+FLAGS', r'(\Deleted)'))
            c.said(c.imap.expunge())
        summary = t.restore().summary
        equal((summary['sent'], summary['at_target']), (10, 60), 'those that were taken away')
        equal(t.digests(), appended(MAIL), 'each once')


@case
def a_maildir_gets_each_message_once_without_a_journal(folder):
    (folder / 'from').mkdir()
    keep = fixture.fetched_archive(folder / 'from', MAIL)
    path = folder / 'Maildir'
    target = ['restore', '--to', f'maildir:{path}']
    equal(keep.json(*target).summary['sent'], 60, 'first run')
    box = mailbox.Maildir(path, create=False)
    equal(sorted(sha(p.read_bytes()) for p in (path / 'cur').iterdir()), sorted(map(sha, MAIL)),
          'bytes')
    check(all(m.get_flags() == 'S' for m in box), 'flags')
    for name in list((path / 'cur').iterdir())[:10]:
        name.rename(path / 'cur' / (name.name + 'F'))
    again = keep.json(*target).summary
    equal((again['sent'], again['at_target']), (0, 60), 'second run')
    keep.json(*target, '--folder', 'Old/{account}', '--flags', 'none')
    sub = path / '.Old.anna'
    equal((len(list((sub / 'new').iterdir())), (sub / 'maildirfolder').exists()), (60, True),
          'a folder below')
    equal(sorted((path / 'tmp').iterdir()), [], 'tmp')



@case
def where_folders_must_be_below_inbox_they_are_made_there(folder):
    with Target(folder, prefix='INBOX.', separator='.') as t:
        summary = t.restore('--folder', 'Übung/{year}', folder='Alt').summary
        equal((summary['sent'], summary['at_target']), (60, 60), 'counts')
        with t.client() as c:
            names = [n for n, flags in c.folders().items() if r'\Noselect' not in flags]
            check(any(n.startswith('INBOX.Alt.Übung.') for n in names), names)
            equal(sum(c.count(n) for n in names), 60, 'what is there')
        equal(t.restore('--folder', 'Übung/{year}', folder='Alt').summary['sent'], 0, 'again')


def to_scripted(folder, kind, mail, code=0, *more):
    """What a scripted server has in the end, and what restore said."""
    (folder / 'from').mkdir()
    keep = fixture.fetched_archive(folder / 'from', mail)
    secret = folder / 'secret'
    secret.write_text('secret\n')
    secret.chmod(0o600)
    with scripted_imap.Server(kind) as server:
        result = keep.json('restore', '--to', f'imap://bob@127.0.0.1:{server.port}/INBOX', '--tls',
                           'none', '--password-file', secret, '--connections', '1', *more,
                           code=code)
        return sorted(map(sha, server.mailboxes[b'INBOX'])), result


@case
def a_server_that_puts_us_off_is_asked_again_later(folder):
    class Busy(scripted_imap.Session):
        put_off = []

        def on_append(self, tag, name, data):
            if len(self.put_off) < 3 and len(self.server.mailboxes[name]) == 5:
                self.put_off.append(data)
                self.say(tag + b' NO [UNAVAILABLE] not now')
            else:
                super().on_append(tag, name, data)

    there, result = to_scripted(folder, Busy, MAIL[:12])
    equal(there, sorted(map(sha, MAIL[:12])), 'what is there')
    equal(len(Busy.put_off), 3, 'how often it said so')


@case
def a_message_that_is_refused_is_named_with_the_servers_words(folder):
    class Picky(scripted_imap.Session):
        def on_append(self, tag, name, data):
            if data == MAIL[7]:
                self.say(tag + b' NO we do not like\x1b[31m this')
            else:
                super().on_append(tag, name, data)

    there, result = to_scripted(folder, Picky, MAIL[:12], PARTLY)
    equal(there, sorted(map(sha, MAIL[:7] + MAIL[8:12])), 'what is there')
    failed = result.of_type('failed')
    equal([f['digest'] for f in failed], [sha(MAIL[7])], 'which')
    check('we do not like' in failed[0]['error'] and '\x1b' not in result.err, failed)


@case
def an_answer_that_is_lost_makes_no_duplicate(folder):
    class Forgetful(scripted_imap.Session):
        lost = []

        def on_append(self, tag, name, data):
            self.keep(name, data)
            if len(self.lost) < 2 and len(self.server.mailboxes[name]) in (3, 7):
                self.lost.append(data)
                raise scripted_imap.Cut
            self.say(self.appended(tag, name))

    there, result = to_scripted(folder, Forgetful, MAIL[:12])
    equal(len(Forgetful.lost), 2, 'answers that were lost')
    equal(there, sorted(map(sha, MAIL[:12])), 'each once')


def peak_kb(pid):
    try:
        text = pathlib.Path(f'/proc/{pid}/status').read_text()
    except OSError:
        return 0
    found = re.search(r'VmHWM:\s*(\d+)', text)
    return int(found[1]) if found else 0


@case
def large_mail_takes_little_memory(folder):
    line = b'x' * 76 + b'\r\n'
    big = b'Subject: big\r\n\r\n' + line * (50_000_000 // len(line))
    with Target(folder, mail=[big, MAIL[0]]) as t:
        process = t.keep.start('--json', *t.arguments())
        peak = 0
        while process.poll() is None:
            peak = max(peak, peak_kb(process.pid))
            time.sleep(0.005)
        equal(t.keep.finish(process).code, 0, 'exit status')
        sanitized = b'libasan' in pathlib.Path(popkeep.BINARY).read_bytes()
        check(sanitized or 0 < peak < 64_000, f'{peak} KB')
        equal(t.digests(), appended([big, MAIL[0]]), 'what is there')


@case
def a_sync_that_fails_in_a_maildir_is_not_tried_again(folder):
    if not shutil.which('strace'):
        raise tap.MissingServer('no strace here')
    mail = mailgen.mailbox('sync', 100)
    (folder / 'from').mkdir()
    keep = fixture.fetched_archive(folder / 'from', mail)
    for n in (1, 2, 3):
        path = folder / f'Maildir {n}'
        command = ['restore', '--to', f'maildir:{path}']
        result = subprocess.run(
            ['strace', '-f', '-o', folder / 'trace', '-e', 'trace=fsync', '-e',
             f'inject=fsync:error=EIO:when={n}', *keep.command(*command)],
            env=keep.environment() | {'ASAN_OPTIONS': 'detect_leaks=0'},   # not under a tracer
            stdin=subprocess.DEVNULL, capture_output=True, check=False)
        equal(result.returncode, FAILED, f'exit status: {result.stderr}')
        named = len(list(path.glob('cur/*')))
        check(named < n, f'{named} are named, and sync {n} failed')
    equal(keep.json(*command).summary['at_target'], len(mail), 'the rest')


if __name__ == '__main__':
    tap.main()
