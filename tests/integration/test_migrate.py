"""Migrate several mailboxes from one Dovecot to another, by POP3 and IMAP: what is not complete is
said and why, a run again moves what came since, and a master user logs in for all."""
import hashlib
import os
import pathlib
import signal
import time

import dovecot
import fixture
import imap_client
import mailgen
import popkeep
import scripted_imap
import tap
from popkeep import DONE, LOGIN, PARTLY, USAGE
from tap import case, check, equal

NAMES = ['anna', 'bert', 'carl', 'dora', 'emil']


def mail_of(name, n=12):
    return fixture.for_dovecot([m for m in mailgen.mailbox(f'migrate {name}', n) if b'\0' not in m])


def sha(mail):
    return hashlib.sha256(mail).hexdigest()


class Move:
    """Five mailboxes, their accounts, and where they are to go."""

    def __init__(self, folder, mail=None, **options):
        self.folder = folder
        self.mail = mail or {n: mail_of(n) for n in NAMES}
        (folder / 'a').mkdir()
        (folder / 'b').mkdir()
        self.source = fixture.a_dovecot(folder / 'a', self.mail)
        self.target = fixture.a_dovecot(folder / 'b', {f'{n}@new': [] for n in self.mail},
                                        imap=True, **options)
        self.keep = popkeep.Popkeep(folder)
        self.keep.init()

    def __enter__(self):
        self.source.start()
        self.target.start()
        for n in self.mail:
            self.keep.account(n, self.source.plain)
        return self

    def __exit__(self, *unused):
        self.source.stop()
        self.target.stop()

    def map(self, passwords=None, commands=None, header='account,target,user,password-command'):
        path = self.folder / 'map.csv'
        url = f'imaps://localhost:{self.target.imaps}/INBOX'
        command = {n: f'"echo ""{(passwords or {}).get(n, "secret")}"""' for n in self.mail}
        command |= commands or {}
        rows = [f'{n},{url},{n}@new,{command[n]}' for n in self.mail]
        path.write_text('\r\n'.join([header, *rows]) + '\r\n')
        return path

    def migrate(self, *more, **options):
        table = self.map(options.pop('passwords', None), options.pop('commands', None))
        return self.keep.json('migrate', '--map', table, '--tls-ca-file', self.target.ca, *more,
                              **options)

    def digests(self, name, folder='INBOX'):
        with imap_client.Client(self.target.imap, f'{name}@new', 'secret') as c:
            return c.digests(folder)


def appended(mail):
    return sorted(sha(dovecot.as_appended(m)) for m in mail)


@case
def all_but_the_one_with_a_wrong_password_are_moved_and_a_run_again_moves_the_rest(folder):
    with Move(folder) as m:
        result = m.migrate(passwords={'carl': 'wrong'}, code=PARTLY)
        boxes = {b['account']: b for b in result.of_type('mailbox')}
        equal(sorted(n for n, b in boxes.items() if b['complete']),
              [n for n in NAMES if n != 'carl'], 'complete')
        equal(boxes['carl']['status'], LOGIN, 'why not')
        check('at_target' not in boxes['carl'], 'nobody looked there')
        equal((result.summary['mailboxes'], result.summary['complete']), (5, 4), 'summary')
        for n in NAMES:
            equal(m.digests(n), [] if n == 'carl' else appended(m.mail[n]), n)
        equal(boxes['anna']['compared'], 12, 'compared')

        more = mail_of('later', 3)
        m.source.deliver('anna', more)
        again = m.migrate()
        sent = {b['account']: b['sent'] for b in again.of_type('mailbox')}
        equal(sent, {'anna': 3, 'bert': 0, 'carl': 12, 'dora': 0, 'emil': 0}, 'what came since')
        equal(m.digests('anna'), appended(m.mail['anna'] + more), 'each once')
        text = m.keep.run('migrate', '--map', m.map(), '--tls-ca-file', m.target.ca)
        check(b'5 of 5 complete' in text.out, text)
        anna = [line for line in text.out.splitlines() if line.startswith(b'anna: ')]
        check(anna[0].startswith(b'anna: 15 of 15 at ') and b', 0 sent now (0 B)' in anna[0], text)


