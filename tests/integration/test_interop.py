"""Fetching from real servers other than Dovecot: the same bytes as another client gets, each once,
and nothing lost when a session is cut. What is different at each stands in other_servers.py."""
import os
import shutil
import subprocess
import sys

import client
import mailgen
from fixture import check_kept, fetch_until
from other_servers import Courier, Mailutils, Popa3d, Solid
from popkeep import LOGIN, PARTLY, Popkeep, check_sums
from relay import Relay
from tap import case, check, comment, equal, main

MAIL = mailgen.mailbox('interop', 300)
FEW = MAIL[:40]
MORE = mailgen.mailbox('interop, more', 7)
NASTY = mailgen.nasty()
UNUSUAL = [NASTY[name] for name in (
    'dots at the start of lines', 'no header', 'header without a colon',
    'a line of a million bytes', 'a million dots', 'ten thousand header lines', 'looks like POP3')]
EIGHT_BIT_HEADERS = [NASTY['8 bit in headers'], NASTY['escape sequences']]


def with_server(kind, folder):
    where = folder / 'server'
    where.mkdir(mode=0o711)
    return kind(where, {'anna': 'secret'})


def others_digests(server):
    """What an independent client gets."""
    return sorted(client.digest(m) for _, m in client.fetch_all(server.plain, 'anna', 'secret'))


def check_fetched(keep, new, archived, account='anna'):
    line = keep.fetch_account(account)
    check_sums(line)
    equal((line['new'], line['archived'], line['pending']), (new, archived, 0),
          'new, archived and pending')
    return line


def fetches_each_once(kind, folder, mail):
    with with_server(kind, folder) as server:
        server.deliver('anna', mail)
        keep = Popkeep(folder)
        keep.account('anna', server.plain)
        check_fetched(keep, len(mail), len(mail))
        check_kept(keep, mail)
        equal(keep.digests(), others_digests(server), 'digests, against the other client')
        check_fetched(keep, 0, len(mail))
        server.deliver('anna', MORE)
        check_fetched(keep, len(MORE), len(mail) + len(MORE))
        check_kept(keep, mail + MORE)
        equal(check_fetched(keep, 0, len(mail) + len(MORE))['bytes'], 0, 'bytes of the last')


@case
def from_Courier_each_message_comes_once_and_byte_for_byte(folder):
    # With UTF8 (RFC 6856): otherwise it wraps what has 8-bit headers, each time with another boundary.
    fetches_each_once(Courier, folder, MAIL + UNUSUAL + EIGHT_BIT_HEADERS)


@case
def from_popa3d_each_message_comes_once_and_byte_for_byte(folder):
    fetches_each_once(Popa3d, folder, MAIL + UNUSUAL + EIGHT_BIT_HEADERS)


@case
def from_solid_pop3d_each_message_comes_once_and_byte_for_byte(folder):
    fetches_each_once(Solid, folder, MAIL + UNUSUAL + EIGHT_BIT_HEADERS)


def exported(keep, as_delivered):
    """The digests of what is kept, as it was delivered."""
    out = keep.folder / 'export'
    keep.run('export', '--format', 'eml', '--output', out)
    return {client.digest(as_delivered(f.read_bytes())) for f in out.glob('**/*.eml')}


def without_added(data):
    """A message as it was before mailutils put lines into its header."""
    head, end, body = data.partition(b'\r\n\r\n')
    lines = [line for line in head.split(b'\r\n')
             if not line.startswith((b'X-UIDL: ', b'X-IMAPbase: ', b'X-UID: ', b'Status: '))]
    return b'\r\n'.join(lines) + end + body


@case
def what_mailutils_writes_into_messages_is_fetched_again_but_not_for_ever(folder):
    with with_server(Mailutils, folder) as server:
        server.deliver('anna', MAIL)
        keep = Popkeep(folder)
        keep.account('anna', server.plain)
        fetch_until(keep)
        check_fetched(keep, 0, len(MAIL))
        kept = keep.digests()
        check(len(kept) <= 2 * len(MAIL), f'{len(kept)} messages are kept')
        equal(exported(keep, without_added), set(map(client.digest, MAIL)),
              'what was delivered, less what the server added')
        equal(set(others_digests(server)) - set(kept), set(), 'messages of the other client')
        equal(check_fetched(keep, 0, len(MAIL))['bytes'], 0, 'bytes of a later fetch')


def refuses_a_wrong_password(kind, folder):
    with with_server(kind, folder) as server:
        server.deliver('anna', FEW)
        keep = Popkeep(folder)
        keep.account('anna', server.plain, password='wrong')
        line = keep.fetch('anna', code=LOGIN).of_type('account')[0]
        check('password' in line['error'], f'an error that names the password: {line}')
        keep.account('anna', server.plain)
        check_fetched(keep, len(FEW), len(FEW))


