"""mbox files that other programs wrote, read by what `import` reads them with (mbox_dump.c): the same
messages as were put in, with their flags and times."""
import hashlib
import json
import mailbox
import os
import pathlib
import pty
import select
import shutil
import subprocess
import time

import fixture
import imap_client
import popkeep
import tap
from tap import case, check, equal

DUMP = pathlib.Path(os.environ.get('POPKEEP_BUILD', popkeep.ROOT / 'build')) \
    / 'tests' / 'integration' / 'mbox_dump'
WHEN = 1420453230
SEPARATOR = b'From anna@example.com Mon Jan  5 10:20:30 2015\n'
BODIES = [
    b'plain\n',
    b'',
    b'\n\n\n',
    b'From here on\nFrom\n\nFrom there\n From\n',
    b'one\n\nFrom bruno@example.com Mon Jan  5 10:20:30 2015\nSubject: forwarded\n\ntwo\n',
    b'8bit \xfc\xff\n',
    b'long ' + b'x' * 20000 + b'\n',
    b'no end of line',
    b'ends with empty lines\n\n\n',
]


def message(n, body):
    return b'From: anna@example.com\nSubject: message %d\n\n' % n + body


MAIL = [message(n, body) for n, body in enumerate(BODIES)]


class Dump:
    def __init__(self, folder, path, *options):
        out = folder / 'dump'
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        result = subprocess.run([DUMP, *options, path, out], capture_output=True, check=False)
        equal((result.returncode, result.stderr), (0, b''), 'exit of mbox_dump')
        lines = [json.loads(line) for line in result.stdout.splitlines()]
        self.found = [line for line in lines if line['type'] == 'message']
        self.notes = ' / '.join(line['what'] for line in lines if line['type'] == 'note')
        self.failures = [line for line in lines if line['type'] in ('lost', 'refused')]
        self.mail = [(out / str(n)).read_bytes() for n in range(len(self.found))]


def dumps(folder, path, *options):
    """As a file, and as streams."""
    whole = Dump(folder, path, *options)
    equal(whole.failures, [], 'failures')
    for piece in ('1', '17', '100000'):
        part = Dump(folder, path, '-p', piece, *options)
        equal(part.mail, whole.mail, f'in pieces of {piece}')
        equal([f['flags'] for f in part.found], [f['flags'] for f in whole.found], 'flags')
    return whole


def ended(mail):
    """What a format without lengths makes of a last line without end."""
    return mail if mail.endswith(b'\n') else mail + b'\n'


def without(mail, *names):
    """Without fields that the writer added."""
    head, empty, body = mail.partition(b'\n\n')
    wanted = [line for line in head.split(b'\n')
              if line.partition(b':')[0].decode().lower() not in names]
    return b'\n'.join(wanted) + empty + body


def on_terminal(command, environment, seconds=30):
    """Runs what wants a terminal to its end; what it showed."""
    pid, fd = pty.fork()
    if pid == 0:
        os.execvpe(command[0], command, environment)
    shown, deadline = b'', time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not select.select([fd], [], [], 0.1)[0]:
            continue
        try:
            piece = os.read(fd, 65536)
        except OSError:
            break
        if not piece:
            break
        shown += piece
    os.close(fd)
    os.waitpid(pid, 0)
    return shown


@case
def what_python_writes_is_read_back(folder):
    box = mailbox.mbox(folder / 'python')
    for mail in MAIL:
        box.add(mail)
    box.close()
    dump = dumps(folder, folder / 'python')
    equal(dump.mail, [ended(m) for m in MAIL], 'messages')
    check('read as mboxrd' in dump.notes, dump.notes)


@case
def flags_and_times_that_python_writes_are_kept(folder):
    box = mailbox.mbox(folder / 'python')
    for flags in ('', 'R', 'RO', 'ROAFTD'):
        mail = mailbox.mboxMessage(MAIL[0])
        mail.set_flags(flags)
        mail.set_from('anna@example.com', time.gmtime(WHEN))
        box.add(mail)
    box.close()
    dump = dumps(folder, folder / 'python')
    equal([f['flags'] for f in dump.found],
          ['', '\\Seen', '\\Seen', '\\Seen \\Deleted \\Flagged \\Answered \\Draft'], 'flags')
    equal({f['received'] for f in dump.found}, {'2015-01-05T10:20:30.000Z'}, 'times')


@case
def what_mutt_writes_is_read_back(folder):
    if shutil.which('mutt') is None:
        raise tap.MissingServer('no mutt here (package mutt)')
    source = mailbox.Maildir(folder / 'maildir', create=True)
    for mail in MAIL:
        source.add(mail)
    rc = folder / 'muttrc'
    rc.write_text(f'''\
set folder={folder} record="" postponed="" spoolfile={folder}/maildir header_cache="" sort=subject
set confirmappend=no confirmcreate=no mbox_type=mbox wait_key=no copy=no move=no quit=yes
push "<tag-pattern>~A<enter><tag-prefix><copy-message>{folder}/mutt<enter><exit>"
''')
    shown = on_terminal(['mutt', '-n', '-F', str(rc), '-f', f'{folder}/maildir'],
                        {**os.environ, 'TERM': 'vt100', 'HOME': str(folder)})
    check((folder / 'mutt').exists(), shown[-2000:])
    dump = dumps(folder, folder / 'mutt')
    added = ('content-length', 'lines', 'status')
    equal(sorted(without(m, *added) for m in dump.mail), sorted(MAIL), 'messages')
    check('read as mboxcl2' in dump.notes, dump.notes)


