"""popkeepd: polls by itself, answers the control socket, and survives what goes wrong."""
import contextlib
import datetime
import fcntl
import os
import pathlib
import pwd
import re
import signal
import socket
import struct
import subprocess
import termios
import threading
import time

import mailgen
import popkeep
from fixture import a_dovecot, check_kept, scripted_account
from popkeep import Popkeep
from scripted import Message, Server, Session
from service import BINARY, CLOCK, NotifySocket, Service, preload
from tap import Skip, case, check, equal, main, wait_until

MAIL = mailgen.mailbox('service', 30, size=800)


def when(text):
    return datetime.datetime.fromisoformat(text.replace('Z', '+00:00')).timestamp()


def children(pid):
    return list(map(int, pathlib.Path(f'/proc/{pid}/task/{pid}/children').read_text().split()))


def kept(keep):
    return len(keep.digests())


class Refuses(Session):
    password_reply = '-ERR [AUTH] no'


# ---- Polling --------------------------------------------------------------------------------------

@case
def it_makes_the_archive_and_polls_every_account(folder):
    with a_dovecot(folder, {'anna': MAIL[:20], 'bert': MAIL[20:]}) as server:
        keep = Popkeep(folder)
        keep.account('anna', server.plain, interval='10s')
        keep.account('bert', server.tls, tls='implicit', ca=server.ca, host='localhost',
                     interval='10s')
        with Service(keep) as service:
            wait_until(lambda: keep.archive.exists() and kept(keep) == len(MAIL), 60, 'all kept')
            server.deliver('anna', [b'Subject: later\r\n\r\nlater\r\n'])
            service.wait_for('account anna: 1 new', 20)
        check_kept(keep, [*MAIL, b'Subject: later\r\n\r\nlater\r\n'])
        for name in ('anna', 'bert'):
            popkeep.check_sums(keep.status(name))


@case
def a_fetch_goes_through_it_and_polls_now(folder):
    with Server(MAIL[:10]) as server:
        keep = scripted_account(folder, server, interval='1d')
        with Service(keep) as service:
            service.wait_for('10 new', 90)
            server.messages += [Message(m) for m in MAIL[10:15]]
            line = keep.fetch_account('anna')
            equal((line['new'], line['listed'], line['archived']), (5, 15, 15), 'of the fetch')
            equal(keep.fetch_account('anna')['new'], 0, 'new in the next one')
        check_kept(keep, MAIL[:15])


@case
def a_fetch_while_it_polls_sees_what_came_after(folder):
    class Held(Session):
        def do_UIDL(self, argument):
            super().do_UIDL(argument)
            if len(self.server.sessions) == 1:
                self.flush()
                self.server.messages += [Message(m) for m in MAIL[10:12]]
                time.sleep(1.5)

        def do_LIST(self, argument):
            self.ok()
            self.lines([b'%d %d' % (n, m.size) for n, m in enumerate(self.messages[:10], 1)])

    with Server(MAIL[:10], Held) as server:
        keep = scripted_account(folder, server, interval='1d')
        with Service(keep):
            wait_until(lambda: server.sessions and server.sessions[0].count('UIDL'), 90, 'a poll')
            keep.fetch('anna')
            check_kept(keep, MAIL[:12])


@case
def a_fetch_of_an_account_it_does_not_know_says_to_reload(folder):
    with Server(MAIL[:3]) as server:
        keep = scripted_account(folder, server, interval='1d')
        with Service(keep) as service:
            keep.account('bert', server.port)
            result = keep.fetch('bert', code=popkeep.USAGE)
            check('reload' in result.err and 'bert' in result.err, str(result))
            service.reload()
            service.wait_for('configuration read again')
            equal(keep.fetch_account('bert')['new'] + keep.fetch_account('bert')['duplicate'], 0,
                  'nothing is left for the second fetch')


@case
def two_hundred_accounts_on_one_Dovecot_are_polled(folder):
    boxes = {f'user{n:03d}': mailgen.mailbox(f'many {n}', 3, size=300) for n in range(200)}
    with a_dovecot(folder, boxes) as server:
        keep = Popkeep(folder)
        for n, user in enumerate(boxes):
            if n % 2:
                keep.account(user, server.plain, interval='1d')
            else:
                keep.account(user, server.tls, tls='implicit', ca=server.ca, host='localhost',
                             interval='1d')
        keep.globals |= {'max-sessions-per-server': 16}
        keep.write_config()
        with Service(keep):
            wait_until(lambda: keep.archive.exists() and kept(keep) == 600, 120, 'all kept')
            summary = keep.fetch().summary
            equal([summary[k] for k in ('accounts', 'failed', 'listed', 'archived', 'new')],
                  [200, 0, 600, 600, 0], 'of a fetch of all')
        check_kept(keep, [m for mail in boxes.values() for m in mail])


