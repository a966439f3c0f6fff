"""A private Dovecot on free loopback ports: own folders, own configuration, own certificate.

Runs as the current user, and as nobody when that is root, so that its configuration is the same for
both. It never uses a default port, and stop() leaves no process behind.

    with Dovecot(folder, {'anna': 'secret'}) as server:
        server.deliver('anna', [b'Subject: x\\r\\n\\r\\nhello\\r\\n'])
        server.plain, server.tls        # ports; STLS is offered on the plain one
        server.ca                       # path of the CA certificate

    with Dovecot(folder, {'anna': 'secret'}, imap=True) as server:
        server.imap, server.imaps       # ports; STARTTLS is offered on the first; see imap_client.py
"""
import base64
import ctypes
import hashlib
import hmac
import json
import os
import pathlib
import pwd
import re
import shutil
import signal
import socket
import subprocess
import time

START_SECONDS = 20
STOP_SECONDS = 10
NOT_STUFFED = b'.'   # Dovecot 2.3 does not double a dot that is a message's first byte
TOKEN_KEY = b'key of a test, not a secret: 0123456789abcdef'

CONFIG = '''\
base_dir = {base}/run
state_dir = {base}/state
log_path = {base}/log
protocols = {protocols}
listen = 127.0.0.1
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {user}
default_process_limit = 1000
default_client_limit = 4000
first_valid_uid = 1
mail_location = {location}
mail_uid = {uid}
mail_gid = {gid}
mail_fsync = never
mail_max_userip_connections = 1000
maildir_very_dirty_syncs = yes
disable_plaintext_auth = no
auth_mechanisms = {mechanisms}
auth_failure_delay = 0
ssl = yes
ssl_cert = <{certificate}
ssl_key = <{key}
ssl_min_protocol = TLSv1.2
pop3_fast_size_lookups = yes
{extra}
passdb {{
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = {base}/oauth2.conf
}}
passdb {{
  driver = passwd-file
  args = {base}/passwd
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={base}/home/%u allow_all_users=yes
}}
namespace inbox {{
  inbox = yes
  prefix = {prefix}
  separator = {separator}
}}
service anvil {{
  chroot =
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service stats {{
  chroot =
}}
service pop3-login {{
  chroot =
  service_count = 0
  process_min_avail = 1
  inet_listener pop3 {{
    address = 127.0.0.1
    port = {plain}
  }}
  inet_listener pop3s {{
    address = 127.0.0.1
    port = {tls}
    ssl = yes
  }}
}}
service pop3 {{
  process_limit = 1000
}}
{more}'''

IMAP = '''\
service imap-login {{
  chroot =
  service_count = 0
  process_min_avail = 1
  inet_listener imap {{
    address = 127.0.0.1
    port = {imap}
  }}
  inet_listener imaps {{
    address = 127.0.0.1
    port = {imaps}
    ssl = yes
  }}
}}
service imap {{
  process_limit = 1000
}}
service imap-urlauth-login {{
  chroot =
}}
protocol imap {{
  mail_plugins = {plugins}
}}
plugin {{
  {settings}
}}
'''

# Its user logs in as another, with `PLAIN` and an authorization id or as user*master.
MASTER = '''\
auth_master_user_separator = *
passdb {{
  driver = passwd-file
  args = {base}/masters
  master = yes
}}
plugin {{
  acl_user = %u
}}
'''

# {base} and %u are Dovecot's and ours.
LOCATIONS = {
    'maildir': 'maildir:{base}/mail/%u:INDEX={base}/index/%u',
    'maildir-fs': 'maildir:{base}/mail/%u:INDEX={base}/index/%u:LAYOUT=fs',
    'mbox': 'mbox:{base}/mail/%u:INBOX={base}/mail/%u/inbox:INDEX={base}/index/%u',
}

OAUTH2 = '''\
introspection_mode = local
local_validation_key_dict = fs:posix:prefix={base}/keys/
username_attribute = email
'''


def as_appended(data):
    """What Dovecot gives back of a message that was appended to one of its Maildirs by IMAP. Of an
    mbox it differs more: a message that is a header only gets an empty line."""
    data = data.replace(b'\0', b'\x80').replace(b'\r\n', b'\n')
    return re.sub(rb'(?<!\r)\n', b'\r\n', data.removesuffix(b'\r'))


