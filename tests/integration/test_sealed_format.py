"""A sealed segment needs nothing but itself: tar, zstd and the program inside give every message
back, and its ledger lines their accounts and UIDLs. popkeep-worker makes most segments here, out of
open ones that are put together without popkeep; `popkeep seal` makes one of a whole archive."""
import base64
import hashlib
import io
import os
import pathlib
import random
import re
import shutil
import struct
import subprocess
import sys
import tarfile
import tempfile
import urllib.parse

import mailgen
from fixture import scripted_account
from popkeep import BINARY
from scripted import Message, Server
from tap import Skip, case, check, equal, main

BUILD = os.environ.get('POPKEEP_BUILD')
WORKER = (pathlib.Path(BUILD) if BUILD else pathlib.Path(BINARY).parents[1]) / 'daemon/popkeep-worker'
ARCHIVED = 1_700_000_000


def digest(data):
    return hashlib.sha256(data).hexdigest()


def entry(name, data):
    """A tar entry without tar's end."""
    info = tarfile.TarInfo(name)
    info.size, info.mtime, info.mode = len(data), ARCHIVED, 0o400
    padding = -len(data) % 512
    return info.tobuf(tarfile.USTAR_FORMAT) + data + bytes(padding)


def frame(data):
    return subprocess.run(['zstd', '-q', '-1', '-c', '-'], input=data, stdout=subprocess.PIPE,
                          check=True).stdout


def open_segment(path, messages, in_a_frame=20):
    """Writes one; the lines of a request for it."""
    lines = []
    with open(path, 'wb') as file:
        for at in range(0, len(messages), in_a_frame):
            decoded = b''
            for data in messages[at:at + in_a_frame]:
                lines.append(f'mail 0 {file.tell()} {len(decoded)} {len(data)} {ARCHIVED} '
                             f'{digest(data)}\n')
                decoded += entry(f'mail/{digest(data)}.eml', data)
            file.write(frame(decoded))
    return lines


def seal(folder, messages, ledger=b'', sharing='on', level=9, frame_bytes=1 << 20):
    """The path of a sealed segment with these messages."""
    source, sealed = folder / '000001.open.tar.zst', folder / '000002.tar.zst'
    request = ''.join(['popkeep-seal 1\n', f'level {level}\nframe {frame_bytes}\n',
                       f'part-sharing {sharing}\nsources 1\n',
                       *open_segment(source, messages), 'end\n'])
    (folder / 'request').write_text(request)
    (folder / 'LEDGER').write_bytes(ledger)
    with open(folder / 'request', 'rb') as given, open(sealed, 'wb') as out, \
            open(folder / 'status', 'w+b') as status, tempfile.TemporaryFile() as scratch, \
            open(folder / 'LEDGER', 'rb') as lines, open(source, 'rb') as segment:
        # Above the numbers that they get, so that none is overwritten.
        far = [os.dup2(f.fileno(), 100 + n) for n, f in
               enumerate([given, out, open(os.devnull, 'wb'), status, scratch, lines, segment])]

        def place():
            for number, fd in enumerate(far):
                os.dup2(fd, number)
        worker = subprocess.run([WORKER, 'seal', 'best', '1'], close_fds=False,
                                preexec_fn=place, timeout=120)
        for fd in far:
            os.close(fd)
    said = (folder / 'status').read_text()
    equal((worker.returncode, said.splitlines()[-1]), (0, 'done'), f'worker said {said}')
    return sealed


def unpack(sealed, to):
    to.mkdir()
    subprocess.run(['tar', '--zstd', '-xf', sealed], cwd=to, check=True)
    return to


def run_readme(folder):
    return subprocess.run([sys.executable, 'README'], cwd=folder, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=120)


def attachment(recipient, data, line=76, end=b'\r\n', boundary=b'b'):
    text = base64.b64encode(data)
    lines = end.join(text[i:i + line] for i in range(0, len(text), line)) if line else text
    return (b'From: anna@one.example\r\nTo: ' + recipient + b'\r\nSubject: the minutes of today\r\n'
            b'Content-Type: multipart/mixed; boundary="' + boundary + b'"\r\n\r\n--' + boundary +
            b'\r\nContent-Type: text/plain\r\n\r\nhello ' + recipient + b'\r\n--' + boundary +
            b'\r\nContent-Transfer-Encoding: base64\r\n\r\n' + lines + end +
            b'--' + boundary + b'--\r\n')


