"""Mail from files: every message is kept, known or refused, and the sums say so."""
import io
import json
import mailbox
import os
import random
import shutil
import signal
import subprocess
import tarfile
import time
import zipfile

import client
import mailgen
import popkeep
from dovecot import Dovecot, Missing
from fixture import Tmpfs, a_dovecot
from imap_client import Client
from popkeep import DONE, FAILED, NOTHING, PARTLY, USAGE, WRITE, Popkeep
from service import Service
from tap import MissingServer, Skip, case, check, equal, main

WIRE = mailgen.mailbox('import', 30, size=2000)
MAIL = [m.replace(b'\r\n', b'\n') for m in WIRE]
WHEN = 1_500_000_000


def archive(folder, name='a'):
    (folder / name).mkdir()
    keep = Popkeep(folder / name)
    keep.write_config()
    keep.init()
    return keep


def small_messages(keep):
    keep.account('anna', 1, max_message_size='2M')


def take(keep, *paths, account='anna', code=DONE):
    """The summary; sums are checked, of each source and in all."""
    result = keep.json('import', *paths, '--account', account, code=code)
    for line in [*result.of_type('source'), result.summary]:
        equal(line['found'], line['kept'] + line['known'] + line['refused'], f'sums of {line}')
    equal(len(result.of_type('refused')), result.summary['refused'], 'refusals that are named')
    equal(len(result.of_type('lost')), result.summary['lost'], 'losses that are named')
    return result.summary | {'result': result}


def counts(summary):
    return tuple(summary[k] for k in ('found', 'kept', 'known', 'refused', 'lost'))


def filings(keep):
    """{digest: {(folder, flags, received)}} as the ledger has it."""
    ret = {}
    for line in keep.json('log').of_type('event'):
        f = line['fields']
        if 'folder' in f:
            ret.setdefault(f['digest'], set()).add(
                (f['folder'], f.get('flags', ''), f.get('received')))
    return ret


def check_kept(keep, messages):
    equal(keep.digests(), sorted({client.digest(m) for m in messages}), 'digests')
    equal(keep.verify().summary['damaged'], 0, 'damaged')


def maildir(path, messages, half='cur', flags='S', start=0):
    for part in ('cur', 'new', 'tmp'):
        (path / part).mkdir(parents=True, exist_ok=True)
    for n, data in enumerate(messages, start):
        name = f'{WHEN + n}.M{n}P1.host' + (f':2,{flags}' if half == 'cur' else '')
        (path / half / name).write_bytes(data)
        os.utime(path / half / name, (WHEN + n, WHEN + n))
    return path


def a_tree(folder):
    top = maildir(folder / 'Maildir', MAIL[:10], flags='FSa')
    (top / 'dovecot-keywords').write_text('0 $Forwarded\n1 NonJunk\n')
    maildir(top, MAIL[10:13], half='new', start=10)
    maildir(top / '.Sent.2026.&AMQ-rger', MAIL[13:18], flags='RS')
    maildir(top / 'nested' / 'R&-D', MAIL[18:20], flags='')
    (top / 'tmp' / f'{WHEN}.M1P1.host').write_bytes(b'Subject: half\n')
    (top / 'dovecot-uidlist').write_text('3 V1 N1\n')
    return top


def check_tree(keep, top):
    found = filings(keep)
    stamp = time.strftime('%Y-%m-%dT%H:%M:%S.000Z', time.gmtime(WHEN))
    equal(found[client.digest(MAIL[0])], {(top, '\\Flagged \\Seen $Forwarded', stamp)}, 'in cur')
    equal({f[:2] for f in found[client.digest(MAIL[11])]}, {(top, '')}, 'in new')
    equal({f[:2] for f in found[client.digest(MAIL[13])]},
          {('Sent/2026/\u00c4rger', '\\Answered \\Seen')}, 'in a subfolder')
    equal({f[:2] for f in found[client.digest(MAIL[18])]}, {('nested/R&D', '')}, 'nested')


