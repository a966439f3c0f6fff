"""Migrate several mailboxes from one Dovecot to another, by POP3 and IMAP: what is not complete is
said and why, a run again moves what came since, and a master user logs in for all."""
import hashlib

import dovecot
import fixture
import imap_client
import mailgen
import popkeep
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

    def __init__(self, folder, **options):
        self.folder = folder
        self.mail = {n: mail_of(n) for n in NAMES}
        (folder / 'a').mkdir()
        (folder / 'b').mkdir()
        self.source = fixture.a_dovecot(folder / 'a', self.mail)
        self.target = fixture.a_dovecot(folder / 'b', {f'{n}@new': [] for n in NAMES}, imap=True,
                                        **options)
        self.keep = popkeep.Popkeep(folder)
        self.keep.init()

    def __enter__(self):
        self.source.start()
        self.target.start()
        for n in NAMES:
            self.keep.account(n, self.source.plain)
        return self

    def __exit__(self, *unused):
        self.source.stop()
        self.target.stop()

    def map(self, passwords=None, header='account,target,user,password-command'):
        path = self.folder / 'map.csv'
        url = f'imaps://localhost:{self.target.imaps}/INBOX'
        rows = [f'{n},{url},{n}@new,"echo ""{(passwords or {}).get(n, "secret")}"""' for n in NAMES]
        path.write_text('\r\n'.join([header, *rows]) + '\r\n')
        return path

    def migrate(self, *more, **options):
        return self.keep.json('migrate', '--map', self.map(options.pop('passwords', None)),
                              '--tls-ca-file', self.target.ca, *more, **options)

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
def one_mailbox_needs_no_map_and_a_dry_run_changes_nothing(folder):
    with Move(folder) as m:
        m.keep.fetch('anna')
        to = ['migrate', '--from', 'anna', '--to', f'imaps://anna%40new@localhost:{m.target.imaps}',
              '--password-command', 'echo secret', '--tls-ca-file', m.target.ca]
        dry = m.keep.json(*to, '--dry-run')
        equal((dry.summary['wanted'], dry.summary['sent']), (12, 0), 'dry run')
        equal(m.digests('anna'), [], 'nothing is there')
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


if __name__ == '__main__':
    tap.main()