@case
def what_a_user_took_away_at_the_target_stays_away(folder):
    with Move(folder) as m:
        m.migrate()
        with imap_client.Client(m.target.imap, 'anna@new', 'secret') as c:
            c.said(c.imap.select('INBOX'))
            c.said(c.imap.store('1:5', '+FLAGS', r'(\Deleted)'))
            c.said(c.imap.expunge())
        boxes = {b['account']: b for b in m.migrate().of_type('mailbox')}
        equal((boxes['anna']['sent'], boxes['anna']['removed_there']), (0, 5), 'anna')
        equal(len(m.digests('anna')), 7, 'what is there')


@case
def a_master_user_logs_in_for_all(folder):
    with Move(folder, masters={'admin': 'master'}) as m:
        secret = folder / 'master'
        secret.write_text('master\n')
        secret.chmod(0o600)
        path = folder / 'master.csv'
        url = f'imaps://localhost:{m.target.imaps}'
        path.write_text('user,account,target\n' +
                        ''.join(f'{n}@new,{n},{url}\n' for n in NAMES))
        result = m.keep.json('migrate', '--map', path, '--master-user', 'admin', '--password-file',
                             secret, '--tls-ca-file', m.target.ca, '--jobs', '2')
        equal(result.summary['complete'], 5, 'complete')
        for n in NAMES:
            equal(m.digests(n), appended(m.mail[n]), n)


@case
def what_the_target_does_not_give_out_to_be_compared_is_not_complete(folder):
    class Withholds(scripted_imap.Session):
        willing = False

        def do_UID(self, tag, rest):
            if b'BODY.PEEK[]' in rest and rest.split(b' ')[2] == b'3' and not self.willing:
                self.say(tag + b' NO not that one')
            else:
                super().do_UID(tag, rest)

    keep = fixture.fetched_archive(folder, mail_of('withheld', 6))
    secret = folder / 'bob.password'
    secret.write_text('secret\n')
    secret.chmod(0o600)
    with scripted_imap.Server(Withholds) as server:
        move = ['migrate', '--from', 'anna', '--no-fetch', '--tls', 'none', '--password-file', secret,
                '--to', f'imap://bob@localhost:{server.port}/INBOX']
        box = keep.json(*move, code=PARTLY).of_type('mailbox')[0]
        equal((box['complete'], box['at_target'], box['compared'], box['uncompared']),
              (False, 6, 5, 1), 'one is withheld')
        Withholds.willing = True
        box = keep.json(*move).of_type('mailbox')[0]
        equal((box['complete'], box['sent'], box['compared'], box['uncompared']), (True, 0, 1, 0),
              'now it is not')


@case
def one_mailbox_needs_no_map_and_a_dry_run_changes_nothing(folder):
    with Move(folder) as m:
        m.keep.fetch('anna')
        to = ['migrate', '--from', 'anna', '--to', f'imaps://anna%40new@localhost:{m.target.imaps}',
              '--password-command', 'echo secret', '--tls-ca-file', m.target.ca]
        dry = m.keep.json(*to, '--dry-run')
        equal((dry.summary['wanted'], dry.summary['sent']), (12, 0), 'dry run')
        equal(m.digests('anna'), [], 'nothing is there')
        wrong = m.keep.run(*('echo wrong' if a == 'echo secret' else a for a in to), '--dry-run',
                           code=LOGIN)
        check(b'would be sent' not in wrong.out and b'anna: ' in wrong.out, wrong)
        equal(m.keep.json(*to, '--compare', 'sizes').summary['complete'], 1, 'complete')
        equal(m.digests('anna'), appended(m.mail['anna']), 'what is there')


