"""What people and machines do wrong: an exit status and a text that says what to do."""
import subprocess

import dovecot
import mailgen
import popkeep
from fixture import Tmpfs, a_dovecot, check_kept, scripted_account
from popkeep import Popkeep
from scripted import Server
from tap import case, check, equal, main

MAIL = mailgen.mailbox('bad input', 6, size=700)


@case
def a_wrong_password_is_exit_7_and_names_the_account(folder):
    with a_dovecot(folder, {'anna': MAIL}) as server:
        keep = Popkeep(folder)
        keep.account('anna', server.tls, tls='implicit', ca=server.ca, host='localhost',
                     password='wrong-and-private')
        result = keep.fetch(code=popkeep.LOGIN)
        check('anna' in result.err, f'the account is named\n{result}')
        check('wrong-and-private' not in result.err + result.out.decode(), 'no secret is shown')


@case
def one_wrong_password_does_not_keep_another_account_from_its_mail(folder):
    with a_dovecot(folder, {'anna': MAIL, 'bert': MAIL}) as server:
        keep = Popkeep(folder)
        keep.account('anna', server.plain, password='wrong')
        keep.account('bert', server.plain)
        result = keep.fetch(code=None)
        check(result.code in (popkeep.PARTLY, popkeep.LOGIN), f'exit status\n{result}')
        by_name = {line['account']: line for line in result.of_type('account')}
        equal(by_name['bert']['new'], len(MAIL), 'new of the other')


@case
def a_server_that_is_not_there_is_exit_8(folder):
    keep = Popkeep(folder)
    keep.account('anna', dovecot.free_port())
    result = keep.fetch(code=popkeep.UNREACHABLE)
    check('anna' in result.err, f'the account is named\n{result}')


@case
def a_host_that_does_not_exist_is_exit_8(folder):
    keep = Popkeep(folder)
    keep.account('anna', 110, host='no-such-host.invalid')
    result = keep.fetch(code=popkeep.UNREACHABLE)
    check('no-such-host.invalid' in result.err, f'the host is named\n{result}')


@case
def a_certificate_of_an_unknown_CA_is_exit_8_and_no_login_is_tried(folder):
    with a_dovecot(folder, {'anna': MAIL}) as server:
        other = folder / 'other'
        other.mkdir()
        dovecot.make_certificate(other)
        keep = Popkeep(folder)
        for tls, port in (('implicit', server.tls), ('starttls', server.plain)):
            keep.account('anna', port, tls=tls, ca=other / 'ca.pem', host='localhost')
            result = keep.fetch(code=popkeep.UNREACHABLE)
            check('certificate' in result.err.lower(), f'it says why\n{result}')
        check('Login:' not in server.log(), 'no login')


@case
def a_certificate_for_another_name_is_exit_8(folder):
    dovecot.make_certificate(folder, name='elsewhere.example')
    (folder / 'server.ext').unlink()
    with Server(MAIL, tls=folder, implicit=True) as server:
        keep = scripted_account(folder, server, tls='implicit', ca=folder / 'ca.pem',
                                host='localhost')
        keep.fetch(code=popkeep.UNREACHABLE)


@case
def a_pinned_key_admits_its_server_and_no_other(folder):
    with a_dovecot(folder, {'anna': MAIL}) as server:
        key = subprocess.run(
            f'openssl x509 -in {server.base}/server.pem -noout -pubkey '
            '| openssl pkey -pubin -outform der | openssl dgst -sha256 -binary | base64',
            shell=True, check=True, capture_output=True, text=True).stdout.strip()
        keep = Popkeep(folder)
        keep.account('anna', server.tls, tls='implicit', ca=server.ca, host='localhost',
                     tls_pin=f'sha256//{key}')
        keep.fetch()
        wrong = 'A' * 43 + '='
        keep.account('anna', server.tls, tls='implicit', ca=server.ca, host='localhost',
                     tls_pin=f'sha256//{wrong}')
        keep.fetch(code=popkeep.UNREACHABLE)


@case
def an_unknown_key_names_file_line_key_and_the_nearest_one(folder):
    keep = Popkeep(folder)
    keep.account('anna', 1, password_comand='true')
    result = keep.run('fetch', code=popkeep.USAGE, init=False)
    line = next(n for n, text in enumerate(keep.config.read_text().splitlines(), 1)
                if 'password-comand' in text)
    for word in (str(keep.config), f':{line}', 'password-comand', 'password-command'):
        check(word in result.err, f'{word} is named\n{result}')
    check(not keep.archive.exists(), 'nothing was started')