@case
def a_maildir_comes_with_folders_flags_and_times_and_is_known_the_second_time(folder):
    keep = archive(folder)
    top = a_tree(folder)
    before = {p: (p.stat().st_mtime_ns, p.stat().st_size) for p in top.rglob('*')}
    equal(counts(take(keep, top)), (20, 20, 0, 0, 0), 'the first time')
    equal(counts(take(keep, top)), (20, 0, 20, 0, 0), 'the second time')
    check_kept(keep, MAIL[:20])
    check_tree(keep, 'INBOX')
    equal({p: (p.stat().st_mtime_ns, p.stat().st_size) for p in top.rglob('*')}, before, 'source')
    line = keep.status('anna')
    equal((line['listed'], line['archived'], line['imported'], line['attention'], line['stale']),
          (20, 20, True, False, False), 'status')
    keep.run('status', '--max-age', '1s')
    check('anna, imports: 20 messages' in keep.run('status', '--all').out.decode(), 'status in words')
    equal(len(keep.json('search', 'account:anna').of_type('message')), 20, 'search')
    keep.run('rebuild')
    equal(counts(take(keep, top)), (20, 0, 20, 0, 0), 'after a rebuild')
    # A folder of its own, by name.
    equal(keep.json('import', top / '.Sent.2026.&AMQ-rger', '--account', 'anna', '--folder',
                    'Old/Sent').summary['duplicate'], 5, 'bytes that were there')
    check('Old/Sent' in {f[0] for f in filings(keep)[client.digest(MAIL[13])]}, '--folder')


@case
def archives_of_it_are_the_same(folder):
    keep = archive(folder)
    top = a_tree(folder)
    run = lambda *command: subprocess.run(command, cwd=folder, check=True, capture_output=True)
    run('tar', '-cf', 'gnu.tar', 'Maildir')
    run('tar', '--zstd', '-cf', 'gnu.tar.zst', '-C', 'Maildir', '.')
    run('tar', '--format=pax', '-czf', 'pax.tgz', 'Maildir')
    with zipfile.ZipFile(folder / 'python.zip', 'w', zipfile.ZIP_DEFLATED) as z:
        for path in sorted(top.rglob('*')):
            z.write(path, path.relative_to(folder))
    names = ['gnu.tar', 'gnu.tar.zst', 'pax.tgz', 'python.zip']
    if shutil.which('bsdtar'):
        run('bsdtar', '-cf', 'bsd.zip', '--format', 'zip', 'Maildir')
        run('bsdtar', '-cJf', 'bsd.tar.xz', 'Maildir')
        names += ['bsd.zip', 'bsd.tar.xz']
    if shutil.which('7z'):
        run('7z', 'a', '-tzip', 'seven.zip', 'Maildir')
        names += ['seven.zip']
    equal(counts(take(keep, folder / names[0])), (20, 20, 0, 0, 0), names[0])
    check_tree(keep, 'INBOX')
    for name in names[1:]:
        equal(counts(take(keep, folder / name)), (20, 0, 20, 0, 0), name)
    with open(folder / 'gnu.tar.zst', 'rb') as pipe:
        done = subprocess.run(keep.command('--json', 'import', '-', '--account', 'anna'),
                              stdin=pipe, env=keep.environment(), capture_output=True)
    last = json.loads(done.stdout.splitlines()[-1])
    equal((done.returncode, last['known']), (0, 20), 'through a pipe')
    check_kept(keep, MAIL[:20])


@case
def hard_links_in_a_tar_are_messages_too(folder):
    keep = archive(folder)
    top = maildir(folder / 'Maildir', MAIL[:2])
    maildir(top / '.Trash', [])
    for path in list((top / 'cur').iterdir()):
        os.link(path, top / '.Trash' / 'cur' / path.name.replace(':2,S', ':2,ST'))
    subprocess.run(['tar', '-cf', 'x.tar', 'Maildir'], cwd=folder, check=True)
    equal(counts(take(keep, folder / 'x.tar')), (4, 4, 0, 0, 0), 'from tar')
    equal(counts(take(keep, top)), (4, 0, 4, 0, 0), 'from the folder')
    equal({f[:2] for f in filings(keep)[client.digest(MAIL[0])]},
          {('INBOX', '\\Seen'), ('Trash', '\\Seen \\Deleted')}, 'places')