@case
def no_server_gets_more_sessions_than_its_cap_and_others_do_not_wait(folder):
    class Counted(Session):
        def do_UIDL(self, argument):
            with self.server.guard:
                self.server.now += 1
                self.server.most = max(self.server.most, self.server.now)
            time.sleep(0.1)
            super().do_UIDL(argument)

        def do_QUIT(self, argument):
            with self.server.guard:
                self.server.now -= 1
            super().do_QUIT(argument)

    with Server(MAIL[:2], Counted) as slow, Server(MAIL[2:4]) as quick:
        slow.guard, slow.now, slow.most = threading.Lock(), 0, 0
        keep = Popkeep(folder)
        for n in range(30):
            keep.account(f'slow{n:02d}', slow.port, user=f'u{n}', interval='1d')
        keep.account('zoe', quick.port, interval='1d')
        keep.globals |= {'max-sessions-per-server': 3}
        keep.write_config()
        with Service(keep) as service:
            service.wait_for('account zoe: 2 new', 60)
            check(len(slow.sessions) < 30, 'it did not wait for all of the slow ones')
            wait_until(lambda: sum(s.ended == 'quit' for s in slow.sessions) >= 30, 60, 'all')
        check(1 < slow.most <= 3, f'{slow.most} sessions at once')


# ---- Ending and starting --------------------------------------------------------------------------

class Slow(Session):
    """Sends each message after a moment."""
    def retr(self, number, message):
        time.sleep(0.05)
        super().retr(number, message)
        self.flush()


@case
def SIGTERM_ends_it_within_seconds_and_what_came_whole_is_kept(folder):
    with Server(mailgen.mailbox('slow', 400, size=400), Slow) as server:
        keep = scripted_account(folder, server, interval='1d')
        with Service(keep) as service:
            wait_until(lambda: server.sessions and server.sessions[0].count('RETR') > 20
                       and server.sessions[0].sent > 10000, 90, 'a fetch at work')
            begin = time.monotonic()
            equal(service.stop(), 0, 'exit status')
            check(time.monotonic() - begin < 5, 'within seconds')
        equal(server.sessions[0].ended, 'dropped', 'how the session ended: no QUIT')
        check(kept(keep) > 0, 'something is kept')
        keep.verify()


@case
def killed_and_started_again_it_goes_on(folder):
    mail = mailgen.mailbox('killed', 60, size=400)
    with Server(mail, Slow) as server:
        keep = scripted_account(folder, server, interval='10s')
        for _ in range(3):
            n = len(server.sessions)
            service = Service(keep).start()
            wait_until(lambda: len(server.sessions) > n and server.sessions[-1].sent > 5000, 90,
                       'a fetch at work')
            service.kill()
        with Service(keep):
            wait_until(lambda: kept(keep) == len(mail), 60, 'all kept')
        check_kept(keep, mail)


@case
def a_second_one_on_the_same_archive_is_refused(folder):
    with Server(MAIL[:3]) as server:
        keep = scripted_account(folder, server, interval='1d')
        with Service(keep) as service:
            second = Service(keep, ready=False).start()
            equal(second.wait(), popkeep.BUSY, 'exit status of the second')
            check('popkeepd' in second.log, f'says why: {second.log}')
            equal(keep.fetch_account('anna')['listed'], 3, 'the first one goes on')
            service.process.send_signal(signal.SIGTERM)


@case
def a_socket_that_a_dead_one_left_is_no_hindrance(folder):
    with Server(MAIL[:3]) as server:
        keep = scripted_account(folder, server, interval='1d')
        service = Service(keep).start()
        service.kill()
        check(list((folder / 'run').glob('*.sock')), 'the socket is left')
        equal(keep.fetch_account('anna')['listed'], 3, 'fetch works by itself')
        with Service(keep):
            keep.fetch_account('anna')
        check(not list((folder / 'run').glob('*.sock')), 'no socket is left')


@case
def a_socket_path_that_is_too_long_is_told_with_what_to_do(folder):
    deep = folder / ('x' * 100)
    deep.mkdir()
    with Server(MAIL[:3]) as server:
        keep = scripted_account(folder, server)
        keep.globals['runtime-dir'] = deep
        service = Service(keep, ready=False).start()
        equal(service.wait(), popkeep.USAGE, 'exit status')
        check('107' in service.log and 'runtime-dir' in service.log, service.log)


