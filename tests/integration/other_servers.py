"""Courier, GNU mailutils, popa3d and solid-pop3d, each in a jail of its own, on a loopback port.

    with Courier(folder, {'anna': 'secret'}) as server:
        server.deliver('anna', [b'Subject: x\\r\\n\\r\\nhello\\r\\n'])
        server.plain        # the port
        server.kill()       # kills the processes of all sessions, and no more

What each does otherwise than Dovecot stands at its class.
"""
import os
import pathlib
import signal
import subprocess
import sys
import time

import dovecot
import jail
import tap

INETD = pathlib.Path(__file__).with_name('inetd.py')
DAY = 86400


class Server:
    PROGRAMS = PLUGINS = SYSTEM_USERS = ()
    COMMAND = ()
    ENVIRONMENT = {}

    def __init__(self, folder, users):
        self.folder = pathlib.Path(folder)
        self.jail = jail.Jail(self.folder / 'root', self.PROGRAMS, self.PLUGINS, users,
                              self.SYSTEM_USERS)
        self.log_path = self.folder / 'log'
        self.processes = []
        self.sequence = 0
        self.configure()

    def configure(self):
        pass

    def launch(self, command, **options):
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, cwd='/', start_new_session=True,
            env={'PATH': '/usr/sbin:/usr/bin:/sbin:/bin'} | self.ENVIRONMENT, **options)
        self.processes.append(process)
        return process

    def start(self):
        self.inetd = self.launch(
            [sys.executable, str(INETD), str(self.jail.base), str(self.log_path), *self.COMMAND],
            stdout=subprocess.PIPE, preexec_fn=dovecot.end_with_parent)
        self.plain = int(self.inetd.stdout.readline())

    def stop(self):
        for process in reversed(self.processes):
            process.terminate()
            try:
                process.wait(dovecot.STOP_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            if process.stdout:
                process.stdout.close()
        self.processes = []

    def kill(self):
        self.inetd.send_signal(signal.SIGUSR1)

    def log(self):
        return self.log_path.read_text(errors='replace') if self.log_path.exists() else ''

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *unused):
        self.stop()

    def deliver_to_maildir(self, box, user, messages):
        for part in ('', 'cur', 'new', 'tmp'):
            self.jail.make_folder(f'{box}/{part}', user)
        for data in messages:
            self.sequence += 1
            when = 1_600_000_000 + self.sequence
            path = self.jail.base / box / 'new' / f'{when}.M{self.sequence:06d}P1.test'
            path.write_bytes(data.replace(b'\r\n', b'\n'))
            os.utime(path, (when, when))
            self.jail.own(path, user)

    def deliver_to_mbox(self, box, user, messages):
        path = self.jail.base / box
        with open(path, 'ab') as out:
            for data in messages:
                self.sequence += 1
                when = time.asctime(time.gmtime(1_600_000_000 + self.sequence))
                out.write(f'From x@example.org {when}\n'.encode()
                          + data.replace(b'\r\n', b'\n') + b'\n')
        path.chmod(0o600)
        self.jail.own(path, user)