def mail():
    """Messages of all kinds; some share their attachments."""
    rng = random.Random('sealed')
    parts = [rng.randbytes(n) for n in (16384, 100_001, 400_000, 3_000_002)]
    messages = mailgen.mailbox('sealed', 60) + list(mailgen.nasty(1).values())
    for i, part in enumerate(parts):
        for line, end in ((76, b'\r\n'), (76, b'\n'), (60, b'\n'), (72, b'\r\n')):
            messages.append(attachment(b'r%d-%d@x' % (i, line), part, line, end))
    messages.append(attachment(b'one line', parts[1], 0))
    messages.append(attachment(b'odd lines', parts[1], 77))
    messages += [b'', b'\n', rng.randbytes(5_000_000)]
    rng.shuffle(messages)
    return list({digest(m): m for m in messages}.values())


def check_all_there(folder, messages):
    for m in messages:
        found = (folder / 'mail' / f'{digest(m)}.eml').read_bytes()
        check(found == m, f'message {digest(m)} is as it was kept')
    made = list((folder / 'mail').glob('*.eml'))
    equal(len(made), len(messages), 'files')


@case
def the_program_inside_makes_every_message(folder):
    messages = mail()
    there = unpack(seal(folder, messages), folder / 'there')
    check(len(list((there / 'mail').glob('*.recipe'))) >= 18, 'there are recipes')
    check(len(list((there / 'part').iterdir())) >= 4, 'there are parts')
    for _ in range(2):      # again changes nothing
        done = run_readme(there)
        equal((done.returncode, done.stderr), (0, b''), 'README')
        check_all_there(there, messages)


@case
def without_sharing_tar_gives_every_message(folder):
    messages = mail()
    there = unpack(seal(folder, messages, sharing='off'), folder / 'there')
    check_all_there(there, messages)
    equal(run_readme(there).returncode, 0, 'README')


@case
def every_tool_lists_it(folder):
    messages = mail()[:40]
    sealed = seal(folder, messages)
    subprocess.run(['zstd', '-q', '-t', sealed], check=True)
    decoded = subprocess.run(['zstd', '-dcq', sealed], stdout=subprocess.PIPE, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(decoded)) as tar:
        names = tar.getnames()
        check(all(m.isreg() and m.mode == 0o400 for m in tar.getmembers()), 'files of mode 0400')
    equal(names[-2:], ['LEDGER', 'README'], 'the last entries')
    equal(len([n for n in names if n.startswith('mail/')]), len(messages), 'messages')
    for command in (['tar', '--zstd', '-tf', sealed], ['bsdtar', '-tf', sealed]):
        out = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
        equal(out.decode().split(), names, command[0])
    if not shutil.which('7z'):
        raise Skip('7z is not installed')
    unpacked = subprocess.run(['7z', 'e', '-so', '-tzstd', sealed], stdout=subprocess.PIPE,
                              check=True).stdout
    check(unpacked == decoded, '7z decodes the same bytes')


@case
def recipes_lie_behind_their_parts_and_say_where(folder):
    sealed = seal(folder, mail(), frame_bytes=4 << 20)
    decoded = subprocess.run(['zstd', '-dcq', sealed], stdout=subprocess.PIPE, check=True).stdout
    data = sealed.read_bytes()
    seen, together, apart = {}, 0, 0
    # From the seek table: where frames begin, in the file and decoded.
    count, = struct.unpack('<I', data[-9:-5])
    table = struct.iter_unpack('<II', data[-9 - 8 * count:-9])
    frames, at, of = {}, 0, 0
    for size, much in table:
        frames[at] = of
        at, of = at + size, of + much
    with tarfile.open(fileobj=io.BytesIO(decoded)) as tar:
        for member in tar:
            if member.name.startswith('part/'):
                seen[member.name[5:]] = member.offset
            if not member.name.endswith('.recipe'):
                continue
            head = tar.extractfile(member).read().split(b'\n\n')[0].decode()
            for line in head.splitlines():
                if line.startswith(('raw', 'base64')):
                    words = line.split()
                    start, inside = int(words[-2]), int(words[-1])
                    equal(frames[start] + inside, seen[words[1]], 'place of a part')
                    own = max(f for f in frames.values() if f <= member.offset)
                    together += own == frames[start]
                    apart += own != frames[start]
    check(together > apart, f'{together} pieces lie in the frame of their recipe, {apart} do not')


def kept_by(there):
    """{(digest, account, UIDL)} of the unpacked LEDGER."""
    names, found = {}, set()
    for line in (there / 'LEDGER').read_text().splitlines():
        event = {k: urllib.parse.unquote_to_bytes(v) for k, _, v in
                 (field.partition('=') for field in line.split(' '))}
        if event['event'] == b'account':
            names[event['maildrop']] = event['name'].decode()
        else:
            found.add((event['digest'].decode(), names[event['maildrop']], event['uidl']))
    return found


