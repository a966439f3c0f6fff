"""Fetching from a real Dovecot: the same bytes by every way, once, and the server as it was."""
import os

import client
import dovecot
import mailgen
from fixture import a_dovecot, check_kept, for_dovecot
from popkeep import Popkeep, check_sums
from tap import case, check, equal, main, wait_until

MAIL = mailgen.mailbox('fetch', 60) + for_dovecot(mailgen.nasty().values())
FEW = mailgen.mailbox('few', 8)


def compare(folder, server, keep, tls):
    line = keep.fetch_account('anna')
    check_sums(line)
    equal((line['new'], line['archived'], line['pending']), (len(MAIL), len(MAIL), 0), 'sums')
    port = server.tls if tls == 'implicit' else server.plain
    other = client.fetch_all(port, 'anna', 'secret', tls, server.ca)
    equal(keep.digests(), sorted(client.digest(data) for _, data in other), 'digests')
    for message in keep.messages()[:5]:
        data = keep.raw(message['id'])
        equal(client.digest(data), message['digest'], 'digest of show --raw')
        equal(len(data), message['size'], 'size')


@case
def plain_gives_what_an_independent_client_gets(folder):
    with a_dovecot(folder, {'anna': MAIL}) as server:
        keep = Popkeep(folder)
        keep.account('anna', server.plain)
        compare(folder, server, keep, None)


@case
def STLS_gives_what_an_independent_client_gets(folder):
    with a_dovecot(folder, {'anna': MAIL}) as server:
        keep = Popkeep(folder)
        keep.account('anna', server.plain, tls='starttls', ca=server.ca, host='localhost')
        compare(folder, server, keep, 'starttls')


@case
def implicit_TLS_gives_what_an_independent_client_gets(folder):
    with a_dovecot(folder, {'anna': MAIL}) as server:
        keep = Popkeep(folder)
        keep.account('anna', server.tls, tls='implicit', ca=server.ca, host='localhost')
        compare(folder, server, keep, 'implicit')


@case
def a_second_fetch_gets_nothing_new(folder):
    with a_dovecot(folder, {'anna': FEW}) as server:
        keep = Popkeep(folder)
        keep.account('anna', server.plain)
        keep.fetch()
        line = keep.fetch_account('anna')
        equal((line['new'], line['duplicate'], line['bytes']), (0, 0, 0), 'second fetch')
        equal(line['archived'], len(FEW), 'archived')


@case
def new_mail_alone_is_fetched(folder):
    more = mailgen.mailbox('more', 3)
    with a_dovecot(folder, {'anna': FEW}) as server:
        keep = Popkeep(folder)
        keep.account('anna', server.plain)
        keep.fetch()
        server.deliver('anna', more)
        line = keep.fetch_account('anna')
        equal((line['new'], line['archived']), (3, len(FEW) + 3), 'new and archived')
        equal(line['bytes'], sum(map(len, more)), 'bytes')
        check_kept(keep, FEW + more)


@case
def the_same_message_in_two_accounts_is_kept_once_and_counted_as_duplicate(folder):
    mail = {'anna': FEW + mailgen.mailbox('anna', 3), 'bert': FEW + mailgen.mailbox('bert', 2)}
    with a_dovecot(folder, mail) as server:
        keep = Popkeep(folder)
        keep.account('anna', server.plain)
        keep.account('bert', server.plain)
        keep.fetch('anna')
        line = keep.fetch_account('bert')
        equal((line['new'], line['duplicate']), (2, len(FEW)), 'new and duplicate')
        equal(line['archived'], len(FEW) + 2, 'archived')
        check_kept(keep, mail['anna'] + mail['bert'])


@case
def several_accounts_are_fetched_at_once(folder):
    mail = {f'user{n}': mailgen.mailbox(f'user {n}', 20) for n in range(8)}
    with a_dovecot(folder, mail) as server:
        keep = Popkeep(folder)
        for user in mail:
            keep.account(user, server.plain)
        result = keep.fetch()
        lines = result.of_type('account')
        equal(len(lines), len(mail), 'account lines')
        for line in lines:
            check_sums(line)
            equal(line['new'], 20, f'new of {line}')
        equal(result.summary['new'], 160, 'new in the summary')
        check_kept(keep, [m for box in mail.values() for m in box])