@case
def what_is_wrong_with_a_map_is_said_before_anything_begins(folder):
    with Move(folder) as m:
        path = folder / 'bad.csv'
        url = f'imaps://localhost:{m.target.imaps}'
        head = 'account,target,user,password-command\n'
        good = f'anna,{url},anna@new,echo secret\n'
        for text, wanted in (
                ('account\n', 'line 1, column 1: the first line must name'),
                ('account,nonsense\n', 'line 1, column 9: no such column'),
                (head + 'anna\n', 'line 2, column 1: fewer fields'),
                (head + good + f'bert,{url},b,c,d\n', 'line 3, column 37: more fields'),
                (head + f'anna,{url},"x\n', 'a quote that does not end'),
                (head + good + f'nobody,{url},x,y\n', 'line 3: no account "nobody"'),
                (head + good + 'bert,ftp://x,x,y\n', 'line 3: '),
                (head + good + f'bert,{url},,echo\n', 'line 3: no user'),
                (head + good + f'bert,{url},anna@new,echo\n', 'same target as line 2'),
                (head + good + f'bert,{url},bert@new,\n', 'line 3: no password')):
            path.write_text(text)
            result = m.keep.run('migrate', '--map', path, '--tls-ca-file', m.target.ca, code=USAGE)
            check(wanted.replace('column 37', f'column {len(url) + 11}') in result.err,
                  (wanted, result))
        equal(m.digests('anna'), [], 'nothing is there')
        for more in (['--jobs', '0'], ['--compare', 'x'], ['--from', 'anna'], ['x']):
            m.keep.run('migrate', '--map', m.map(), *more, code=USAGE)


@case
def an_account_that_cannot_be_fetched_is_not_complete_and_what_is_kept_is_moved(folder):
    with Move(folder) as m:
        m.keep.fetch('anna')
        m.keep.account('anna', m.source.plain, password='wrong')
        result = m.migrate(code=PARTLY)
        boxes = {b['account']: b for b in result.of_type('mailbox')}
        check(not boxes['anna']['complete'] and 'not fetched' in boxes['anna']['error'], boxes)
        equal(m.digests('anna'), appended(m.mail['anna']), 'what is there')
        equal(result.summary['complete'], 4, 'complete')
        equal(m.migrate('--no-fetch').summary['complete'], 5, 'without fetching')


class Meter:
    """Of a process and all below it, at most: memory of each and of all in KB, descriptors of each,
    how many they were."""

    def __init__(self):
        self.each_kb = self.all_kb = self.descriptors = self.processes = 0

    @staticmethod
    def below(pid):
        try:
            children = pathlib.Path(f'/proc/{pid}/task/{pid}/children').read_text().split()
        except OSError:
            return [pid]
        return [pid] + [p for c in children for p in Meter.below(int(c))]

    @staticmethod
    def look(pid):
        """(private KB, descriptors)"""
        try:
            folder = pathlib.Path(f'/proc/{pid}')
            lines = (folder / 'smaps_rollup').read_text().splitlines()
            kb = sum(int(line.split()[1]) for line in lines if line.startswith('Private_'))
            return kb, len(os.listdir(folder / 'fd'))
        except OSError:
            return 0, 0

    def watch(self, process, pause=0.05):
        while process.poll() is None:
            seen = [self.look(p) for p in self.below(process.pid)]
            self.each_kb = max([self.each_kb, *(kb for kb, _ in seen)])
            self.all_kb = max(self.all_kb, sum(kb for kb, _ in seen))
            self.descriptors = max([self.descriptors, *(n for _, n in seen)])
            self.processes = max(self.processes, len(seen))
            time.sleep(pause)

    def __str__(self):
        return (f'{self.each_kb} KB at most in one process, {self.all_kb} KB in all '
                f'{self.processes}, {self.descriptors} descriptors')