@case
def folders_hold_eml_mh_and_mbox_and_what_is_no_mail_is_counted(folder):
    keep = archive(folder)
    top = folder / 'mail'
    (top / 'a' / 'b').mkdir(parents=True)
    for n in range(4):
        (top / 'a' / 'b' / f'{n}.eml').write_bytes(WIRE[n])
    (top / 'a' / '7').write_bytes(MAIL[5])                      # MH
    box = mailbox.mbox(top / 'Sent')                            # Thunderbird
    for m in MAIL[6:10]:
        box.add(m)
    box.close()
    (top / 'Sent.sbd').mkdir()
    shutil.copy(top / 'Sent', top / 'Sent.sbd' / 'Old.mbox')
    (top / 'notes.txt').write_text('no mail at all\n')
    (top / '.hidden').write_text('Subject: x\n\n')
    s = take(keep, top)
    equal(counts(s), (13, 13, 0, 0, 0), 'sums')
    equal((s['passed'], s['duplicate']), (2, 4), 'other files, and mail in two places')
    check_kept(keep, WIRE[:4] + MAIL[5:10])
    equal({f[0] for f in filings(keep)[client.digest(WIRE[0])]}, {'a/b'}, 'folder of an eml')
    equal({f[0] for f in filings(keep)[client.digest(MAIL[6])]}, {'Sent', 'Sent/Old'}, 'of an mbox')
    equal(counts(take(keep, top / 'a' / 'b' / '0.eml', top / 'Sent')), (5, 1, 4, 0, 0), 'by name')


@case
def nothing_is_written_by_a_dry_run_that_counts_the_same(folder):
    keep = archive(folder)
    top = a_tree(folder)
    take(keep, top / '.Sent.2026.&AMQ-rger', account='bert')
    log = keep.json('log').out
    s = keep.json('import', top, top, '--account', 'anna', '--dry-run').summary
    equal((s['found'], s['kept'], s['known'], s['duplicate'], s['dry_run']), (40, 20, 20, 5, True), 's')
    equal(keep.json('log').out, log, 'ledger')
    real = take(keep, top, top)
    equal([real[k] for k in ('found', 'kept', 'known', 'duplicate', 'bytes')],
          [s[k] for k in ('found', 'kept', 'known', 'duplicate', 'bytes')], 'dry and real')
    fresh = Popkeep(folder / 'home2') if (folder / 'home2').mkdir() is None else None
    fresh.write_config()
    fresh.run('import', top, '--account', 'x', '--dry-run')
    check(not fresh.archive.exists(), 'a dry run made an archive')
    fresh.run('import', top, '--account', 'x')                  # the configured one is made
    check(fresh.archive.exists(), 'no archive')


@case
def what_cannot_be_read_is_named_and_the_rest_goes_on(folder):
    keep = archive(folder)
    small_messages(keep)
    top = maildir(folder / 'Maildir', MAIL[:3])
    os.symlink('/etc/passwd', top / 'cur' / 'link:2,S')
    os.mkfifo(top / 'cur' / 'fifo:2,S')
    os.symlink('..', top / 'loop')
    (top / 'x.tar').write_bytes(b'PK\3\4 not')
    with open(top / 'cur' / 'huge:2,', 'wb') as f:
        f.truncate(300 << 30)
    name = 'n' * 250
    (top / 'cur' / name).write_bytes(MAIL[3])
    s = take(keep, top, code=PARTLY)
    equal(counts(s), (7, 4, 0, 3, 2), 'sums')
    told = ' '.join(o['where'] + o['why'] for o in s['result'].of_type('refused'))
    for word in ('link:2,S', 'fifo:2,S', 'huge:2,', 'symbolic link', 'larger than'):
        check(word in told, f'{word} in {told}')
    equal(counts(take(keep, folder / 'none', top / 'cur' / name, code=PARTLY)), (1, 1, 0, 0, 1), 'gone')
    (folder / 'text').write_text('nothing\n')
    equal(counts(take(keep, folder / 'text', code=PARTLY)), (0, 0, 0, 0, 1), 'neither')
    (folder / 'empty').mkdir()
    equal(counts(take(keep, folder / 'empty', code=NOTHING)), (0, 0, 0, 0, 0), 'nothing')
    keep.run('import', top, code=USAGE)
    keep.run('import', top, '--account', 'a b', code=USAGE)
    keep.run('import', top, '--account', 'a', '--format', 'pst', code=USAGE)
    check_kept(keep, MAIL[:4])