@case
def a_wrong_value_is_exit_2_and_nothing_starts_half(folder):
    with Server(MAIL) as server:
        keep = scripted_account(folder, server)
        keep.account('bert', server.port, timeout='soon')
        result = keep.run('fetch', code=popkeep.USAGE)
        check('timeout' in result.err and 'soon' in result.err, f'it says what\n{result}')
        equal(len(server.sessions), 0, 'sessions')


@case
def a_configuration_that_is_not_there_is_exit_2(folder):
    keep = Popkeep(folder)
    keep.run('-c', folder / 'nothing.conf', 'fetch', config=False, code=popkeep.USAGE)


@case
def a_password_file_that_others_can_read_is_refused(folder):
    with Server(MAIL) as server:
        keep = scripted_account(folder, server)
        (folder / 'anna.password').chmod(0o644)
        result = keep.run('fetch', code=popkeep.USAGE)
        check('anna.password' in result.err, f'the file is named\n{result}')
        equal(len(server.sessions), 0, 'sessions')


@case
def an_unknown_command_and_an_unknown_option_are_exit_2(folder):
    keep = Popkeep(folder)
    keep.account('anna', 1)
    check('fetch' in keep.run('fetsch', code=popkeep.USAGE).err, 'the nearest command is named')
    keep.run('fetch', '--fast', code=popkeep.USAGE)
    check('anna' in keep.run('fetch', 'ana', code=popkeep.USAGE).err, 'the nearest account')


@case
def nothing_that_matches_is_exit_5(folder):
    with Server(MAIL) as server:
        keep = scripted_account(folder, server)
        keep.fetch()
    keep.run('show', 'ffffffffffff', code=popkeep.NOTHING)


@case
def an_account_whose_user_changed_begins_a_new_uidl_space(folder):
    with a_dovecot(folder, {'anna': MAIL, 'bert': MAIL[:2]}) as server:
        keep = Popkeep(folder)
        keep.account('mail', server.plain, user='anna')
        keep.fetch('mail')
        keep.account('mail', server.plain, user='bert')
        result = keep.fetch('mail')
        line = result.of_type('account')[0]
        equal((line['listed'], line['archived']), (2, 2), 'sums of the new maildrop')
        check('mail' in result.err, f'it is said\n{result}')
        ledger = (keep.archive / 'ledger' / '000001.log').read_text()
        equal(len([l for l in ledger.splitlines() if 'event=account' in l]), 2, 'account lines')
        check_kept(keep, MAIL)


@case
def a_full_disk_is_exit_74_and_the_next_start_has_lost_nothing(folder):
    mail = mailgen.mailbox('full disk', 60, size=20000)
    mail += [mailgen.attachment_of(n, 300_000) for n in range(40)]
    with a_dovecot(folder, {'anna': mail}) as server, Tmpfs(folder, '4m') as disk:
        keep = Popkeep(folder)
        keep.archive = disk.folder / 'archive'
        keep.globals['min-free'] = '0'
        keep.account('anna', server.plain)
        result = keep.fetch('anna', code=popkeep.WRITE)
        check('space' in result.err, f'it says why\n{result}')
        before = {m['digest'] for m in keep.messages()}
        keep.fetch('anna', code=popkeep.WRITE)   # still full: no worse
        disk.resize('200m')
        line = keep.fetch_account('anna')
        equal((line['archived'], line['pending']), (len(mail), 0), 'after there is room')
        check(before <= set(keep.digests()), 'nothing acknowledged is lost')
        check_kept(keep, mail)


def limit_file_size():
    import resource
    import signal
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, resource.RLIM_INFINITY))


@case
def a_write_that_fails_is_exit_74_and_ends_the_session_without_QUIT(folder):
    mail = [mailgen.attachment_of(n, 200_000) for n in range(20)]
    with Server(mail) as server:
        keep = scripted_account(folder, server)
        keep.fetch('anna', code=popkeep.WRITE, preexec_fn=limit_file_size)
        check('quit' not in [s.ended for s in server.sessions], 'no QUIT')
        line = keep.fetch_account('anna')
        equal((line['archived'], line['pending']), (len(mail), 0), 'afterwards')
        check_kept(keep, mail)


if __name__ == '__main__':
    main()
