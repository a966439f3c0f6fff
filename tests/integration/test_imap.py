"""Putting mail into mailboxes by IMAP: imap_put (daemon/imap_session.h) against Dovecot."""
import hashlib

from dovecot import Dovecot, Missing
from imap_client import Client
from imap_putting import files, mail, of, put
from tap import MissingServer, case, main

USERS = {'anna': 'geheim', 'otto': 'other'}
MECHANISMS = 'plain login cram-md5 scram-sha-1 scram-sha-256'
WHEN = 1_234_567_890


def server(folder, **more):
    try:
        return Dovecot(folder / 'dovecot', USERS, imap=True, mechanisms=MECHANISMS, **more)
    except Missing as e:
        raise MissingServer(e)


@case
def mail_arrives_with_flags_dates_and_every_byte(folder):
    mails = [mail(n, 300 + 137 * n) for n in range(300)] + [mail(300, 3_000_000)]
    with server(folder) as s:
        lines = put(f'imaps://anna@localhost:{s.imaps}/Old/%C3%9Cbung', *files(folder, mails),
                    options=['-c', s.ca, '-f', r'\Seen $Forwarded', '-d', str(WHEN * 1000), '-b'])
        assert lines[-1] == 'end 301 of 301', lines[-5:]
        assert len(of(lines, 'append')) == 301
        assert of(lines, 'append')[0].split()[2] == 'done'
        assert [line.split()[4] for line in of(lines, 'append')] == \
            [str(n + 1) for n in range(301)]                        # APPENDUID
        assert 'TLSv1.3' in lines[0] and 'SCRAM-SHA-256' in lines[0], lines[0]
        bodies = sorted((int(line.split()[1]), line.split()[3]) for line in of(lines, 'body'))
        digests = [digest for _, digest in bodies]                  # Dovecot changes their order
        assert digests == [hashlib.sha256(m).hexdigest() for m in mails]
        assert of(lines, 'message')[7].endswith('| 7@example.com'), of(lines, 'message')[7]
        with Client(s.imap, 'anna', 'geheim', 'starttls', s.ca) as box:
            there = list(box.fetch('Old.Übung'))
        assert [m.data for m in there] == mails
        assert all(m.when == WHEN for m in there)
        assert all(m.flags == {'\\Seen', '$Forwarded'} for m in there), there[0].flags


@case
def starttls_and_every_mechanism_log_in(folder):
    paths = files(folder, [mail(1)])
    with server(folder) as s:
        for auth in ('SCRAM-SHA-256', 'SCRAM-SHA-1', 'CRAM-MD5', 'PLAIN', 'LOGIN', 'USER'):
            lines = put(f'imap://anna@localhost:{s.imap}/{auth}', *paths,
                        options=['-c', s.ca, '-a', auth])
            assert lines[0].startswith(f'up {auth} | TLSv1.3'), lines
            assert lines[-1] == 'end 1 of 1', lines


@case
def tokens_log_in(folder):
    with server(folder) as s:
        for auth in ('OAUTHBEARER', 'XOAUTH2'):
            lines = put(f'imaps://anna@localhost:{s.imaps}', password='nonsense', check=False,
                        options=['-c', s.ca, '-a', auth])
            assert of(lines, 'fault')[0].startswith('fault 10 '), lines


@case
def without_tls_only_when_asked_and_then_without_showing_the_password(folder):
    with server(folder) as s:
        lines = put(f'imap://anna@localhost:{s.imap}', options=['-n'])
        assert lines[0] == 'up SCRAM-SHA-256 | none', lines


@case
def a_master_user_fills_somebody_elses_mailbox(folder):
    paths = files(folder, [mail(1)])
    with server(folder, masters={'boss': 'master'}) as s:
        for auth in ('PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-1'):
            lines = put(f'imaps://boss@localhost:{s.imaps}', *paths, password='master',
                        options=['-c', s.ca, '-z', 'otto', '-a', auth])
            assert lines[-1] == 'end 1 of 1', lines
        lines = put(f'imaps://boss@localhost:{s.imaps}', *paths, password='master',
                    options=['-c', s.ca, '-z', 'otto'])
        assert lines[0].startswith('up SCRAM-SHA-256'), lines
        with Client(s.imap, 'otto', 'other', 'starttls', s.ca) as box:
            assert len(list(box.fetch('INBOX'))) == 4
        lines = put(f'imaps://anna@localhost:{s.imaps}', check=False,
                    options=['-c', s.ca, '-z', 'otto'])
        assert of(lines, 'fault')[0].startswith('fault 10 ') and '"otto"' in lines[-2], lines[-2]


@case
def a_wrong_password_or_certificate_says_so(folder):
    with server(folder) as s:
        lines = put(f'imaps://anna@localhost:{s.imaps}', password='falsch', check=False,
                    options=['-c', s.ca])
        assert lines[-2].startswith('fault 10 2 |') and 'falsch' not in lines[-2], lines
        lines = put(f'imaps://anna@localhost:{s.imaps}', check=False)
        assert lines[-2].startswith('fault 11 ') and 'certificate' in lines[-2], lines
        lines = put(f'imaps://anna@127.0.0.2:{s.imaps}', check=False, options=['-c', s.ca])
        assert lines[-2].startswith('fault 11 '), lines


@case
def quota_and_refusal_are_told_apart(folder):
    with server(folder, quota='messages=3') as s:
        lines = put(f'imaps://anna@localhost:{s.imaps}', *files(folder, [mail(n) for n in range(5)]),
                    options=['-c', s.ca])
        assert [line.split()[2] for line in of(lines, 'append')] == ['done'] * 3 + ['full'] * 2
    with server(folder, acl={'Frozen': 'lrs'}) as s:
        lines = put(f'imaps://anna@localhost:{s.imaps}/Frozen', *files(folder, [mail(1)]),
                    options=['-c', s.ca], check=False)
        assert [line.split()[2] for line in of(lines, 'append')] == ['not-allowed'], lines


if __name__ == '__main__':
    main()