@case
def broken_archives_lose_what_is_broken_only(folder):
    keep = archive(folder)
    small_messages(keep)
    with tarfile.open(folder / 'evil.tar', 'w') as t:
        for name, data in (('../../up.eml', MAIL[0]), ('/abs/root.eml', MAIL[1]),
                           ('x' * 3000 + '/deep.eml', MAIL[2]), ('in.zip', b'PK\3\4....'),
                           ('\x1b[31m.eml', MAIL[3]), ('last.eml', MAIL[4])):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            t.addfile(info, io.BytesIO(data))
    s = take(keep, folder / 'evil.tar', code=PARTLY)
    equal(counts(s), (5, 5, 0, 0, 1), 'names are only names')
    check(not list(folder.parent.glob('up.eml')), 'something was unpacked')
    check('\x1b' not in s['result'].err, 'an escape sequence')
    whole = (folder / 'evil.tar').read_bytes()
    at = whole.index(MAIL[4])
    (folder / 'cut.tar').write_bytes(whole[:at + 100])
    s = take(keep, folder / 'cut.tar', code=PARTLY)
    equal(counts(s), (5, 0, 4, 1, 2), 'a tar that is cut')
    with zipfile.ZipFile(folder / 'bad.zip', 'w') as z:
        for n in range(5, 8):
            z.writestr(f'{n}.eml', MAIL[n])
    data = bytearray((folder / 'bad.zip').read_bytes())
    data[data.index(MAIL[6]) + 50] ^= 1
    (folder / 'bad.zip').write_bytes(data)
    s = take(keep, folder / 'bad.zip', code=PARTLY)
    equal(counts(s), (3, 2, 0, 1, 0), 'a checksum that does not fit')
    # Zeros without end, in a message and in an mbox.
    with zipfile.ZipFile(folder / 'bomb.zip', 'w', zipfile.ZIP_DEFLATED) as z:
        with z.open('bomb.eml', 'w', force_zip64=True) as f:
            f.write(b'Subject: bomb\n\n')
            for _ in range(5):
                f.write(bytes(1 << 20))
        z.writestr('after.eml', MAIL[8])
    s = take(keep, folder / 'bomb.zip', code=PARTLY)
    equal(counts(s), (2, 1, 0, 1, 0), 'a bomb')
    (folder / 'bomb.eml').write_bytes(b'Subject: bomb\n\n' + bytes(5 << 20))
    subprocess.run(['gzip', folder / 'bomb.eml'], check=True)
    equal(counts(take(keep, folder / 'bomb.eml.gz', code=PARTLY)), (1, 0, 0, 1, 0), 'a small one')
    check_kept(keep, MAIL[:6] + MAIL[7:9])


