"""What several tests begin with."""
import os
import subprocess

import client
import dovecot
import mailgen
import popkeep
import scripted
import tap

SAMPLE = popkeep.ROOT.parent / 'shared' / 'mail' / 'sample-mail.tar.zst'


def a_dovecot(folder, mailboxes, passwords=None, **options):
    """mailboxes: {user: [message]}; the password is `secret` unless there is one in passwords. To
    be used by `with`."""
    users = {u: 'secret' for u in mailboxes} | (passwords or {})
    try:
        server = dovecot.Dovecot(folder / 'dovecot', users, **options)
    except dovecot.Missing as e:
        raise tap.MissingServer(e) from e
    for user, messages in mailboxes.items():
        server.deliver(user, messages)
    return server


def sample_mail(folder):
    """Real and nasty mail, where it lies beside the project, or a skip."""
    if not SAMPLE.exists():
        raise tap.Skip('the sample mail is not beside the project')
    out = folder / 'sample'
    out.mkdir()
    subprocess.run(f'zstd -dc --long=27 "{SAMPLE}" | tar -xf - -C "{out}"', shell=True, check=True)
    files = sorted(p for p in out.rglob('*') if p.is_file()
                   and p.name not in ('MANIFEST.tsv', 'SOURCES.md'))
    return [p.read_bytes() for p in files]


def for_dovecot(messages):
    """Those that Dovecot serves as they are."""
    return [m for m in messages if not m.startswith(dovecot.NOT_STUFFED)]


def scripted_account(folder, server, name='anna', **options):
    keep = popkeep.Popkeep(folder)
    options.setdefault('timeout', '10s')
    keep.account(name, server.port, **options)
    return keep


def check_kept(keep, messages):
    """The archive holds these messages, each once, byte for byte, and nothing else."""
    wanted = sorted(set(map(client.digest, messages)))
    tap.equal(keep.digests(), wanted, 'digests kept')
    tap.equal(keep.verify().summary['messages'], len(wanted), 'messages that verify counts')


def fetch_until(keep, name='anna', limit=5):
    """Fetches until nothing is pending; the last account line. For servers that need several."""
    for _ in range(limit):
        line = keep.fetch_account(name, code=None)
        popkeep.check_sums(line)
        if 'error' not in line and line['pending'] == 0 and line['new'] == 0:
            return line
    raise AssertionError(f'still pending after {limit} fetches: {line}')


def fetched_archive(folder, mail):
    """An archive of mail from a scripted server that is gone again."""
    with scripted.Server(mail) as server:
        keep = scripted_account(folder, server)
        keep.fetch()
    return keep


class Tmpfs:
    """A small file system, or a skip."""

    def __init__(self, folder, size):
        self.folder = folder / 'small'
        self.folder.mkdir()
        self.size = size

    def __enter__(self):
        if os.getuid() != 0:
            raise tap.Skip('mounting a small file system needs root')
        done = subprocess.run(['mount', '-t', 'tmpfs', '-o', f'size={self.size},mode=700', 'tmpfs',
                               self.folder], capture_output=True, text=True)
        if done.returncode != 0:
            raise tap.Skip(f'no tmpfs here: {done.stderr.strip()}')
        return self

    def resize(self, size):
        subprocess.run(['mount', '-o', f'remount,size={size}', self.folder], check=True)

    def __exit__(self, *unused):
        subprocess.run(['umount', self.folder], check=True)


class Refusing(scripted.Session):
    def retr(self, number, message):
        if message.uidl in (b'bad', b'worse'):
            self.err('[SYS/PERM] no')
        else:
            super().retr(number, message)


def a_long_story(folder):
    """An archive with all that a ledger can tell by now."""
    mail = [scripted.Message(m, b'u%d' % n)
            for n, m in enumerate(mailgen.mailbox('story', 20, size=500))]
    with scripted.Server([scripted.Message(m.data, m.uidl) for m in mail], Refusing) as server, \
            scripted.Server(mailgen.mailbox('story', 5, size=500)) as other:
        keep = scripted_account(folder, server)
        keep.account('bert', other.port)
        server.messages[3].uidl = b'bad'
        server.messages[4].uidl = b'worse'
        keep.fetch(code=None)
        del server.messages[3]                                  # vanishes
        server.messages.append(scripted.Message(mail[0].data, b'again'))  # the same bytes again
        server.messages[6].data += b'other bytes\r\n'           # a UIDL used again
        server.messages[6].size += 13
        server.messages += [scripted.Message(m, b'same') for m in mailgen.mailbox('twins', 2)]
        keep.fetch(code=None)
        keep.account('bert', other.port, user='bertram')        # a new UIDL space
        fetch_until(keep, 'bert')
        fetch_until(keep, 'anna')
    return keep