class Missing(Exception):
    """Dovecot is not on this machine."""


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def run_openssl(*arguments, cwd):
    subprocess.run(['openssl', *arguments], cwd=cwd, check=True, stdin=subprocess.DEVNULL,
                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def make_certificate(folder, name='localhost'):
    """ca.pem, server.pem and server.key in folder."""
    folder = pathlib.Path(folder)
    curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
    run_openssl('req', '-x509', *curve, '-keyout', 'ca.key', '-out', 'ca.pem', '-days', '30',
                '-subj', '/CN=test CA', cwd=folder)
    run_openssl('req', *curve, '-keyout', 'server.key', '-out', 'server.csr',
                '-subj', f'/CN={name}', cwd=folder)
    (folder / 'server.ext').write_text(
        f'subjectAltName=DNS:{name},IP:127.0.0.1\nbasicConstraints=CA:FALSE\n')
    run_openssl('x509', '-req', '-in', 'server.csr', '-CA', 'ca.pem', '-CAkey', 'ca.key',
                '-CAcreateserial', '-out', 'server.pem', '-days', '30', '-extfile', 'server.ext',
                cwd=folder)


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b'=').decode()


def bearer_token(user, seconds=600):
    """A JWT that the server accepts for user."""
    now = int(time.time())
    head = base64url(json.dumps({'alg': 'HS256', 'typ': 'JWT'}).encode())
    body = base64url(json.dumps({
        'sub': user, 'email': user, 'iat': now - 10, 'nbf': now - 10,
        'exp': now + seconds}).encode())
    sign = hmac.digest(TOKEN_KEY, f'{head}.{body}'.encode(), hashlib.sha256)
    return f'{head}.{body}.{base64url(sign)}'


def end_with_parent():
    """In the child before exec: SIGTERM when the thread that started it dies, however it dies."""
    PR_SET_PDEATHSIG = 1
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def identity():
    """(uid, gid, name) that the server runs as."""
    entry = pwd.getpwnam('nobody') if os.getuid() == 0 else pwd.getpwuid(os.getuid())
    return entry.pw_uid, entry.pw_gid, entry.pw_name