@case
def with_crlf_a_maildir_is_what_pop3_gives(folder):
    mail = MAIL[:15] + [b'Subject: no end\n\nthe last line has no end', b'Subject: mixed\r\n\r\na\nb\r\n',
                        b'Subject: bare\n\na\rb\r\n', b'Subject: header only\n']
    with a_dovecot(folder, {'anna': mail}) as server:
        keep = Popkeep(folder)
        keep.account('anna', server.plain)
        keep.fetch('anna')
        kept = keep.digests()
        box = server.base / 'mail' / 'anna'
        s = keep.json('import', box, '--crlf', '--account', 'anna').summary
        equal((s['found'], s['kept'], s['duplicate'], s['bytes']), (19, 19, 19, 0), 'with --crlf')
        equal(keep.digests(), kept, 'digests')
        s = keep.json('import', box, '--account', 'anna', '--folder', 'raw').summary
        equal((s['found'], s['kept'], s['duplicate']), (19, 19, 0), 'without')
        # Both maildrops of the name: the polled one stays what it is.
        lines = [o for o in keep.json('status', '--all').of_type('account') if o['account'] == 'anna']
        equal(sorted((o['imported'], o['attention']) for o in lines),
              [(False, False), (True, False)], 'status')
        keep.fetch('anna')


@case
def dovecots_own_maildir_comes_with_what_imap_set(folder):
    try:
        server = Dovecot(folder / 'dovecot', {'anna': 'secret'}, imap=True)
    except Missing as e:
        raise MissingServer(e) from e
    keep = archive(folder)
    with server:
        with Client(server.imap, 'anna', 'secret', 'starttls', server.ca) as box:
            box.append('INBOX', MAIL[0], flags=['\\Seen', '$Forwarded', 'work'], when=WHEN)
            box.create('Arch\u00edv.\u00dcbung')
            box.append('Arch\u00edv.\u00dcbung', MAIL[1], flags=['\\Flagged'], when=WHEN + 5)
    s = take(keep, server.base / 'mail' / 'anna')
    equal(s['kept'], 2, 'kept')
    equal(sorted(x[:2] for v in filings(keep).values() for x in v),
          [('Arch\u00edv/\u00dcbung', '\\Flagged'), ('INBOX', '\\Seen $Forwarded work')], 'places')
    equal({x[2][:19] for v in filings(keep).values() for x in v},
          {time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(WHEN + n)) for n in (0, 5)}, 'times')


@case
def files_that_are_renamed_meanwhile_are_not_lost(folder):
    keep = archive(folder)
    top = folder / 'Maildir'
    mail = [b'Subject: %d\n\n%d\n' % (n, n) for n in range(3000)]
    maildir(top, mail[:1500], half='new')
    maildir(top, mail[1500:], flags='', start=1500)
    process = keep.start('--json', 'import', top, '--account', 'anna')
    rng = random.Random(1)
    while process.poll() is None:
        names = os.listdir(top / 'new')
        for name in rng.sample(names, min(len(names), 50)):
            os.rename(top / 'new' / name, top / 'cur' / (name + ':2,'))
        for name in rng.sample(os.listdir(top / 'cur'), 50):
            base = name.split(':')[0]
            os.rename(top / 'cur' / name, top / 'cur' / f'{base}:2,{rng.choice(["", "S", "FS"])}')
        time.sleep(0.06)
    result = keep.finish(process)
    equal((result.code, result.summary['refused'], result.summary['lost']), (DONE, 0, 0), str(result))
    check_kept(keep, mail)


@case
def after_kill_and_interrupt_the_same_command_goes_on(folder):
    keep = archive(folder)
    mail = [b'Subject: %d\n\n' % n + random.Random(n).randbytes(6000).hex().encode() + b'\n'
            for n in range(3000)]
    top = maildir(folder / 'Maildir', mail)
    for n in range(6):
        process = keep.start('--json', 'import', top, '--account', 'anna')
        time.sleep(0.05 + 0.06 * n)
        process.send_signal(signal.SIGINT if n % 2 else signal.SIGKILL)
        out, err = process.communicate(timeout=60)
        if process.returncode == FAILED:
            last = json.loads(out.splitlines()[-1])
            equal(last['whole'], False, 'an interrupted import')
            equal(last['found'], last['kept'] + last['known'] + last['refused'], str(last))
            check(b'same command goes on' in err, str(err))
        keep.verify()
    s = take(keep, top)
    equal((s['found'], s['refused']), (3000, 0), 'found in the end')
    check_kept(keep, mail)