@case
def what_dovecot_writes_is_read_back(folder):
    with fixture.a_dovecot(folder, {}, passwords={'anna': 'secret'}, imap=True,
                           location='mbox') as server:
        with imap_client.Client(server.imap, 'anna', 'secret') as client:
            for n, mail in enumerate(MAIL):
                flags = ['\\Seen', '\\Flagged', 'work'] if n % 2 else []
                client.append('INBOX', mail.replace(b'\n', b'\r\n'), flags, WHEN + n)
        box = next(p for p in (server.base / 'mail').rglob('inbox') if p.is_file())
        shutil.copy(box, folder / 'box')
    dump = dumps(folder, folder / 'box')
    added = ('content-length', 'status', 'x-status', 'x-uid', 'x-keywords', 'x-imapbase', 'x-imap')
    # It ends the last line itself, and gives an empty body one.
    wanted = [m if m.endswith(b'\n') and not m.endswith(b' 1\n\n') else m + b'\n' for m in MAIL]
    equal([without(m, *added) for m in dump.mail], wanted, 'messages')
    check('read as mboxcl2' in dump.notes, dump.notes)
    for n, found in enumerate(dump.found):
        equal(found['flags'].split(), ['\\Seen', '\\Flagged', 'work'] if n % 2 else [], 'flags')


@case
def gmails_labels_are_folders(folder):
    path = folder / 'takeout'
    path.write_bytes(
        b'From 1828754568043628583@xxx Mon Jan 05 10:20:30 +0000 2015\r\n'
        b'X-GM-THRID: 1828754568043628583\r\n'
        b'X-Gmail-Labels: =?UTF-8?Q?Posteingang,B=C3=BCro/Rechnungen,"a,_b",?=\r\n'
        b' =?UTF-8?Q?Wichtig,Ungelesen?=\r\n\r\n>From x\r\n\r\n')
    dump = dumps(folder, path)
    found = dump.found[0]
    equal((found['folder'], found['also'], found['flags'], found['received']),
          ('Büro/Rechnungen', ['a, b', 'INBOX'], '$Important', '2015-01-05T10:20:30.000Z'),
          'what is known of it')
    check(dump.mail[0].endswith(b'\r\n\r\nFrom x\r\n'), dump.mail[0])


@case
def a_forced_dialect_is_the_one(folder):
    path = folder / 'box'
    path.write_bytes(SEPARATOR + b'A: 1\n\n>From x\n>>From y\n')
    for dialect, wanted in (('mboxo', b'From x\n>>From y\n'), ('mboxrd', b'From x\n>From y\n'),
                            ('mboxcl', b'From x\n>>From y\n'), ('mboxcl2', b'>From x\n>>From y\n')):
        dump = dumps(folder, path, '-d', dialect)
        equal(dump.mail, [b'A: 1\n\n' + wanted], dialect)
        check(f'{dialect}, as --mbox-dialect says' in dump.notes, dump.notes)


ODD = [
    b'Subject: x\r\n\r\nFrom here\r\n>From there\r\n>>>From x\r\n',
    b'From the first line on\r\n\r\nFrom \r\n\r\n\r\n',
    b'Subject: bare LF\r\n\r\none\ntwo\r\nFrom three\nFrom four\r\n',
    b'Subject: bare CR\r\n\r\none\rtwo\r\r\nFrom\rthree\r\n\r\r\r\n',
    b'Subject: NUL\r\n\r\n\0\0From \r\n\0\r\n',
    b'Subject: long\r\n\r\n' + b'>' * 70000 + b'From x\r\n' + b'x\r\n' * 20000,
    b'X-Mozilla-Status: 0009\r\n\r\n',
    b'\r\n',
]


def digests(keep, archive):
    return sorted(m['digest'] for m in keep.run('--json', '-C', archive, 'search').of_type('message'))


@case
def our_own_export_comes_back_as_the_exact_bytes(folder):
    keep = fixture.fetched_archive(folder, ODD)
    wanted = sorted(hashlib.sha256(m).hexdigest() for m in ODD)
    equal(digests(keep, keep.archive), wanted, 'what is exported')
    for name, more in (('all', ()), ('split', ('--split', '100K'))):
        keep.run('export', '--format', 'mboxrd', '--output', folder / f'{name}.mbox', *more)
        copy = folder / name
        keep.run('-C', copy, 'init')
        boxes = sorted(folder.glob(f'{name}*.mbox'))
        result = keep.run('-C', copy, 'import', '--account', 'anna', *boxes)
        equal(digests(keep, copy), wanted, name)
        check('by its manifest' in result.err, result)


@case
def an_export_that_was_changed_comes_back_as_it_is(folder):
    keep = fixture.fetched_archive(folder, ODD)
    box = folder / 'all.mbox'
    keep.run('export', '--format', 'mboxrd', '--output', box)
    box.write_bytes(box.read_bytes().replace(b'From four', b'From five'))
    keep.run('-C', folder / 'copy', 'init')
    result = keep.run('-C', folder / 'copy', 'import', '--account', 'anna', box)
    wanted = [m.replace(b'From four', b'From five') for m in ODD]
    equal(digests(keep, folder / 'copy'), sorted(hashlib.sha256(m).hexdigest() for m in wanted),
          'messages')
    check('1 message is not what its manifest says' in result.err, result)


if __name__ == '__main__':
    tap.main()