@case
def a_fetch_does_not_wait_for_ever_for_one_that_hangs(folder):
    with Server(MAIL[:3]) as server:
        keep = scripted_account(folder, server, interval='1d')
        with Service(keep) as service:
            service.wait_for('3 new', 60)
            service.process.send_signal(signal.SIGSTOP)
            try:
                result = keep.fetch('anna', code=popkeep.BUSY, timeout=60)
                check('does not answer' in result.err, str(result))
                result = keep.run('status', code=popkeep.PARTLY)
                check('cannot be asked' in str(result), str(result))
            finally:
                service.process.send_signal(signal.SIGCONT)


# ---- Configuration --------------------------------------------------------------------------------

@case
def a_broken_configuration_at_reload_leaves_the_old_one_in_force(folder):
    with Server(MAIL[:3]) as server:
        keep = scripted_account(folder, server, interval='1d')
        with Service(keep) as service:
            service.wait_for('3 new', 60)
            keep.write_config('intervall = "5m"\n')
            service.reload()
            service.wait_for('the configuration is broken')
            result = keep.run('status', code=popkeep.USAGE)
            check('intervall' in result.err and b'goes on with the one before' in result.out
                  and b'3 listed' in result.out, str(result))
            keep.write_config()
            equal(keep.fetch_account('anna')['listed'], 3, 'the old one works')
            result = keep.run('status', code=None)
            check('intervall' in str(result), f'status says so:\n{result}')
            equal(result.code, popkeep.PARTLY, 'exit status')
            service.reload()
            service.wait_for('configuration read again')
            equal(keep.run('status').code, 0, 'exit status when it is right again')


@case
def a_runner_that_hangs_does_not_end_it_however_often_it_is_reloaded(folder):
    with Server(MAIL[:3]) as server:
        keep = scripted_account(folder, server, interval='1d')
        with Service(keep) as service:
            service.wait_for('3 new', 90)
            runner, = children(service.process.pid)
            os.kill(runner, signal.SIGSTOP)
            try:
                for _ in range(5000):
                    answer = service.ask(request='reload')
                    if answer[0]['reply'] == 'error':
                        break
                check('hangs' in answer[0].get('text', ''), f'{answer}')
            finally:
                os.kill(runner, signal.SIGCONT)
            wait_until(lambda: service.ask(request='reload')[0]['reply'] == 'end', 60, 'a reload')
            equal(keep.fetch_account('anna')['listed'], 3, 'it goes on')


@case
def a_reload_drops_no_session_of_an_unchanged_account(folder):
    mail = mailgen.mailbox('reload', 120, size=400)
    with Server(mail, Slow) as server, Server(MAIL[:2]) as other:
        keep = scripted_account(folder, server, interval='1d')
        with Service(keep) as service:
            wait_until(lambda: server.sessions and server.sessions[0].sent > 5000, 90,
                       'a fetch at work')
            keep.account('bert', other.port, interval='1d')
            service.reload()
            service.wait_for('configuration read again: 2 accounts')
            wait_until(lambda: kept(keep) == len(mail) + 2, 60, 'all kept')
            equal(len(server.sessions[:1]), 1, 'sessions')
            wait_until(lambda: server.sessions[0].ended == 'quit', 20, 'the session ends by QUIT')
            del keep.accounts['bert']
            keep.write_config()
            service.reload()
            service.wait_for('account bert: not configured any more')
            result = keep.run('status', '--all')
            check('anna' in str(result), str(result))


@case
def an_account_renamed_while_it_is_polled_goes_on_under_its_new_name(folder):
    mail = mailgen.mailbox('renamed', 80, size=400)
    with Server(mail, Slow) as server:
        keep = scripted_account(folder, server, interval='10s')
        with Service(keep) as service:
            wait_until(lambda: server.sessions and server.sessions[0].sent > 5000, 60, 'a fetch')
            keep.accounts['anna2'] = keep.accounts.pop('anna') | {'user': 'anna'}
            keep.write_config()
            service.reload()
            service.wait_for('configuration read again')
            wait_until(lambda: kept(keep) == len(mail), 120, 'all kept')
        check_kept(keep, mail)
        popkeep.check_sums(keep.status('anna2'))