@case
def the_mailbox_is_left_as_it_was(folder):
    with a_dovecot(folder, {'anna': FEW}, extra='pop3_no_flag_updates = yes') as server:
        box = server.base / 'mail' / 'anna' / 'cur'
        before = sorted(os.listdir(box))
        keep = Popkeep(folder)
        keep.account('anna', server.plain)
        keep.fetch()
        keep.fetch()
        equal(sorted(os.listdir(box)), before, 'files of the Maildir')
        wait_until(lambda: server.log().count('del=0/8') >= 2, 10, 'log of two sessions')


def logs_in_by(mechanism, folder, **options):
    with a_dovecot(folder, {'anna': FEW}) as server:
        keep = Popkeep(folder)
        keep.account('anna', server.tls, tls='implicit', ca=server.ca, host='localhost', **options)
        equal(keep.fetch_account('anna')['new'], len(FEW), 'new')
        wait_until(lambda: f'method={mechanism},' in server.log(), 5,
                   f'{mechanism} in the log:\n{server.log()}')


@case
def the_strongest_login_is_taken_by_itself(folder):
    logs_in_by('SCRAM-SHA-256', folder)


@case
def SCRAM_SHA_1_logs_in(folder):
    logs_in_by('SCRAM-SHA-1', folder, auth='SCRAM-SHA-1')


@case
def CRAM_MD5_logs_in(folder):
    logs_in_by('CRAM-MD5', folder, auth='CRAM-MD5')


@case
def PLAIN_logs_in(folder):
    logs_in_by('PLAIN', folder, auth='PLAIN')


@case
def LOGIN_logs_in(folder):
    logs_in_by('LOGIN', folder, auth='LOGIN')


@case
def APOP_logs_in(folder):
    logs_in_by('APOP', folder, auth='APOP')


@case
def USER_and_PASS_log_in(folder):
    logs_in_by('PLAIN', folder, auth='USER')   # as Dovecot logs them


@case
def OAUTHBEARER_logs_in_with_a_token_command(folder):
    token = dovecot.bearer_token('anna')
    (folder / 'token').write_text(token + '\n')
    logs_in_by('OAUTHBEARER', folder, auth='OAUTHBEARER', token_command=f'cat {folder}/token')


@case
def XOAUTH2_logs_in_with_a_token_command(folder):
    token = dovecot.bearer_token('anna')
    (folder / 'token').write_text(token + '\n')
    logs_in_by('XOAUTH2', folder, auth='XOAUTH2', token_command=f'cat {folder}/token')


@case
def a_password_command_gives_the_password(folder):
    logs_in_by('SCRAM-SHA-256', folder, password_command='printf "secret\\nsecond line\\n"')


@case
def fetch_by_url_needs_no_configuration(folder):
    with a_dovecot(folder, {'anna': FEW}) as server:
        keep = Popkeep(folder)
        (folder / 'secret').write_text('secret\n')
        (folder / 'secret').chmod(0o600)
        result = keep.run('-C', keep.archive, '--json', 'fetch', '--url',
                          f'pop3s://anna@localhost:{server.tls}', '--tls-ca-file', server.ca,
                          '--password-file', folder / 'secret', config=False)
        equal(result.summary['new'], len(FEW), 'new')


@case
def a_message_that_Dovecot_frames_wrong_costs_no_other(folder):
    # It does not double a dot that is a message's first byte: this one seems to be empty, and what
    # follows it is out of step.
    with a_dovecot(folder, {'anna': FEW[:4] + [b'.\r\n'] + FEW[4:]}) as server:
        keep = Popkeep(folder)
        keep.account('anna', server.plain)
        for _ in range(4):
            line = keep.fetch_account('anna', code=None)
            check_sums(line)
        check(line['archived'] >= len(FEW), f'others are kept: {line}')
        check(set(map(client.digest, FEW)) <= set(keep.digests()), 'all others are kept')


if __name__ == '__main__':
    main()