@case
def its_ledger_lines_give_accounts_and_uidls(folder):
    messages = mail()[:5]
    drops = {1: 'anna', 2: 'bert with a space'}
    wanted, lines = set(), []
    t = 't=2026-01-31T23:59:59.999Z'

    def quote(value):
        return urllib.parse.quote_from_bytes(
            value, safe='!"#$&\'()*+,-./:;<=>?@[\\]^_`{|}~')
    for number, name in drops.items():
        lines.append(f'v=1 event=account {t} maildrop={number} name={quote(name.encode())} '
                     f'server=pop.example user=u{number}')
    for i, m in enumerate(messages):
        for number in drops:
            uidl = b'%d \xff%d' % (i, number)
            wanted.add((digest(m), drops[number], uidl))
            keep = number == 1
            lines.append(f'v=1 event={"keep" if keep else "see"} {t} maildrop={number} '
                         f'uidl={quote(uidl)} digest={digest(m)}' +
                         (f' size={len(m)} class=default source=pop3' if keep else
                          f' listed={len(m)}'))
    text = ''.join(line + '\n' for line in lines).encode()
    there = unpack(seal(folder, messages, text), folder / 'there')
    equal((there / 'LEDGER').read_bytes(), text, 'LEDGER')
    equal(kept_by(there), wanted, 'accounts and UIDLs')


@case
def what_popkeep_seals_gives_all_back_without_it(folder):
    messages = [m for m in mail() if m.endswith(b'\r\n') and len(m) < 1_000_000]
    served = [Message(m, b'uidl %d' % n) for n, m in enumerate(messages)]
    with Server(served) as server:
        keep = scripted_account(folder, server)
        keep.fetch()
    keep.run('seal')
    segment, = (keep.archive / 'segments').iterdir()
    there = unpack(segment, folder / 'there')
    equal(run_readme(there).returncode, 0, 'README')
    check_all_there(there, messages)
    equal(kept_by(there), {(digest(m.data), 'anna', m.uidl) for m in served}, 'accounts and UIDLs')


def one_attachment(folder):
    """Unpacked: one message with one part; its digest and the part's path."""
    message = attachment(b'bert@two.example', random.Random(5).randbytes(50_000))
    there = unpack(seal(folder, [message]), folder / 'there')
    part, = (there / 'part').iterdir()
    return there, digest(message), part


def refused(there, named):
    done = run_readme(there)
    equal(done.returncode, 1, 'exit status')
    check(named in done.stderr.decode(), f'{named} is named in {done.stderr}')
    check(b'Traceback' not in done.stderr, 'no traceback')
    left = [p.name for p in (there / 'mail').iterdir() if not re.fullmatch(
        '[0-9a-f]{64}[.](eml|recipe)', p.name)]
    equal(left, [], 'nothing is left over')


@case
def the_program_names_what_does_not_fit(folder):
    there, name, part = one_attachment(folder)
    whole, recipe = part.read_bytes(), there / 'mail' / f'{name}.recipe'
    text = recipe.read_bytes()
    recipe.chmod(0o600)
    part.chmod(0o600)
    part.write_bytes(b'x' + whole[1:])
    refused(there, part.name)
    part.write_bytes(whole[:-1])
    refused(there, name)
    part.unlink()
    refused(there, part.name)
    part.write_bytes(whole)
    for damaged in (b'', b'popkeep-recipe 2\n', text[:40], text[:-1],
                    text.replace(b'hello', b'hallo'), text.replace(b' 76 ', b' 75 '),
                    text.replace(b' 76 ', b' -1 '), text.replace(b' 76 ', b' x '),
                    text.replace(b'crlf', b'cr'), text.replace(b'size ', b'size -'),
                    text.replace(b'base64 ', b'base64 ../../'), text.replace(b'base64 ', b'\n'),
                    text.replace(b'base64', b'\xff'), b'x' * 100_000):
        recipe.write_bytes(damaged)
        refused(there, name)
        check(not (there / 'mail' / f'{name}.eml').exists(), 'no message was made')
    recipe.write_bytes(text)
    equal(run_readme(there).returncode, 0, 'whole again')


@case
def the_program_overwrites_nothing(folder):
    there, name, _ = one_attachment(folder)
    theirs = there / 'mail' / f'{name}.eml'
    theirs.write_bytes(b'something else')
    refused(there, name)
    equal(theirs.read_bytes(), b'something else', 'a file that was there')
    theirs.unlink()
    outside = folder / 'outside'
    theirs.symlink_to(outside)
    refused(there, name)
    check(not outside.exists(), 'nothing was written through a link')


@case
def the_program_writes_in_no_folder_but_its_own(folder):
    there, _, _ = one_attachment(folder)
    (there / 'mail').rename(folder / 'elsewhere')
    (there / 'mail').symlink_to(folder / 'elsewhere')
    before = sorted(os.listdir(folder / 'elsewhere'))
    equal(run_readme(there).returncode, 1, 'exit status')
    equal(sorted(os.listdir(folder / 'elsewhere')), before, 'the other folder')


if __name__ == '__main__':
    main()