@case
def a_full_disk_ends_it_and_loses_nothing(folder):
    mail = [b'Subject: %d\n\n' % n + random.Random(n).randbytes(40000).hex().encode() + b'\n'
            for n in range(300)]
    top = maildir(folder / 'Maildir', mail)
    with Tmpfs(folder, '10m') as small:
        keep = Popkeep(small.folder)
        keep.write_config()
        keep.init()
        result = keep.json('import', top, '--account', 'anna', code=WRITE)
        equal(result.summary['whole'], False, 'whole')
        small.resize('60m')
        s = take(keep, top)
        equal(s['found'], 300, 'found')
        check_kept(keep, mail)


@case
def it_works_beside_the_running_service(folder):
    with a_dovecot(folder, {'anna': WIRE[:10]}) as server:
        keep = Popkeep(folder)
        keep.account('anna', server.plain, interval='10s')
        keep.init()
        top = maildir(folder / 'Maildir', [b'Subject: %d\n\nx\n' % n for n in range(2000)])
        with Service(keep):
            equal(counts(take(keep, top)), (2000, 2000, 0, 0, 0), 'beside the service')
            keep.fetch('anna')
        equal(keep.verify().summary['messages'], 2010, 'messages')


@case
def compressed_files_are_read(folder):
    keep = archive(folder)
    box = mailbox.mbox(folder / 'list.mbox')
    for m in MAIL[:5]:
        box.add(m)
    box.close()
    subprocess.run(['gzip', '-k', folder / 'list.mbox'], check=True)
    equal(counts(take(keep, folder / 'list.mbox')), (5, 5, 0, 0, 0), 'as it is')
    equal(counts(take(keep, folder / 'list.mbox.gz')), (5, 0, 5, 0, 0), 'compressed')
    top = maildir(folder / 'Maildir', MAIL[5:7])                # as Dovecot's zlib plugin does
    for path in list((top / 'cur').iterdir()):
        subprocess.run(['zstd', '-q', '--rm', path, '-o', str(path) + 'Z'], check=True)
    equal(counts(take(keep, top)), (2, 2, 0, 0, 0), 'in a Maildir')
    check_kept(keep, MAIL[:7])


def refile(message):
    return b'From anna@example.org Thu Jan  1 00:00:00 2026\n' + message


@case
def a_from_line_is_a_part_of_what_is_one_message(folder):
    keep = archive(folder)
    mail = [refile(m) + b'\n' + refile(b'Subject: y\n\n') for m in MAIL[:12]]
    maildir(folder / 'Maildir', mail[:2])
    top = folder / 'tree'
    (top / 'mh').mkdir(parents=True)
    (top / 'one.eml').write_bytes(mail[2])
    (top / 'mh' / '.mh_sequences').write_text('unseen: 1\n')
    (top / 'mh' / '7').write_bytes(mail[3])
    (folder / 'single.eml').write_bytes(mail[4])
    with tarfile.open(folder / 'x.tgz', 'w:gz') as t:
        for name, data in (('a/1.eml', mail[5]), ('M/cur/1:2,S', mail[6])):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            t.addfile(info, io.BytesIO(data))
    with zipfile.ZipFile(folder / 'x.zip', 'w') as z:
        z.writestr('b/2.EML', mail[7])
    s = take(keep, folder / 'Maildir', top, folder / 'single.eml', folder / 'x.tgz', folder / 'x.zip')
    equal(counts(s), (8, 8, 0, 0, 0), 'sums')
    check_kept(keep, mail[:8])
    # Without a name that says so it is an mbox, unless --format does.
    (folder / 'box').write_bytes(mail[8])
    with tarfile.open(folder / 'y.tar', 'w') as t:
        info = tarfile.TarInfo('17')
        info.size = len(mail[9])
        t.addfile(info, io.BytesIO(mail[9]))
    s = take(keep, folder / 'box', folder / 'y.tar', '--dry-run')
    equal((s['found'], [line.get('read_as') for line in s['result'].of_type('source')]),
          (4, [{'mboxrd': 1}, {'mboxrd': 1}]), 'as mboxes')
    equal(counts(take(keep, folder / 'box', folder / 'y.tar', '--format', 'eml')), (2, 2, 0, 0, 0), '')
    check_kept(keep, mail[:10])