class Dovecot:
    # `login` and `plain` speak for themselves; the others need the password in the clear on the
    # server's side, which passwd-file's {PLAIN} is.
    MECHANISMS = 'plain login cram-md5 scram-sha-1 scram-sha-256 apop oauthbearer xoauth2'

    def __init__(self, folder, users, extra='', mechanisms=MECHANISMS, imap=False, quota=None,
                 acl=None, masters=None, location='maildir', prefix='', separator=''):
        """extra: lines of configuration.
        imap: IMAP too. The following need it:
        quota: what a mailbox may hold, as Dovecot writes it: 'storage=100K', 'messages=5'.
        acl: {folder: rights of its owner}: {'Frozen': 'lrs'} can be read, and refuses APPEND.
        masters: {user: password} of those that log in as everybody.
        location: one of LOCATIONS; deliver() writes Maildir only.
        prefix, separator: of the namespace: 'INBOX.' and '.' are as with Courier."""
        self.binary = shutil.which('dovecot', path='/usr/sbin:/usr/local/sbin:/usr/bin')
        if self.binary is None:
            raise Missing('no dovecot here (package dovecot-pop3d)')
        if imap and not pathlib.Path('/usr/lib/dovecot/imap').exists():
            raise Missing('no IMAP for dovecot here (package dovecot-imapd)')
        self.with_imap, self.quota, self.acl = imap, quota, acl
        self.masters, self.location = masters, location
        self.prefix, self.separator = prefix, separator
        self.base = pathlib.Path(folder).resolve()
        self.users = dict(users)
        self.extra = extra
        self.mechanisms = mechanisms
        self.uid, self.gid, self.user = identity()
        self.process = None
        self.sequence = 0
        self.prepare()

    def prepare(self):
        self.base.mkdir(parents=True, exist_ok=True)
        for name in ('run', 'state', 'mail', 'index', 'home', 'keys/default/HS256'):
            (self.base / name).mkdir(parents=True, exist_ok=True)
        make_certificate(self.base)
        self.ca = self.base / 'ca.pem'
        self.write_users()
        (self.base / 'oauth2.conf').write_text(OAUTH2.format(base=self.base))
        (self.base / 'keys/default/HS256/default').write_bytes(base64.b64encode(TOKEN_KEY))
        for user in self.users:
            if self.location == 'mbox':
                (self.base / 'mail' / user).mkdir(exist_ok=True)
            else:
                self.make_maildir(user)
        self.own(self.base)

    def write_users(self):
        (self.base / 'passwd').write_text(
            ''.join(f'{u}:{{PLAIN}}{p}::::::\n' for u, p in self.users.items()))
        self.own(self.base / 'passwd')
        if self.masters:
            (self.base / 'masters').write_text(
                ''.join(f'{u}:{{PLAIN}}{p}::::::\n' for u, p in self.masters.items()))
            self.own(self.base / 'masters')

    def own(self, top):
        """Gives top and all below to the server's user; folders above must let it through."""
        if os.getuid() != 0:
            return
        os.chown(top, self.uid, self.gid)
        for path, folders, files in os.walk(top):
            for name in folders + files:
                os.chown(os.path.join(path, name), self.uid, self.gid, follow_symlinks=False)

    def make_maildir(self, user):
        box = self.base / 'mail' / user
        for part in ('cur', 'new', 'tmp'):
            (box / part).mkdir(parents=True, exist_ok=True)
        return box

    def deliver(self, user, messages):
        """Puts messages (bytes) into the user's mailbox, in order; returns their paths."""
        box = self.make_maildir(user)
        paths = []
        for data in messages:
            self.sequence += 1
            wire = len(data) + data.count(b'\n') - data.count(b'\r\n')
            when = 1_600_000_000 + self.sequence
            path = box / 'cur' / (
                f'{when}.M{self.sequence:06d}P1.test,S={len(data)},W={wire}:2,')
            path.write_bytes(data)
            os.utime(path, (when, when))
            paths.append(path)
        self.own(box)
        return paths

    def imap_config(self):
        self.imap, self.imaps = free_port(), free_port()
        plugins, settings = [], []
        if self.quota:
            plugins += ['quota', 'imap_quota']
            settings += ['quota = count:User quota', 'quota_vsizes = yes',
                         f'quota_rule = *:{self.quota}', 'quota_grace = 0']
        if self.acl:
            plugins += ['acl', 'imap_acl']
            settings += [f'acl = vfile:{self.base}/acl']
            (self.base / 'acl').write_text(
                ''.join(f'{folder} owner {rights}\n' for folder, rights in self.acl.items()))
            self.own(self.base / 'acl')
        return IMAP.format(imap=self.imap, imaps=self.imaps, plugins=' '.join(plugins),
                           settings='\n  '.join(settings))

    def write_config(self):
        self.plain, self.tls = free_port(), free_port()
        more = self.imap_config() if self.with_imap else ''
        more += MASTER.format(base=self.base) if self.masters else ''
        path = self.base / 'dovecot.conf'
        group = subprocess.run(['id', '-gn', self.user], check=True, capture_output=True,
                               text=True).stdout.strip()
        path.write_text(CONFIG.format(
            base=self.base, user=self.user, group=group, uid=self.uid, gid=self.gid,
            mechanisms=self.mechanisms, extra=self.extra, more=more,
            protocols='pop3 imap' if self.with_imap else 'pop3',
            location=LOCATIONS[self.location].format(base=self.base), prefix=self.prefix,
            separator=self.separator, plain=self.plain, tls=self.tls,
            certificate=self.base / 'server.pem', key=self.base / 'server.key'))
        self.own(path)
        return path

    def start(self):
        for _ in range(5):   # somebody may take a port between the look and the bind
            self.launch(self.write_config())
            try:
                if self.wait_ready():
                    return self
            except BaseException:   # Ctrl-C too: __exit__ is not called for what never entered
                self.stop()
                raise
            self.stop()
        raise RuntimeError('Dovecot did not start:\n' + self.log())

    def launch(self, config):
        identity = {'user': self.uid, 'group': self.gid, 'extra_groups': []}
        self.process = subprocess.Popen(
            [self.binary, '-F', '-c', str(config)], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd='/',
            start_new_session=True, preexec_fn=end_with_parent,
            **(identity if os.getuid() == 0 else {}))

    def wait_ready(self):
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                with socket.create_connection(('127.0.0.1', self.plain), timeout=5) as s:
                    if s.recv(3) == b'+OK':
                        return True
            except OSError:
                pass
            time.sleep(0.02)
        return False

    def set_quota(self, quota):
        """As in __init__(), of the running server: from the next session on."""
        path = self.base / 'dovecot.conf'
        before = self.log().count('SIGHUP')
        path.write_text(path.read_text().replace(f'= *:{self.quota}\n', f'= *:{quota}\n'))
        self.quota = quota
        self.process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + START_SECONDS
        while self.log().count('SIGHUP') == before and time.monotonic() < deadline:
            time.sleep(0.02)

    def log(self):
        try:
            return (self.base / 'log').read_text(errors='replace')
        except OSError:
            return ''

    def stop(self):
        """Ends the master, which ends its children; whatever is left of the group is killed."""
        if self.process is None:
            return
        process, self.process = self.process, None
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            pass
        finally:   # also where Ctrl-C ended the waiting
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait()

    def __enter__(self):
        return self.start()

    def __exit__(self, *unused):
        self.stop()