@case
def a_configuration_that_is_wrong_at_the_start_is_exit_2(folder):
    keep = Popkeep(folder)
    keep.account('anna', 1, interval='1d')
    for more, word in (('intervall = "5m"\n', 'interval'),
                       (f'account "anna" {{\n    server = "pop3s://a"\n    user = "b"\n'
                        '    credential = "x"\n}\n', 'anna')):
        service = Service(keep, ready=False)
        keep.write_config(more)
        service.start()
        equal(service.wait(), popkeep.USAGE, 'exit status')
        check(word in service.log and 'popkeep.conf:' in service.log, service.log)
        keep.write_config()
    result = subprocess.run([BINARY, '-c', keep.config, '--check'], capture_output=True,
                            env=keep.environment())
    equal(result.returncode, 0, 'exit status of --check')


# ---- Failures -------------------------------------------------------------------------------------

@case
def a_configuration_where_the_service_writes_is_told_or_refused(folder):
    with Server(MAIL[:3]) as server:
        keep = scripted_account(folder, server, interval='1d')
        with Service(keep) as service:
            check('protect' not in service.log, service.log)
        (keep.archive / 'more').mkdir()
        (keep.archive / 'more' / 'x.conf').write_text('')
        for more, word in ((f'include("{keep.archive}/more/*.conf")\n', 'more'),
                           (f'metrics-file = "{folder}/metrics"\n', 'popkeep.conf')):
            service = Service(keep)
            keep.write_config(more)
            with service:
                check(any('protect' in line and word in line for line in service.lines),
                      service.log)
            keep.write_config(more + 'sandbox = "required"\n')
            service.ready = False
            equal(service.start().wait(), popkeep.USAGE, 'exit status where it is required')
            check('protect' in service.log, service.log)


@case
def a_wrong_password_is_tried_thrice_a_day_and_no_more(folder):
    with Server(MAIL[:3], Refuses) as server:
        keep = scripted_account(folder, server, interval='10s')
        with Service(keep) as service:
            service.wait_for('refuses the login', 90)
            for _ in range(3):
                keep.fetch('anna', code=popkeep.LOGIN)
            result = keep.run('status', code=popkeep.PARTLY)
            check('login' in str(result), str(result))
            n = len(server.sessions)
        # A new start does not begin counting anew.
        with Service(keep) as service:
            time.sleep(3)
            equal(len(server.sessions), n, 'logins after a start')
            server.session = Session
            equal(keep.fetch_account('anna')['new'], 3, 'new, with the right password')
            equal(keep.run('status').code, 0, 'exit status when it goes well again')


@case
def what_the_server_says_decides_when_it_is_polled_next(folder):
    def refusing(text):
        return type('Refusing', (Session,), {'password_reply': '-ERR ' + text})

    minute = 60
    kinds = {
        'used': ('[IN-USE] locked', 'well', 2 * minute, 3 * minute),
        'delay': ('[LOGIN-DELAY] not yet', 'well', 1.9 * 3600, 2.3 * 3600),
        'often': ('Exceeded the login limit', 'well', 1.9 * 3600, 2.3 * 3600),
        'temp': ('[SYS/TEMP] later', 'failing', minute, 2 * minute),
        'perm': ('[SYS/PERM] no such mailbox', 'attention', 3600, 2 * 3600),
        'auth': ('[AUTH] wrong', 'failing', 5 * minute, 6 * minute),
    }
    servers = {name: Server(MAIL[:1], refusing(k[0])) for name, k in kinds.items()}
    keep = Popkeep(folder)
    with contextlib.ExitStack() as stack:
        for name, server in servers.items():
            stack.enter_context(server)
            keep.account(name, server.port, interval='1h', timeout='10s')
        with Service(keep) as service:
            for name, (_, health, least, most) in kinds.items():
                wait_until(lambda: 'text' in service.account(name), 30, f'a poll of {name}')
                a = service.account(name)
                equal(a['health'], health, name)
                left = when(a['next']) - time.time()
                check(least * 0.85 < left < most * 1.15, f'{name}: next poll in {left:.0f} s: {a}')


@case
def an_account_without_its_password_is_named_once(folder):
    with Server(MAIL[:3]) as server:
        keep = scripted_account(folder, server, interval='1d', password_command='exit 3')
        with Service(keep) as service:
            service.wait_for('account anna: needs attention: password-command: the command ended')
            told = keep.run('status', code=popkeep.PARTLY).out.decode()
            check('    password-command: the command ended' in told, told)
            told = keep.run('fetch', 'anna', code=popkeep.USAGE).err
            check(' account anna: password-command: the command ended' in told, told)