@case
def many_mailboxes_are_moved_but_the_three_that_cannot_be(folder):
    n = int(os.environ.get('POPKEEP_MIGRATE', '30'))     # 400 by hand
    each = int(os.environ.get('POPKEEP_MIGRATE_EACH', '6'))
    names = [f'user{i:03}' for i in range(n)]
    no_source, no_target, full = names[3], names[n // 2], names[-1]
    mail = {u: mail_of(u, each) for u in names}
    mail[full] = mail_of(full, each + 15)
    with Move(folder, mail=mail, quota=f'messages={each + 5}') as m:
        m.keep.account(no_source, m.source.plain, password='wrong')
        command = ['migrate', '--map', m.map(passwords={no_target: 'wrong'}), '--tls-ca-file',
                   m.target.ca]
        begin, meter = time.monotonic(), Meter()
        process = m.keep.start(*command)
        meter.watch(process)
        result = m.keep.finish(process)
        tap.comment(f'{n} mailboxes in {time.monotonic() - begin:.1f} s: {meter}')
        equal(result.code, PARTLY, result)
        text = result.out.decode().splitlines()
        equal(text[-4], f'{n - 3} of {n} complete; 3 not:', 'the end')
        equal([line.split(':')[0].strip() for line in text[-3:]], [no_source, no_target, full],
              'those that are not')
        check('not fetched' in text[-3] and 'full' in text[-1], text[-4:])
        check(popkeep_is_sanitized() or meter.each_kb < 64_000, meter)
        for u in (names[0], names[7], names[-2]):
            equal(m.digests(u), appended(mail[u]), u)
        equal((m.digests(no_target), len(m.digests(full))), ([], each + 5), 'of those')

        later = {u: mail_of(f'{u} later', 2) for u in names[10:15]}
        for u, more in later.items():
            m.source.deliver(u, more)
        begin = time.monotonic()
        again = m.migrate(code=PARTLY, passwords={no_target: 'wrong'})
        tap.comment(f'again: {time.monotonic() - begin:.1f} s')
        sent = {b['account']: b['sent'] for b in again.of_type('mailbox') if b.get('sent')}
        equal(sent, {u: 2 for u in later}, 'what came since')
        equal((again.summary['complete'], again.summary['mailboxes']), (n - 3, n), 'summary')


@case
def password_commands_that_fail_are_named_for_each_mailbox(folder):
    with Move(folder) as m:
        result = m.migrate(code=PARTLY, commands={
            'anna': 'exit 7', 'bert': 'true', 'carl': 'nothing-of-this-name'})
        boxes = {b['account']: b for b in result.of_type('mailbox')}
        equal(sorted(n for n, b in boxes.items() if b['complete']), ['dora', 'emil'], 'complete')
        for n in ('anna', 'bert', 'carl'):
            check('password-command' in boxes[n]['error'], boxes[n])
            equal(m.digests(n), [], n)


@case
def ctrl_c_ends_it_while_a_password_command_hangs_and_a_run_again_goes_on(folder):
    with Move(folder) as m:
        asked = folder / 'asked'
        m.map(commands={'anna': f'touch {asked}; sleep 50'})
        process = m.keep.start('migrate', '--map', folder / 'map.csv', '--tls-ca-file',
                               m.target.ca, start_new_session=True)
        tap.wait_until(asked.exists, 30, 'the command')
        tap.wait_until(lambda: len(m.digests('emil')) == 12, 30, 'the others go on')
        begin = time.monotonic()
        process.send_signal(signal.SIGINT)      # and its processes get it from there
        result = m.keep.finish(process, 30)
        check(time.monotonic() - begin < 10, 'it ends soon')
        check(result.code != 0 and b'of 5 complete' in result.out, result)
        check('the same command goes on from here' in result.err, result)
        equal(m.migrate().summary['complete'], 5, 'the run again')
        for n in NAMES:
            equal(m.digests(n), appended(m.mail[n]), n)


@case
def killed_in_the_middle_it_goes_on_and_nothing_comes_twice(folder):
    mail = {n: mail_of(n, 80) for n in NAMES}
    with Move(folder, mail=mail) as m:
        command = ['migrate', '--map', m.map(), '--tls-ca-file', m.target.ca, '--jobs', '2']
        for pause in (0.2, 0.5, 0.8, 1.1):
            process = m.keep.start(*command, start_new_session=True)
            time.sleep(pause)
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
        equal(m.migrate().summary['complete'], 5, 'complete')
        for n in NAMES:
            equal(m.digests(n), appended(mail[n]), n)


def popkeep_is_sanitized():
    return b'libasan' in pathlib.Path(popkeep.BINARY).read_bytes()


if __name__ == '__main__':
    tap.main()