@case
def of_many_mboxes_the_dialect_is_told_once(folder):
    keep = archive(folder)
    top = folder / 'boxes'
    top.mkdir()
    for n in range(5):
        (top / f'{n}.mbox').write_bytes(refile(b'Subject: %d\n\nx\n' % n))
    said = lambda *more: keep.run(*more, 'import', top, '--account', 'anna', '--dry-run').err
    equal(said().count('read as mboxrd'), 5, 'a few')
    for n in range(5, 30):
        (top / f'{n}.mbox').write_bytes(refile(b'Subject: %d\n\nx\n' % n))
    check('30 files read as mboxrd; -v names each' in said(), said())
    equal(said().count('read as'), 1, 'many')
    equal(said('-v').count('read as mboxrd'), 30, 'many with -v')
    s = take(keep, top)
    equal([line['read_as'] for line in s['result'].of_type('source')], [{'mboxrd': 30}], 'JSON')
    equal([o for o in s['result'].of_type('note') if 'read as' in o['text']], [], 'notes')


@case
def a_takeout_comes_with_its_labels_packed_and_from_a_pipe(folder):
    keep = archive(folder)
    labels = ['Inbox,Unread', 'Sent', 'Work/Plans,Inbox', 'Archived', 'Starred,Sent']
    box = b''.join(b'From %d@xxx Thu Jan 01 00:00:00 +0000 2026\nX-GM-THRID: %d\nX-Gmail-Labels: %s\n'
                   % (n, n, label.encode()) + MAIL[n].rstrip(b'\n') + b'\n\n'
                   for n, label in enumerate(labels))
    name = 'Takeout/Mail/All mail Including Spam and Trash.mbox'
    with zipfile.ZipFile(folder / 'takeout.zip', 'w', zipfile.ZIP_DEFLATED) as z:
        z.writestr('Takeout/archive_browser.html', '<html>')
        z.writestr(name, box)
    with tarfile.open(folder / 'takeout.tgz', 'w:gz') as t:
        info = tarfile.TarInfo(name)
        info.size = len(box)
        t.addfile(info, io.BytesIO(box))
    (folder / 'all.mbox').write_bytes(box)
    s = take(keep, folder / 'takeout.zip')
    equal((counts(s), s['passed']), ((5, 5, 0, 0, 0), 1), 'zip')
    equal(sorted({f[0] for v in filings(keep).values() for f in v}),
          ['Archive', 'INBOX', 'Sent', 'Work/Plans'], 'folders')
    check(any('\\Flagged' in f[1] for v in filings(keep).values() for f in v), 'starred')
    equal(counts(take(keep, folder / 'takeout.tgz')), (5, 0, 5, 0, 0), 'tgz')
    equal(counts(take(keep, folder / 'all.mbox')), (5, 0, 5, 0, 0), 'mbox')
    for packed in ('all.mbox', 'takeout.zip', 'takeout.tgz'):
        done = subprocess.run(f'cat {folder / packed} | '
                              f'{" ".join(map(str, keep.command("--json", "import", "-", "--account", "anna")))}',
                              shell=True, env=keep.environment(), capture_output=True)
        last = json.loads(done.stdout.splitlines()[-1])
        equal((done.returncode, last['found'], last['known']), (0, 5, 5), f'{packed} through a pipe')
    keep.verify()


EXPORTS = (('eml', 'eml'), ('maildir', 'Maildir'), ('mboxrd', 'mail.mbox'), ('tar', 'mail.tar'),
           ('tar.zst', 'mail.tar.zst'), ('zip', 'mail.zip'))