@case
def a_password_command_that_hangs_holds_up_nobody_else(folder):
    with Server(MAIL[:3]) as server, Server(MAIL[3:6]) as other:
        keep = scripted_account(folder, server, interval='1d', password_command='sleep 1000')
        keep.account('bert', other.port, interval='1d')
        with Service(keep) as service:
            service.wait_for('account bert: 3 new', 90)
            begin = time.monotonic()
            equal(service.stop(), 0, 'exit status')
            check(time.monotonic() - begin < 10, 'it ends within seconds')
        equal(server.sessions, [], 'sessions without a password')


def ends_with_74_when_a_sync_fails(folder, which):
    mail = mailgen.mailbox('failing', 40, size=5000)
    told = folder / 'told'
    with Server(mail) as server:
        keep = scripted_account(folder, server, interval='1d')
        keep.globals['alert-command'] = f'echo "$POPKEEP_EVENT" >> {told}'
        keep.init()
        inject = ('strace', '-f', '-qq', '-o', str(folder / 'strace'), '-e', 'trace=fdatasync',
                  '-e', f'inject=fdatasync:error=EIO:when={which}')
        # LeakSanitizer does not work under strace.
        service = Service(keep, before=inject, environment={
            'ASAN_OPTIONS': f'detect_leaks=0:exitcode={popkeep.SANITIZER_EXIT}'}).start()
        equal(service.wait(60), popkeep.WRITE, f'exit status; the log is\n{service.log}\n')
        check('EIO' in (folder / 'strace').read_text(), 'a sync was failed')
        equal(told.read_text(), 'write-failed\n', 'alerts')
        result = keep.run('status', code=popkeep.PARTLY)
        check('the last write to the archive failed' in str(result), str(result))
        # Whoever starts it again goes on in new files, and nothing is lost.
        with Service(keep):
            wait_until(lambda: kept(keep) == len(mail), 60, 'all kept')
        check_kept(keep, mail)


@case
def a_write_that_fails_ends_it_with_74_and_an_alert(folder):
    for which in (1, 2, 4):   # the first is of the group that registers the maildrop
        below = folder / str(which)
        below.mkdir()
        ends_with_74_when_a_sync_fails(below, which)


@case
def a_failure_that_goes_on_is_logged_once(folder):
    class Away(Session):
        banner = b'-ERR not now'

    with Server(MAIL[:3], Away) as server:
        keep = scripted_account(folder, server, interval='1d')
        with Service(keep) as service:
            service.wait_for('not now', 60)
            for _ in range(3):
                keep.fetch('anna', code=popkeep.UNREACHABLE)
            Away.banner = b'-ERR never'
            keep.fetch('anna', code=popkeep.UNREACHABLE)
            service.wait_for('never')
            equal(sum('not now' in line for line in service.lines), 1, 'lines of the same failure')


@case
def ten_thousand_accounts_are_served(folder):
    keep = Popkeep(folder)
    text = [f'archive = "{keep.archive}"', f'runtime-dir = "{folder}/run"', 'min-free = "1M"',
            'interval = "1d"', 'timeout = "10s"']
    (folder / 'run').mkdir()
    (folder / 'password').write_text('secret\n')
    (folder / 'password').chmod(0o600)
    keep.globals['runtime-dir'] = folder / 'run'
    with Server(MAIL[:2]) as server:
        # One that is there, the others at a port where nobody listens.
        for n in range(10000):
            port = server.port if n == 9999 else 1
            text.append(f'account "a{n:04d}" {{ server = "pop3://127.0.0.1:{port}" tls = "none" '
                        f'user = "u{n}" password-file = "{folder}/password" }}')
        keep.write_config = lambda *unused: None
        keep.config.write_text('\n'.join(text) + '\n')
        keep.config.chmod(0o600)
        with Service(keep) as service:
            equal(keep.fetch_account('a9999', timeout=300)['listed'], 2, 'listed')
            summary = keep.json('status', code=popkeep.PARTLY, timeout=300).summary
            equal((summary['accounts'], summary['service']), (10000, True), 'accounts of status')
            service.reload()
            service.wait_for('configuration read again: 10000 accounts', 60)
            check(int(service.proc_status()['VmRSS'].split()[0]) < 500_000, 'bounded memory')
            begin = time.monotonic()
            equal(service.stop(), 0, 'exit status')
            check(time.monotonic() - begin < 20, 'it ends soon')
        keep.config.write_text('\n'.join([*text, text[-1].replace('a9999', 'more')]) + '\n')
        service = Service(keep, ready=False).start()
        equal(service.wait(), popkeep.USAGE, 'exit status with one more')
        check('10000' in service.log, service.log)


