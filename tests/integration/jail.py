"""A folder that programs of a few unpacked Debian packages can have for their root: with users of
its own, so that the machine gets none, and with PAM that asks its own shadow file.

Entering it needs root. What tests/deps.sh unpacked (group `interop`) lies below SERVERS.
"""
import os
import pathlib
import re
import shutil
import subprocess

import tap

SERVERS = pathlib.Path(os.environ.get('XDG_CACHE_HOME') or pathlib.Path.home() / '.cache',
                       'popkeep-tests', 'servers')
FIRST_UID = 20001   # nobody's on the machine, it only owns files below the jail
FOLDERS = ('dev', 'etc/pam.d', 'home', 'run', 'tmp', 'usr/bin', 'usr/sbin', 'usr/lib/security',
           'usr/lib64', 'var/mail', 'var/lib', 'var/lock')


def library_folders():
    """Where the unpacked packages keep libraries."""
    return sorted({str(p.parent) for p in SERVERS.glob('*/**/lib*.so*')})


class Jail:
    def __init__(self, folder, programs, plugins=(), users=None, system_users=()):
        """programs, plugins: (package, path) of what is unpacked; users: {name: password}."""
        if os.getuid() != 0:
            raise tap.MissingServer('only root can give a server a root folder and users of its own')
        self.base = pathlib.Path(folder).resolve()
        for name in FOLDERS:
            (self.base / name).mkdir(parents=True, exist_ok=True)
        for name in ('bin', 'sbin', 'lib', 'lib64'):
            (self.base / name).symlink_to(f'usr/{name}')
        (self.base / 'tmp').chmod(0o1777)
        (self.base / 'var/mail').chmod(0o1777)
        (self.base / 'dev/null').touch(0o666)
        self.copied = set()
        self.library_path = ':'.join(library_folders())
        for package, path in (*programs, *plugins):
            self.copy_program(self.unpacked(package, path), path)
        self.copy_program(self.find_pam_module('pam_unix.so'), 'usr/lib/security/pam_unix.so')
        self.users = dict(users or {})
        self.uid = {u: FIRST_UID + n for n, u in enumerate([*self.users, *system_users])}
        self.write_etc(system_users)

    def unpacked(self, package, path):
        source = SERVERS / package / path
        if not source.exists():
            raise tap.MissingServer(f'{package} is not unpacked here (sh tests/deps.sh interop)')
        return source

    def find_pam_module(self, name):
        found = sorted((SERVERS / 'libpam-modules').glob(f'**/security/{name}'))
        if not found:
            raise tap.MissingServer('libpam-modules is not unpacked (sh tests/deps.sh interop)')
        return found[0]

    def put(self, source, path):
        target = self.base / str(path).lstrip('/')
        target.parent.mkdir(parents=True, exist_ok=True)
        if target not in self.copied:
            shutil.copy(source, target)   # through links: a library gets the name that is asked for
            self.copied.add(target)

    def copy_program(self, source, path):
        """It and every library it is linked with; those go where the loader looks by itself."""
        self.put(source, path)
        listing = subprocess.run(
            ['ldd', str(source)], check=True, capture_output=True, text=True,
            env={'PATH': os.environ['PATH'], 'LC_ALL': 'C', 'LD_LIBRARY_PATH': self.library_path})
        for line in listing.stdout.splitlines():
            if 'not found' in line:
                raise tap.MissingServer(f'{path}: {line.strip()} (sh tests/deps.sh interop)')
            if named := re.match(r'\s*(\S+) => (/\S+)', line):
                self.put(named[2], f'usr/lib/{named[1]}')
            elif loader := re.match(r'\s*(/\S+) \(', line):
                self.put(loader[1], loader[1])

    def write(self, path, text, mode=0o644):
        target = self.base / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        target.chmod(mode)

    def crypted(self, password):
        return subprocess.run(['openssl', 'passwd', '-6', '-stdin'], input=password, check=True,
                              capture_output=True, text=True).stdout.strip()

    def write_etc(self, system_users):
        passwd = ['root:x:0:0::/:/bin/sh']
        group = ['root:x:0:', 'mail:x:8:']
        shadow = ['root:*:19000::::::']
        for user, uid in self.uid.items():
            passwd.append(f'{user}:x:{uid}:{uid}::/home/{user}:/bin/sh')
            group.append(f'{user}:x:{uid}:')
            word = '*' if user in system_users else self.crypted(self.users[user])
            shadow.append(f'{user}:{word}:19000::::::')
            self.make_folder(f'home/{user}', user)
        for name, lines in (('passwd', passwd), ('group', group)):
            self.write(f'etc/{name}', '\n'.join(lines) + '\n')
        self.write('etc/shadow', '\n'.join(shadow) + '\n', 0o600)
        self.write('etc/nsswitch.conf', 'passwd: files\ngroup: files\nshadow: files\n')
        self.write('etc/services', 'pop3 110/tcp\n')
        self.write('etc/shells', '/bin/sh\n')

    def allow_login(self, service):
        """PAM's file for a service: the password in the jail's shadow file."""
        self.write(f'etc/pam.d/{service}', ''.join(
            f'{kind} required /usr/lib/security/pam_unix.so\n'
            for kind in ('auth', 'account', 'session')))

    def make_folder(self, path, user, mode=0o700):
        target = self.base / path
        target.mkdir(parents=True, exist_ok=True)
        target.chmod(mode)
        self.own(target, user)
        return target

    def own(self, path, user):
        os.chown(path, self.uid[user], self.uid[user])