@case
def Courier_refusing_a_password_gives_exit_7(folder):
    refuses_a_wrong_password(Courier, folder)


@case
def mailutils_refusing_a_password_gives_exit_7(folder):
    refuses_a_wrong_password(Mailutils, folder)


@case
def popa3d_refusing_a_password_gives_exit_7(folder):
    refuses_a_wrong_password(Popa3d, folder)


@case
def solid_pop3d_refusing_a_password_gives_exit_7(folder):
    refuses_a_wrong_password(Solid, folder)


def survives_a_killed_server(kind, folder, mail, as_delivered=bytes):
    """The archive's messages, as_delivered, are those of the mailbox; nothing came twice."""
    with with_server(kind, folder) as server, Relay(server.plain) as relay:
        server.deliver('anna', mail)
        keep = Popkeep(folder)
        keep.account('anna', relay.port)
        relay.after(sum(map(len, mail)) // 2, server.kill)
        first = keep.fetch_account('anna', code=None)
        comment(first)
        check(relay.trigger is None, 'the server was killed')
        check(first['new'] > 0, f'something of the first session is kept: {first}')
        line = fetch_until(keep)
        equal((line['archived'], line['listed']), (len(mail), len(mail)), 'archived and listed')
        equal(exported(keep, as_delivered), set(map(client.digest, mail)), 'digests kept')
        return len(keep.digests())


@case
def Courier_killed_in_the_middle_costs_nothing(folder):
    equal(survives_a_killed_server(Courier, folder, MAIL), len(MAIL), 'messages kept')


@case
def popa3d_killed_in_the_middle_costs_nothing(folder):
    equal(survives_a_killed_server(Popa3d, folder, FEW), len(FEW), 'messages kept')


@case
def solid_pop3d_killed_in_the_middle_costs_nothing(folder):
    equal(survives_a_killed_server(Solid, folder, FEW), len(FEW), 'messages kept')


@case
def mailutils_killed_in_the_middle_loses_nothing(folder):
    # It had not written its UIDLs down: all are others in the next session.
    survives_a_killed_server(Mailutils, folder, FEW, without_added)


@case
def a_maildrop_that_mailutils_has_locked_is_fetched_later(folder):
    with with_server(Mailutils, folder) as server:
        server.deliver('anna', FEW)
        keep = Popkeep(folder)
        keep.account('anna', server.plain)
        other = client.Client(server.plain)
        other.login('anna', 'secret')
        line = keep.fetch('anna', code=PARTLY).of_type('account')[0]
        check('in use by another session' in line['error'], f'what stands in the way: {line}')
        other.quit()
        check_fetched(keep, len(FEW), len(FEW))


def goes_on_beside_another_session(kind, folder):
    with with_server(kind, folder) as server:
        server.deliver('anna', FEW)
        keep = Popkeep(folder)
        keep.account('anna', server.plain)
        other = client.Client(server.plain)
        other.login('anna', 'secret')
        check_fetched(keep, len(FEW), len(FEW))
        other.close()   # QUIT of ours moved what a Maildir had in new/ away from under it
        check_fetched(keep, 0, len(FEW))


@case
def Courier_serves_two_sessions_at_once(folder):
    goes_on_beside_another_session(Courier, folder)


@case
def popa3d_serves_two_sessions_at_once(folder):
    goes_on_beside_another_session(Popa3d, folder)


@case
def solid_pop3d_serves_two_sessions_at_once(folder):
    goes_on_beside_another_session(Solid, folder)


@case
def account_check_logs_in_where_the_server_hangs_up_after_APOP(folder):
    with with_server(Solid, folder) as server:
        server.deliver('anna', FEW)
        keep = Popkeep(folder)
        keep.account('anna', server.plain)
        text = keep.run('account', 'check', 'anna').out
        check(b'USER' in text, f'how it logged in: {text}')


def become_root():
    """Where sudo lets us, as make test uses it to install packages."""
    kept = ('CI', 'HOME', 'XDG_CACHE_HOME', 'POPKEEP', 'POPKEEPD', 'POPKEEP_BUILD', 'ASAN_OPTIONS',
            'UBSAN_OPTIONS')
    if os.geteuid() == 0 or shutil.which('sudo') is None:
        return
    if subprocess.run(['sudo', '-n', 'true'], stdin=subprocess.DEVNULL,
                      stderr=subprocess.DEVNULL).returncode == 0:
        environment = [f'{k}={os.environ[k]}' for k in kept if k in os.environ]
        os.execvp('sudo', ['sudo', '-n', 'env', *environment, sys.executable, *sys.argv])


if __name__ == '__main__':
    become_root()
    main()