@case
def a_full_disk_stops_polling_and_it_goes_on_by_itself(folder):
    if os.getuid() != 0:
        return
    disk = folder / 'disk'
    disk.mkdir()
    subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=24m', 'tmpfs', disk], check=True)
    try:
        with Server(MAIL[:3]) as server:
            keep = scripted_account(folder, server, interval='10s')
            keep.archive = disk / 'archive'
            keep.globals['min-free'] = '16M'
            with Service(keep) as service:
                service.wait_for('3 new', 90)
                ballast = disk / 'ballast'
                ballast.write_bytes(bytes(12 << 20))
                service.wait_for('disk full')
                result = keep.run('status', code=popkeep.PARTLY)
                check('disk full' in str(result), str(result))
                server.messages += [Message(MAIL[4])]
                n = len(server.sessions)
                time.sleep(3)
                check(len(server.sessions) <= n + 1, 'no polls')
                result = keep.fetch('anna', code=popkeep.FAILED)
                check('disk full' in result.err, str(result))
                ballast.unlink()
                service.wait_for('there is room on disk again')
                service.wait_for('1 new', 90)
            check_kept(keep, MAIL[:3] + [MAIL[4]])
    finally:
        subprocess.run(['umount', disk], check=True)


@case
def a_fetch_that_waits_for_the_next_poll_gets_none_while_the_disk_is_full(folder):
    if os.getuid() != 0:
        raise Skip('only root can mount')
    disk = folder / 'disk'
    disk.mkdir()
    subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=24m', 'tmpfs', disk], check=True)
    try:
        with Server(mailgen.mailbox('full', 300, size=400), Slow) as server:
            keep = scripted_account(folder, server, interval='1d')
            keep.archive = disk / 'archive'
            keep.globals['min-free'] = '16M'
            with Service(keep) as service:
                wait_until(lambda: server.sessions and server.sessions[0].sent > 5000, 90,
                           'a fetch at work')
                fetch = subprocess.Popen(keep.command('fetch', 'anna'), env=keep.environment(),
                                         stderr=subprocess.PIPE)
                wait_until(lambda: len(service.ask(request='status')) > 2, 10, 'an answer')
                time.sleep(0.5)
                (disk / 'ballast').write_bytes(bytes(12 << 20))
                service.wait_for('disk full')
                said = fetch.communicate(timeout=20)[1]
                check(b'disk full' in said, f'it is told: {said}')
                equal(fetch.returncode, popkeep.FAILED, 'exit status')
                equal(len(server.sessions), 1, 'sessions')
    finally:
        subprocess.run(['umount', '-l', disk], check=True)


@case
def a_clock_that_jumps_changes_no_schedule(folder):
    if not CLOCK.exists():
        raise Skip('clock.so is not built')
    said = folder / 'clock'
    said.write_bytes(struct.pack('=q', 0))
    with Server(MAIL[:3]) as server:
        keep = scripted_account(folder, server, interval='10s')
        with Service(keep, environment={'LD_PRELOAD': preload(CLOCK),
                                        'POPKEEP_TEST_CLOCK': str(said)}) as service:
            service.wait_for('3 new', 60)
            for days in (400, -400):
                n = len(server.sessions)
                with said.open('r+b') as f:
                    f.write(struct.pack('=q', days * 86400))
                server.messages.append(Message(MAIL[5 + (days > 0)]))
                wait_until(lambda: len(server.sessions) > n, 30, f'a poll {days} days off')
                wait_until(lambda: kept(keep) == len(server.messages), 30, 'kept')
                check(len(server.sessions) < n + 3, 'not one poll after the other')
        keep.verify()


@case
def credentials_of_systemd_are_read(folder):
    (folder / 'credentials').mkdir(mode=0o700)
    (folder / 'credentials' / 'mail-anna').write_text('secret\n')
    (folder / 'credentials' / 'mail-anna').chmod(0o400)
    with Server(MAIL[:3]) as server:
        keep = scripted_account(folder, server, interval='1d', credential='mail-anna')
        del keep.accounts['anna']['password-file']
        with Service(keep, environment={'CREDENTIALS_DIRECTORY': str(folder / 'credentials')}):
            equal(keep.fetch_account('anna')['listed'], 3, 'listed')