@case
def an_export_comes_back_to_where_it_was(folder):
    keep = archive(folder)
    top = a_tree(folder)
    maildir(top / '.Wire', [WIRE[20], refile(MAIL[21])] + [
        b'Subject: %d\n\n' % n + random.Random(n).randbytes(3000).hex().encode() + b'\n'
        for n in range(28)])
    take(keep, top)
    before = filings(keep)
    for format, name in EXPORTS:
        out = folder / f'{format}-{name}'
        out.mkdir()
        keep.run('export', '--format', format, '--output', out / name)
        equal(counts(take(keep, out / name)), (50, 0, 50, 0, 0), f'{name} named')
        if format in ('eml', 'maildir', 'mboxrd'):
            equal(counts(take(keep, out)), (50, 0, 50, 0, 0), f'{name} in a folder')
        fresh = archive(folder, f'{format}-{name}-archive')
        take(fresh, out / name)
        equal(filings(fresh), before, f'filings from {name}')
        equal(keep.json('import', out / name, '--account', 'anna', '--dry-run').summary['known'], 50,
              f'{name}, dry')
    for format, name in (('mboxrd', 'm.mbox'), ('tar', 'm.tar'), ('tar.zst', 'm.tar.zst'), ('zip', 'm.zip')):
        out = folder / f'split-{format}'
        out.mkdir()
        keep.run('export', '--format', format, '--split', '64K', '--output', out / name)
        parts = sorted(p for p in out.iterdir() if p.name.startswith('m-0') and '.mbox.' not in p.name)
        check(len(parts) > 1, f'{parts}')
        equal(counts(take(keep, *parts)), (50, 0, 50, 0, 0), f'{name} split')
    equal(filings(keep), before, 'filings')


@case
def a_manifest_that_lies_harms_nothing(folder):
    keep = archive(folder)
    out = folder / 'x'
    out.mkdir()
    lines = []
    for n, more in enumerate(({'folder': '../../etc', 'flags': '\\Seen'},
                              {'folder': 'a\x1b[31m//b', 'flags': 'x\ny', 'received': 'never'},
                              {'folder': 'c' * 5000, 'flags': ' \\Seen  a'},
                              {'folder': 7, 'flags': []},
                              {'digest': client.digest(MAIL[9]), 'folder': 'wrong'})):
        (out / f'{n}.eml').write_bytes(MAIL[n])
        line = {'type': 'file', 'file': f'{n}.eml', 'digest': client.digest(MAIL[n]),
                'size': len(MAIL[n]), 'accounts': ['anna']} | more
        lines.append(json.dumps(line) + '\n')
    (out / 'manifest.jsonl').write_text(''.join(lines))
    (out / 'sub').mkdir()
    (out / 'sub' / '5.eml').write_bytes(MAIL[5])
    equal(counts(take(keep, out)), (6, 6, 0, 0, 0), 'sums')
    found = filings(keep)
    equal([{f[:2] for f in found[client.digest(MAIL[n])]} for n in (0, 1, 3, 4, 5)],
          [{('etc', '\\Seen')}, {('a\\x1b[31m/b', '')}, {('', '')}, {('', '')}, {('sub', '')}], 'places')
    equal(len(next(iter(found[client.digest(MAIL[2])]))[0]) < 2000, True, 'a long name')
    # What is no manifest is not followed, and nobody waits for it.
    for make, code in ((lambda p: p.write_text(lines[0] + '{}\n' + lines[1]), DONE),
                       (os.mkfifo, DONE), (lambda p: os.symlink('/dev/zero', p), PARTLY),
                       (lambda p: p.write_bytes(b'{' * (2 << 20)), DONE)):
        (out / 'manifest.jsonl').unlink()
        make(out / 'manifest.jsonl')
        s = keep.json('import', out, '--account', 'b', '--dry-run', code=code)
        equal((s.summary['kept'], s.summary['refused']), (6, 0), 'ignored')
    check_kept(keep, MAIL[:6])


if __name__ == '__main__':
    main()