class Courier(Server):
    """CAPA: SASL, TOP, USER, LOGIN-DELAY 10 (not enforced), PIPELINING, UIDL, UTF8 USER. What is sent
    together with PASS is lost. A refused login takes 5 s. No lock: sessions at once are allowed, and
    the first QUIT moves messages from new/ to cur/, where the others do not find them.
    UIDLs are its own numbers, kept in the Maildir. A message with 8-bit bytes in its header comes
    wrapped in another one, with a boundary that is new each time, unless the client said UTF8 (RFC
    6856); LIST gives the size of what is wrapped. Logins are checked by authdaemond with userdb."""

    PROGRAMS = (('courier-pop', 'usr/lib/courier/courier/courierpop3login'),
                ('courier-pop', 'usr/lib/courier/courier/courierpop3d'),
                ('courier-authlib', 'usr/lib/courier/courier-authlib/authdaemond'),
                ('courier-authlib', 'usr/lib/courier/courier-authlib/makedatprog'))
    PLUGINS = (('courier-authlib-userdb', 'usr/lib/courier-authlib/libauthuserdb.so.0'),)
    COMMAND = ('/usr/lib/courier/courier/courierpop3login',
               '/usr/lib/courier/courier/courierpop3d', 'Maildir')
    ENVIRONMENT = {'POP3AUTH': 'PLAIN LOGIN', 'MAILDIRPATH': 'Maildir', 'POP3_TLS_REQUIRED': '0'}
    SOCKET = 'run/courier/authdaemon/socket'

    def configure(self):
        self.jail.write('etc/courier/authdaemonrc',
                        'authmodulelist="authuserdb"\nauthmodulelistorig="authuserdb"\ndaemons=2\n')
        (self.jail.base / self.SOCKET).parent.mkdir(parents=True)
        for user in self.jail.users:
            self.deliver(user, [])

    def database(self, name, lines):
        """What makeuserdb does with its text."""
        subprocess.run(
            ['chroot', str(self.jail.base), '/usr/lib/courier/courier-authlib/makedatprog', '-',
             f'/etc/courier/{name}.tmp', f'/etc/courier/{name}.dat'],
            input=''.join(lines) + '.\n', check=True, text=True)

    def write_users(self):
        users = self.jail.users
        self.database('userdb', (
            f'{u}\tuid={self.jail.uid[u]}|gid={self.jail.uid[u]}|home=/home/{u}|shell=/bin/sh\n'
            for u in users))
        hashed = {u: self.jail.crypted(p) for u, p in users.items()}
        self.database('userdbshadow', (f'{u}\tsystempw={hashed[u]}\n' for u in users))

    def start(self):
        self.write_users()
        self.launch(['chroot', str(self.jail.base),
                     '/usr/lib/courier/courier-authlib/authdaemond'],
                    stdout=subprocess.DEVNULL, stderr=open(self.log_path, 'ab'),
                    preexec_fn=dovecot.end_with_parent)
        tap.wait_until((self.jail.base / self.SOCKET).exists, dovecot.START_SECONDS,
                       f'authdaemond\'s socket:\n{self.log()}')
        super().start()

    def deliver(self, user, messages):
        self.deliver_to_maildir(f'home/{user}/Maildir', user, messages)


class Mailutils(Server):
    """CAPA: TOP, UIDL, RESP-CODES, PIPELINING, AUTH-RESP-CODE, EXPIRENEVER (sic), USER. A banner as for
    APOP without an APOP secret: -ERR, and USER goes on. [IN-USE] to PASS while another session is
    open. UIDLs are made in the first session and written into the mbox on its QUIT, with X-UIDL,
    X-IMAPbase, X-UID and Status: RETR sends X-UIDL at once, which LIST does not count, and the
    other lines from the second session on, which LIST does. So each message has two sizes and two
    digests; a session that does not come to its QUIT leaves no UIDL behind."""

    PROGRAMS = (('mailutils-pop3d', 'usr/sbin/pop3d'),)
    COMMAND = ('/usr/sbin/pop3d', '--inetd')

    def configure(self):
        self.jail.allow_login('pop3d')
        self.jail.allow_login('gnu-pop3d')

    def deliver(self, user, messages):
        self.deliver_to_mbox(f'var/mail/{user}', user, messages)


class Popa3d(Server):
    """No CAPA, no PIPELINING (but what is sent ahead is answered), no text after +OK. UIDLs are digests
    of the header. Dots, 8 bit and long lines are served as they are. The mbox is locked only
    while it is read: sessions at once are allowed. A refused login takes 1 to 2 s."""

    PROGRAMS = (('popa3d', 'usr/sbin/popa3d'),)
    SYSTEM_USERS = ('popa3d',)
    COMMAND = ('/usr/sbin/popa3d',)

    def configure(self):
        self.jail.allow_login('popa3d')
        (self.jail.base / 'var/lib/popa3d').mkdir()

    def deliver(self, user, messages):
        self.deliver_to_mbox(f'var/mail/{user}', user, messages)


class Solid(Server):
    """No CAPA, no PIPELINING. A banner as for APOP without an APOP secret, and after the refusal it
    hangs up. What is sent together with PASS is lost. UIDLs are digests. With a Maildir it
    has no lock, as Courier."""

    PROGRAMS = (('solid-pop3d', 'usr/sbin/solid-pop3d'),)
    SYSTEM_USERS = ('spop3d',)
    COMMAND = ('/usr/sbin/solid-pop3d',)

    def configure(self):
        self.jail.allow_login('solid-pop3d')
        (self.jail.base / 'var/lib/solid-pop3d/bulletins').mkdir(parents=True)
        self.jail.write('etc/spop3d.conf', '<Global>\n\tMailDropName "Maildir"\n'
                        '\tMailDropType maildir\n\tLogStatistics no\n</Global>\n')

    def deliver(self, user, messages):
        self.deliver_to_maildir(f'home/{user}/Maildir', user, messages)