@case
def it_gives_up_root_for_the_owner_of_the_archive(folder):
    if os.getuid() != 0:
        raise Skip('only root can')
    nobody = pwd.getpwnam('nobody')
    with Server(MAIL[:3]) as server:
        keep = scripted_account(folder, server, interval='1d')
        keep.archive.mkdir(mode=0o700)
        (folder / 'run').mkdir()
        for path in (keep.archive, folder / 'run', keep.config, folder / 'anna.password'):
            os.chown(path, nobody.pw_uid, nobody.pw_gid)
        service = Service(keep)
        os.chown(keep.config, nobody.pw_uid, nobody.pw_gid)
        with service:
            service.wait_for('3 new', 60)
            equal(service.proc_status()['Uid'].split(), [str(nobody.pw_uid)] * 4, 'uids')
            equal(service.proc_status()['Gid'].split(), [str(nobody.pw_gid)] * 4, 'gids')
            equal(service.proc_status()['NoNewPrivs'], '1', 'no new privileges')
            limits = open(f'/proc/{service.process.pid}/limits').read()
            check(re.search(r'Max core file size +0 +0', limits), 'no core')
            # Root is listened to, and others are not.
            equal(keep.fetch_account('anna')['listed'], 3, 'for root')


@case
def no_password_is_seen_anywhere(folder):
    password = 'correct-horse-battery'
    seen = folder / 'seen'

    class Refuses(Session):
        def do_PASS(self, argument):
            self.err(b'[AUTH] ' .decode() + argument.decode() + ' is wrong')

    with Server(MAIL[:3], password=password.encode()) as server, \
            Server(MAIL[:3], Refuses) as echo:
        secret = folder / 'the.password'
        secret.write_text(password + '\n')
        secret.chmod(0o600)
        keep = Popkeep(folder)
        keep.account('anna', server.port, interval='1d',
                     password_command=f'cat {secret}; cat /proc/*/cmdline > {seen} 2>/dev/null; true')
        keep.account('bert', echo.port, interval='1d', password=password)
        keep.globals |= {'metrics-file': folder / 'metrics', 'alert-command': 'env >> ' + str(seen)}
        with Service(keep, '-v') as service:
            service.wait_for('account anna: 3 new', 60)
            service.wait_for('is wrong', 60)
            said = service.log + str(keep.run('status', '--all', code=None)) \
                + str(service.ask(request='status', all=True))
            for process in {service.process.pid, *children(service.process.pid)}:
                for name in ('cmdline', 'environ'):
                    said += pathlib.Path(f'/proc/{process}/{name}').read_text(errors='replace')
        check('is wrong' in said and password not in said, 'in what it says')
        for path in folder.rglob('*'):
            if path.is_file() and path.suffix != '.password':
                check(password.encode() not in path.read_bytes(), f'in {path}')


# ---- The service manager, metrics, alerts ----------------------------------------------------------

@case
def the_service_manager_is_told(folder):
    with Server(MAIL[:3]) as server:
        keep = scripted_account(folder, server, interval='1d')
        notify = NotifySocket(folder)
        with Service(keep, notify=notify,
                     environment={'WATCHDOG_USEC': '2000000'}) as service:
            notify.wait_for('READY=1')
            notify.wait_for('WATCHDOG=1')
            notify.wait_for('STATUS=1 account, ')
            service.reload()
            notify.wait_for('RELOADING=1')
            service.wait_for('configuration read again')
            keep.write_config('intervall = "5m"\n')
            service.reload()
            notify.wait_for('0 in need of attention; the configuration is broken: ')
            service.process.send_signal(signal.SIGTERM)
            notify.wait_for('STOPPING=1')


@case
def metrics_are_written_and_go_with_it(folder):
    with Server(MAIL[:3]) as server:
        keep = scripted_account(folder, server, interval='1d')
        path = folder / 'metrics' / 'popkeep.prom'
        path.parent.mkdir()
        keep.globals['metrics-file'] = path
        with Service(keep) as service:
            service.wait_for('3 new', 90)
            wait_until(lambda: path.exists() and 'popkeep_fetched_messages_total' in path.read_text()
                       and any(line.startswith('popkeep_fetched_messages_total')
                               and line.endswith(' 3') for line in path.read_text().splitlines()),
                       40, 'the metrics say 3')
        check(not path.exists(), 'no metrics of a service that has ended')


@case
def metrics_that_move_leave_no_file_behind(folder):
    before, after = folder / 'metrics' / 'before.prom', folder / 'metrics' / 'after.prom'
    before.parent.mkdir()
    with Server(MAIL[:3]) as server:
        keep = scripted_account(folder, server, interval='1d')
        keep.globals['metrics-file'] = before
        with Service(keep) as service:
            wait_until(before.exists, 20, 'metrics')
            keep.globals['metrics-file'] = after
            keep.write_config()
            service.reload()
            wait_until(after.exists, 20, 'metrics in the other file')
            check(not before.exists(), 'the file that nobody writes any more is gone')


@case
def an_alert_is_given_when_an_account_needs_attention_and_when_it_is_well_again(folder):
    told = folder / 'told'
    with Server(MAIL[:3], Refuses) as server:
        keep = scripted_account(folder, server, interval='1d')
        keep.globals['alert-command'] = \
            f'echo "$POPKEEP_EVENT $POPKEEP_ACCOUNT $POPKEEP_TEXT" >> {told}'
        with Service(keep) as service:
            for _ in range(3):
                keep.fetch('anna', code=popkeep.LOGIN)
            wait_until(lambda: told.exists() and 'attention anna' in told.read_text(), 20, 'alert')
            server.session = Session
            keep.fetch('anna')
            wait_until(lambda: 'well anna' in told.read_text(), 20, 'the all-clear')
            equal(len(told.read_text().splitlines()), 2, 'alerts')
            check('secret' not in told.read_text() + service.log, 'no password anywhere')


@case
def who_was_alerted_hears_that_all_is_well_from_the_next_service_too(folder):
    told = folder / 'told'
    with Server(MAIL[:3], Refuses) as server:
        keep = scripted_account(folder, server, interval='1d')
        keep.globals['alert-command'] = f'echo "$POPKEEP_EVENT $POPKEEP_ACCOUNT" >> {told}'
        with Service(keep):
            for _ in range(3):
                keep.fetch('anna', code=popkeep.LOGIN)
            wait_until(lambda: told.exists() and 'attention anna' in told.read_text(), 20, 'alert')
        server.session = Session
        with Service(keep):
            keep.fetch('anna')
            wait_until(lambda: 'well anna' in told.read_text(), 20, 'the all-clear')
        equal(told.read_text().split(), ['attention', 'anna', 'well', 'anna'], 'alerts')


@case
def status_can_be_watched_on_a_terminal(folder):
    with Server(mailgen.mailbox('watched', 200, size=400), Slow) as server:
        keep = scripted_account(folder, server, interval='1d')
        with Service(keep):
            wait_until(lambda: server.sessions and server.sessions[0].sent > 5000, 90, 'a fetch')
            master, slave = os.openpty()
            fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack('HHHH', 12, 50, 0, 0))
            process = subprocess.Popen(keep.command('status', '--watch'), stdin=slave, stdout=slave,
                                       stderr=slave, env=keep.environment())
            os.close(slave)
            seen = b''
            while b'of 200 fetched' not in seen or seen.count(b'Ctrl-C ends') < 3:
                seen += os.read(master, 65536)
            process.send_signal(signal.SIGINT)
            equal(process.wait(10), 0, 'exit status')
            os.close(master)
            for screen in seen.split(b'\x1b[H')[1:]:
                lines = screen.decode().replace('\x1b[K', '').replace('\x1b[J', '').split('\n')
                check(len(lines) <= 12 and all(len(line.rstrip('\r')) <= 50 for line in lines),
                      f'it fits 12 rows of 50 columns: {lines}')
        result = keep.run('status', '--watch', code=popkeep.USAGE)
        check('terminal' in result.err, str(result))


# ---- The control socket ----------------------------------------------------------------------------

@case
def hostile_clients_of_the_socket_do_it_no_harm(folder):
    with Server(MAIL[:3]) as server:
        keep = scripted_account(folder, server, interval='1d')
        with Service(keep) as service:
            path = next((folder / 'run').glob('*.sock'))
            equal(path.stat().st_mode & 0o777, 0o600, 'mode of the socket')
            crowd = []
            for said in (b'', b'\0' * 70000, b'{"v":1}\n', b'[' * 5000 + b'\n', b'x' * 100,
                         b'{"v":1,"request":"fetch","accounts":["' + b'a' * 500 + b'"]}\n',
                         b'{"v":2,"request":"fetch"}\n', b'{"v":1,"request":"format disk"}\n'):
                s = socket.socket(socket.AF_UNIX)
                s.settimeout(10)
                s.connect(str(path))
                try:
                    s.sendall(said)
                except OSError:
                    pass
                crowd.append(s)
            equal(keep.fetch_account('anna')['listed'], 3, 'others are served')
            for s in crowd:
                s.close()
            equal(keep.fetch_account('anna')['listed'], 3, 'still')
            check(service.process.poll() is None, 'it runs')


if __name__ == '__main__':
    main()
