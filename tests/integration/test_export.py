"""Export as mboxrd and as maildir: what other programs read from it, the way back to the exact bytes,
and how it goes on after whatever ended it. (test_commands.py has eml.)"""
import collections
import hashlib
import json
import mailbox
import re
import resource
import shutil
import signal
import subprocess

import client
import fixture
import mailgen
import popkeep
import tap
from popkeep import DAMAGED, FAILED, USAGE
from tap import case, check, equal

HEAD = b'Return-Path: <anna@example.com>\r\nSubject: x\r\n\r\n'
ODD = [
    HEAD + b'From here\r\n>From there\r\n>>>From x\r\n From y\r\nFrom: z\r\nFrom\r\n',
    b'From the first line on\r\n\r\nFrom \r\n\r\n\r\n',
    b'Subject: bare LF\r\n\r\none\ntwo\r\nFrom three\nFrom four\r\n',
    b'Subject: bare CR\r\n\r\none\rtwo\r\r\nFrom\rthree\r\n\r\r\r\n',
    b'Subject: NUL\r\n\r\n\0\0From \r\n\0\r\n',
    b'Subject: long\r\n\r\n' + b'>' * 70000 + b'From x\r\n' + b'x' * 200000 + b'\r\n',
    b'\r\n',
]
MAIL = mailgen.mailbox('export', 40) + ODD
ASCTIME = re.compile(rb'From (\S+) [A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}\n')


def archive(folder):
    return fixture.fetched_archive(folder, MAIL)


def lines_of(manifest):
    return [json.loads(line) for line in manifest.read_text().splitlines()]


def back(mbox, entry):
    """The way from mboxrd back to the message, as the manual tells it."""
    data = mbox[entry['offset']:entry['offset'] + entry['length']]
    head, data = data.split(b'\n', 1)
    check(ASCTIME.fullmatch(head + b'\n'), head)
    check(data.endswith(b'\n'), 'the empty line')
    data = re.sub(rb'^>(>*From )', rb'\1', data[:-1], flags=re.MULTILINE)
    if entry['line_ends'] == 'crlf':
        data = data.replace(b'\n', b'\r\n')
    return data[:entry['size']]


def check_mbox(path, mail):
    data, entries = path.read_bytes(), lines_of(path.with_name(path.name + '.manifest.jsonl'))
    equal(sorted(back(data, e) for e in entries), sorted(mail), 'messages by the manifest')
    for e in entries:
        equal(hashlib.sha256(back(data, e)).hexdigest(), e['digest'], 'digest')
        equal((e['file'], e['accounts']), (path.name, ['anna']), 'file and accounts')
    at = 0
    for e in entries:
        equal(e['offset'], at, 'offset')
        at += e['length']
    equal(at, len(data), 'the whole file is told of')
    equal(sorted(p.name for p in path.parent.iterdir() if path.name in p.name),
          [path.name + e for e in ('', '.SHA256SUMS', '.manifest.jsonl', '.summary.txt')], 'files')
    check_sums(path.parent, path.name + '.SHA256SUMS', 3)
    # A reader that knows no manifest: a message begins after an empty line, or at the beginning.
    begins = [m.start() for m in re.finditer(rb'(?:\A|(?<=\n\n))From ', data)]
    equal(begins, [e['offset'] for e in entries], 'where a plain reader sees messages begin')


def check_sums(folder, name, count):
    """What sha256sum says of it."""
    done = subprocess.run(['sha256sum', '-c', '--strict', name], cwd=folder, capture_output=True,
                          text=True, check=False)
    equal((done.returncode, len(done.stdout.splitlines())), (0, count), f'sums: {done}')


def check_maildir(path, mail):
    entries = lines_of(path / 'manifest.jsonl')
    check_sums(path, 'SHA256SUMS', len(mail) + 2)
    for e in entries:
        check(re.fullmatch(r'cur/\d+\.[0-9a-f]{20}\.popkeep,S=\d+:2,S', e['file']), e)
        data = (path / e['file']).read_bytes()
        equal((hashlib.sha256(data).hexdigest(), len(data)), (e['digest'], e['size']), 'file')
        check(f",S={e['size']}:" in e['file'], e)
    equal(sorted(e['digest'] for e in entries),
          sorted(hashlib.sha256(m).hexdigest() for m in mail), 'digests')
    equal(sorted(p.name for p in (path / 'cur').iterdir()),
          sorted(e['file'][4:] for e in entries), 'files')
    equal(list((path / 'tmp').iterdir()) + list((path / 'new').iterdir()), [], 'new and tmp')


# ---- What is in it ---------------------------------------------------------------------------

@case
def mboxrd_can_be_turned_back_into_the_exact_bytes(folder):
    keep, out = archive(folder), folder / 'all.mbox'
    result = keep.json('export', '--format', 'mboxrd', '--output', out)
    equal(result.summary['messages'], len(MAIL), 'messages')
    check_mbox(out, MAIL)
    equal(out.stat().st_mode & 0o777, 0o600, 'mode')
    senders = collections.Counter(ASCTIME.findall(out.read_bytes()))
    check(senders[b'anna@example.com'] == 1 and senders[b'MAILER-DAEMON'] > 1, senders)


@case
def pythons_mailbox_reads_mboxrd(folder):
    keep, out = archive(folder), folder / 'all.mbox'
    keep.run('export', '--format', 'mboxrd', '--output', out)
    box = mailbox.mbox(out, create=False)
    found = sorted(box.get_bytes(k) for k in box.keys())
    quoted = [re.sub(rb'^(>*From )', rb'>\1', m, flags=re.MULTILINE) for m in MAIL]
    wanted = sorted(m if re.search(rb'(?<!\r)\n', m) else m.replace(b'\r\n', b'\n')
                    for m in quoted)
    equal(found, wanted, 'messages')


@case
def pythons_mailbox_reads_a_maildir(folder):
    keep, out = archive(folder), folder / 'box'
    result = keep.json('export', '--format', 'maildir', '--output', out)
    equal(result.summary['messages'], len(MAIL), 'messages')
    check_maildir(out, MAIL)
    box = mailbox.Maildir(out, create=False)
    equal(sorted(box.get_bytes(k) for k in box.keys()), sorted(MAIL), 'messages')
    check(all('S' in m.get_flags() for m in box), 'marked as seen')


@case
def dovecot_serves_an_exported_maildir(folder):
    mail = fixture.for_dovecot(mailgen.mailbox('served', 60, size=3000))
    with fixture.a_dovecot(folder, {'anna': mail, 'moved': []}) as server:
        keep = popkeep.Popkeep(folder)
        keep.account('anna', server.plain)
        keep.fetch()
        box = server.base / 'mail' / 'moved'
        shutil.rmtree(box)
        command = ('export', '--format', 'maildir', '--output', box)
        keep.run(*command)
        server.own(box)
        served = client.fetch_all(server.plain, 'moved', 'secret')
        equal(sorted(data for _, data in served), sorted(mail), 'what Dovecot serves')
        equal(keep.json(*command).summary['present'], len(mail), 'still there after Dovecot')
        equal([uidl for uidl, _ in client.fetch_all(server.plain, 'moved', 'secret')],
              [uidl for uidl, _ in served], 'UIDLs')


@case
def a_query_chooses_and_an_empty_choice_writes_nothing(folder):
    keep = archive(folder)
    small = [m for m in MAIL if len(m) < 1000]
    keep.run('export', 'size:<1000', '--format', 'mboxrd', '--output', folder / 'small')
    check_mbox(folder / 'small', small)
    keep.run('export', 'size:<1', '--format', 'mboxrd', '--output', folder / 'no',
             code=popkeep.NOTHING)
    equal([p for p in folder.iterdir() if 'no' in p.name], [], 'files')


# ---- What is there already -------------------------------------------------------------------

@case
def an_mbox_is_never_written_over(folder):
    keep, out = archive(folder), folder / 'all.mbox'
    command = ('export', '--format', 'mboxrd', '--output', out)
    out.write_text('mine')
    keep.run(*command, code=USAGE)
    equal(out.read_text(), 'mine', 'the file')
    out.unlink()
    out.symlink_to('elsewhere')
    keep.run(*command, code=USAGE)
    out.unlink()
    manifest = folder / 'all.mbox.manifest.jsonl'
    manifest.write_text('mine')
    keep.run(*command, code=USAGE)
    equal(manifest.read_text(), 'mine', 'the manifest')
    equal([p.name for p in folder.iterdir() if 'mbox' in p.name], [manifest.name], 'files')
    for name in (folder, f'{folder}/', f'{folder}/..', folder / 'no' / 'folder'):
        keep.run('export', '--format', 'mboxrd', '--output', name, code=(USAGE, FAILED))


@case
def an_export_of_another_kind_is_left_alone(folder):
    keep, out = archive(folder), folder / 'out'
    keep.run('export', '--format', 'maildir', '--output', out)
    keep.run('export', '--format', 'eml', '--output', out, code=USAGE)
    keep.run('export', 'size:>10', '--format', 'maildir', '--output', out, code=USAGE)
    check_maildir(out, MAIL)
    keep.run('export', '--format', 'mbox', '--output', folder / 'x', code=USAGE)


@case
def a_maildir_that_was_used_gets_nothing_twice(folder):
    keep, out = archive(folder), folder / 'box'
    command = ('export', '--format', 'maildir', '--output', out)
    keep.run(*command)
    answered, new, gone = sorted((out / 'cur').iterdir())[:3]
    answered.rename(f'{answered}R')
    new.rename(out / 'new' / new.name.partition(':')[0])
    gone.unlink()
    again = keep.json(*command).summary
    equal((again['messages'], again['present']), (1, len(MAIL) - 1), 'written and present')
    check(gone.exists() and not answered.exists() and not new.exists(), 'files')


# ---- Interruptions ---------------------------------------------------------------------------

def killed_again_and_again(keep, how, command):
    """Until it comes to an end; how often that took a signal."""
    for number in range(200):
        process = keep.start(*command)
        try:
            process.wait(0.004 * number)
        except Exception:
            process.send_signal(how)
        process.communicate()
        # Where the signal came after the last rename, an mbox is refused because it is there.
        if process.returncode in (0, USAGE):
            return number
    raise AssertionError('no end')


@case
def a_killed_export_to_mboxrd_goes_on(folder):
    keep, out = archive(folder), folder / 'all.mbox'
    for how in (signal.SIGKILL, signal.SIGINT):
        check(killed_again_and_again(
            keep, how, ('export', '--format', 'mboxrd', '--output', out)) > 0, 'was killed')
        check_mbox(out, MAIL)
        for path in folder.glob('all.mbox*'):
            path.unlink()


def calls_of(log):
    """How often each call was made that changes a file."""
    return collections.Counter(re.findall(r'^(?:\d+ +)?(\w+)\(', log.read_text(errors='replace'), re.M))


@case
def an_export_killed_at_its_end_is_whole_with_the_next_run(folder):
    if not shutil.which('strace'):
        raise tap.MissingServer('strace is not installed')
    keep, out, log = archive(folder), folder / 'out', folder / 'log'
    env = {**keep.environment(), 'ASAN_OPTIONS': 'detect_leaks=0'}
    names = ['fsync', 'rename', 'renameat', 'renameat2', 'unlink', 'unlinkat', 'write', 'ftruncate']

    def traced(kind, *options):
        command = ['strace', '-f', '-qq', '-o', str(log), *options, *map(str, keep.command(
            'export', '--format', kind, '--output', out))]
        return subprocess.run(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    for kind in ('mboxrd', 'tar.zst'):
        equal(traced(kind, '-e', 'trace=' + ','.join(names)).returncode, 0, 'a run that ends')
        made, ends = calls_of(log), collections.Counter()
        for name, n in [(name, n) for name in made for n in range(max(1, made[name] - 1), made[name] + 1)]:
            for path in (*folder.glob('out*'), *folder.glob('.out*')):
                path.unlink()
            traced(kind, '-e', f'trace={name}', '-e', f'inject={name}:signal=KILL:when={n}')
            again = keep.run('export', '--format', kind, '--output', out, code=(0, USAGE))
            check(again.code == 0 or 'ended already (popkeep verify' in again.err, again)
            ends['went on' if 'going on' in again.err else
                 'ended' if 'an earlier run ended' in again.err else 'other'] += 1
            keep.run('verify', out)
            equal(list(folder.glob('.out*')), [], f'left behind by {name} {n}')
        for path in folder.glob('out*'):
            path.unlink()
        check(ends['went on'] > 0 and ends['ended'] > 0, ends)


@case
def a_killed_export_to_a_maildir_goes_on(folder):
    keep = archive(folder)
    for how in (signal.SIGKILL, signal.SIGINT):
        out = folder / how.name
        check(killed_again_and_again(
            keep, how, ('export', '--format', 'maildir', '--output', out)) > 0, 'was killed')
        check_maildir(out, MAIL)


@case
def an_export_killed_while_it_began_goes_on(folder):
    keep, folders = archive(folder), folder / 'folders'
    folders.mkdir()
    (folder / '.all.mbox.origin').write_bytes(b'')
    (folders / '.popkeep-export').write_bytes(b'')
    keep.run('export', '--format', 'mboxrd', '--output', folder / 'all.mbox')
    check_mbox(folder / 'all.mbox', MAIL)
    keep.run('export', '--format', 'maildir', '--output', folders)
    check_maildir(folders, MAIL)


def with_small_files(keep, size, *command, **options):
    """No file can grow beyond size: what a full disk looks like."""
    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    return keep.json(*command, preexec_fn=limit, restore_signals=False, **options)


@case
def a_full_disk_is_told_and_the_export_goes_on_later(folder):
    keep = archive(folder)
    for name, size in (('mboxrd', 100_000), ('maildir', 50_000)):
        out = folder / name
        command = ('export', '--format', name, '--output', out)
        failed = with_small_files(keep, size, *command, code=FAILED)
        check('cannot write' in failed.err and name in failed.err, failed)
        check(name == 'maildir' or not out.exists(), 'no file that is not whole')
        done = keep.json(*command)
        check(done.summary['present'] > 0, 'it went on')
        (check_mbox if name == 'mboxrd' else check_maildir)(out, MAIL)


@case
def a_sync_that_fails_is_told_and_believed(folder):
    keep = archive(folder)
    if not shutil.which('strace'):
        raise tap.MissingServer('no strace here')
    for name, look, call in (('mboxrd', check_mbox, 'fdatasync'), ('mboxrd', check_mbox, 'fsync'),
                             ('maildir', check_maildir, 'syncfs')):
        out = folder / f'{name} {call}'
        command = ('export', '--format', name, '--output', out)
        # The first two fsyncs are those of the file that says which export it is.
        result = subprocess.run(
            ['strace', '-f', '-o', folder / 'trace', '-e', f'trace={call}', '-e',
             f"inject={call}:error=EIO:when={3 if call == 'fsync' else 1}",
             *keep.command(*command)],
            env=keep.environment() | {'ASAN_OPTIONS': 'detect_leaks=0'},   # not under a tracer
            stdin=subprocess.DEVNULL, capture_output=True, check=False)
        equal(result.returncode, FAILED, f'exit status: {result.stderr}')
        check(b'cannot sync' in result.stderr, result.stderr)
        check(name == 'maildir' or not out.exists(), 'no file that is not safe')
        keep.run(*command)
        look(out, MAIL)


@case
def an_unfinished_mbox_that_was_cut_or_torn_is_noticed(folder):
    keep, out = archive(folder), folder / 'all.mbox'
    command = ('export', '--format', 'mboxrd', '--output', out)
    with_small_files(keep, 100_000, *command, code=FAILED)
    part, manifest = folder / '.all.mbox.part', folder / 'all.mbox.manifest.jsonl'
    keep.run('export', 'size:>10', *command[1:], code=USAGE)
    whole = part.read_bytes()
    part.write_bytes(whole[:lines_of(manifest)[-1]['offset']])
    keep.run(*command, code=USAGE)
    part.write_bytes(whole + b'From nobody\ntorn')
    with manifest.open('ab') as f:
        f.write(b'{"type":"file","file":"all')
    keep.run(*command)
    check_mbox(out, MAIL)


@case
def two_exports_to_one_mbox_do_not_mix(folder):
    keep, out = archive(folder), folder / 'all.mbox'
    command = ('export', '--format', 'mboxrd', '--output', out)
    both = [keep.start(*command) for _ in range(2)]
    codes = sorted(keep.finish(p).code for p in both)
    check(codes[0] == 0 and codes[1] in (0, USAGE, popkeep.BUSY, FAILED), codes)
    check_mbox(out, MAIL)


@case
def a_damaged_message_is_named_and_the_others_are_written(folder):
    keep = archive(folder)
    segment = next((keep.archive / 'segments').iterdir())
    segment.chmod(0o600)
    data = bytearray(segment.read_bytes())
    data[len(data) // 2] ^= 0x40
    segment.write_bytes(data)
    hit = {o['digest'] for o in keep.verify(code=DAMAGED).of_type('damage') if 'digest' in o}
    whole = [m for m in MAIL if hashlib.sha256(m).hexdigest() not in hit]
    for name, look in (('mboxrd', check_mbox), ('maildir', check_maildir)):
        result = keep.json('export', '--format', name, '--output', folder / name, code=DAMAGED)
        equal(result.summary['damaged'], len(hit), 'damaged')
        look(folder / name, whole)

# ---- tar and zip -----------------------------------------------------------------------------

def unpacked(path, folder):
    """{name: bytes} of its one folder, after the tools that people have were content with it."""
    folder.mkdir()
    if path.name.endswith('.zip'):
        subprocess.run(['unzip', '-q', path, '-d', folder], check=True)
    else:
        subprocess.run(['tar', '-xf', path, '-C', folder], check=True)
    subprocess.run(['bsdtar', '-tf', path], check=True, stdout=subprocess.DEVNULL)
    (top,) = folder.iterdir()
    return top


def check_packed(path, mail, folder):
    """One tar or zip alone: what is in it, and that it tells all of it."""
    top = unpacked(path, folder)
    entries = lines_of(top / 'manifest.jsonl')
    check_sums(top, 'SHA256SUMS', len(mail) + 2)
    equal(sorted(e['digest'] for e in entries),
          sorted(hashlib.sha256(m).hexdigest() for m in mail), 'digests')
    for e in entries:
        data = (top / e['file']).read_bytes()
        equal((hashlib.sha256(data).hexdigest(), len(data)), (e['digest'], e['size']), 'file')
        equal(e['volume'], path.name, 'volume')
    equal(sorted(str(p.relative_to(top)) for p in top.rglob('*') if p.is_file()),
          sorted([e['file'] for e in entries] + ['manifest.jsonl', 'summary.txt', 'SHA256SUMS']),
          'files')
    return top


def check_beside(path, top):
    equal(path.with_name(path.name + '.manifest.jsonl').read_bytes(),
          (top / 'manifest.jsonl').read_bytes(), 'both manifests')
    check_sums(path.parent, path.name + '.SHA256SUMS', 3)
    equal([p.name for p in path.parent.iterdir() if p.name.startswith('.') and path.name in p.name],
          [], 'what is left')


PACKED = ('tar', 'tar.zst', 'zip')


@case
def tar_and_zip_hold_the_exact_bytes_and_can_be_checked_alone(folder):
    keep = archive(folder)
    for name in PACKED:
        out = folder / f'all.{name}'
        result = keep.json('export', '--format', name, '--output', out).summary
        equal((result['messages'], result['all_messages']), (len(MAIL),) * 2, 'messages')
        check_beside(out, check_packed(out, MAIL, folder / name))
    subprocess.run(['unzip', '-tq', folder / 'all.zip'], check=True, stdout=subprocess.DEVNULL)
    for path in (folder / 'all.zip', folder / 'all.tar'):
        subprocess.run(['7z', 't', path], check=True, stdout=subprocess.DEVNULL)


@case
def a_killed_export_to_tar_or_zip_goes_on(folder):
    keep = archive(folder)
    for name in PACKED:
        for how in (signal.SIGKILL, signal.SIGINT):
            out = folder / f'{how.name}.{name}'
            check(killed_again_and_again(
                keep, how, ('export', '--format', name, '--output', out)) > 0, 'was killed')
            check_beside(out, check_packed(out, MAIL, folder / f'{how.name}-{name}'))


@case
def the_ledger_knows_the_digest_of_the_manifest(folder):
    keep, out = archive(folder), folder / 'out'
    command = ('export', 'size:>=2', '--format', 'eml', '--output', out)
    result = keep.json(*command).summary
    digest = hashlib.sha256((out / 'manifest.jsonl').read_bytes()).hexdigest()
    equal((result['manifest'], result['recorded']), (digest, True), 'summary')
    told = [e['fields'] for e in keep.json('log').of_type('event') if e['event'] == 'export']
    equal([(e['digest'], e['target'], e['messages'], e['query']) for e in told],
          [(digest, str(out), str(len(MAIL)), 'size:>=2')], 'ledger')
    keep.run(*command)
    told = [e for e in keep.json('log').of_type('event') if e['event'] == 'export']
    equal(len(told), 1, 'nothing new is not told again')
    check(digest in (out / 'summary.txt').read_text(), 'summary for people')


# ---- verify PATH -----------------------------------------------------------------------------

FORMATS = ('eml', 'maildir', 'mboxrd') + PACKED


def verified(keep, path, code=popkeep.DONE):
    """(findings, summary); no archive is needed for it."""
    result = keep.json('verify', path, code=code)
    return result.of_type('damage'), result.summary


def spoil(path):
    """The first byte of a message's text that stands there as it is becomes another one."""
    data = path.read_bytes()
    at = data.index(b'bare CR\r') if b'bare CR\r' in data else data.find(b'bare CR\n')
    at = at if at >= 0 else len(data) // 2
    path.write_bytes(data[:at] + b'X' + data[at + 1:])


@case
def verify_is_content_with_every_export_and_names_what_was_changed(folder):
    keep = archive(folder)
    for name in FORMATS:
        out = folder / f'all.{name}'
        keep.run('export', '--format', name, '--output', out)
    keep.archive.rename(folder / 'elsewhere')
    for name in FORMATS:
        out = folder / f'all.{name}'
        found, summary = verified(keep, out)
        equal((found, summary['messages'], summary['damaged']), ([], len(MAIL), 0), name)
        hit = out
        if out.is_dir():
            hit = next(p for p in sorted(out.rglob('*')) if p.is_file() and p.stat().st_size == len(ODD[3]))
        spoil(hit)
        found, summary = verified(keep, out, DAMAGED)
        check(summary['damaged'] == len(found) > 0, found)
        if name in ('mboxrd', 'tar', 'eml', 'maildir'):
            check(hashlib.sha256(ODD[3]).hexdigest() in [d.get('digest') for d in found], found)


@case
def verify_checks_a_tar_or_zip_alone_and_what_was_unpacked(folder):
    keep = archive(folder)
    for name in PACKED:
        out = folder / f'all.{name}'
        keep.run('export', '--format', name, '--output', out)
        top = unpacked(out, folder / name)
        equal(verified(keep, top)[0], [], 'unpacked')
        for path in folder.glob(f'all.{name}.*'):
            if path.name != 'all.tar.zst':
                path.unlink()
        equal(verified(keep, out)[1]['messages'], len(MAIL), 'alone')
        out.write_bytes(out.read_bytes()[:-2000])
        check(verified(keep, out, DAMAGED)[0], 'cut short')


@case
def verify_notices_sums_that_were_cut(folder):
    keep = archive(folder)
    for name in ('eml', 'mboxrd', 'tar'):
        out = folder / f'all.{name}'
        keep.run('export', '--format', name, '--output', out)
        sums = out / 'SHA256SUMS' if out.is_dir() else folder / f'all.{name}.SHA256SUMS'
        lines = sums.read_bytes().splitlines(keepends=True)
        for cut in (b'', b''.join(lines)[:-1], b''.join(x for x in lines if b'manifest' not in x)):
            sums.write_bytes(cut)
            found = verified(keep, out, DAMAGED)[0]
            equal([d['file'] for d in found if d['file'] != 'manifest.jsonl'], [sums.name],
                  f'{name}, {len(cut)} bytes')


@case
def verify_names_what_is_missing_and_what_is_surplus(folder):
    keep, out = archive(folder), folder / 'out'
    keep.run('export', '--format', 'eml', '--output', out)
    first = next(out.rglob('*.eml'))
    digest = hashlib.sha256(first.read_bytes()).hexdigest()
    first.unlink()
    (out / 'more').symlink_to('/etc/passwd')
    (first.parent / 'more.eml').write_text('x')
    (out / 'SHA256SUMS').unlink()
    found = verified(keep, out, DAMAGED)[0]
    equal(sorted(d['file'] for d in found), sorted(
        ['more', f'{first.parent.name}/more.eml', 'SHA256SUMS', f'{first.parent.name}/{first.name}']),
        'files')
    equal([d['digest'] for d in found if 'digest' in d], [digest], 'message')
    keep.run('export', '--format', 'eml', '--output', out, code=(popkeep.DONE, USAGE))


@case
def verify_takes_a_maildir_whose_flags_changed(folder):
    keep, out = archive(folder), folder / 'box'
    keep.run('export', '--format', 'maildir', '--output', out)
    answered, new = sorted((out / 'cur').iterdir())[:2]
    answered.rename(f'{answered}R')
    new.rename(out / 'new' / new.name.partition(':')[0])
    (out / 'dovecot.index').write_text('x')
    equal(verified(keep, out)[0], [], 'findings')


# ---- Several files, names --------------------------------------------------------------------

@case
def a_split_export_has_files_that_are_whole_by_themselves(folder):
    keep = archive(folder)
    for name in ('mboxrd',) + PACKED:
        out, limit = folder / f'all.{name}', 100 << 10
        command = ('export', '--format', name, '--split', '100K', '--output', out)
        killed_again_and_again(keep, signal.SIGKILL, command)
        entries = lines_of(folder / f'all.{name}.manifest.jsonl')
        equal(sorted(e['digest'] for e in entries),
              sorted(hashlib.sha256(m).hexdigest() for m in MAIL), f'{name}: digests')
        volumes = list(dict.fromkeys(e.get('volume', e['file']) for e in entries))
        stem, _, suffix = out.name.partition('.')
        equal(volumes, [f'{stem}-{n:04}.{suffix}' for n in range(1, len(volumes) + 1)], 'names')
        check(name == 'tar.zst' or len(volumes) > 1, volumes)
        for volume in volumes:
            mine = [e['digest'] for e in entries if e.get('volume', e['file']) == volume]
            check((folder / volume).stat().st_size <= limit or len(mine) == 1, volume)
            if name != 'mboxrd':
                wanted = [m for m in MAIL if hashlib.sha256(m).hexdigest() in mine]
                check_packed(folder / volume, wanted, folder / f'{volume}-unpacked')
        equal(verified(keep, out)[0], [], 'verify')
        equal([p.name for p in folder.iterdir() if p.name.startswith('.all')], [], 'left')
        keep.run(*command, code=USAGE)
    keep.run('export', '--format', 'eml', '--split', '2G', '--output', folder / 'x', code=USAGE)
    keep.run('export', '--format', 'tar', '--split', '10', '--output', folder / 'x', code=USAGE)


HOSTILE = ['../../etc/passwd', 'a\0b', '\u202egpj.exe', 'x' * 10000, 'CON', 'CON.txt', 'a/b\\c:d*e?f"g<h>i|j',
           'trailing. . ', '\u4f60\u597d' * 100, '\U0001f600 smile', '', '\u200b', 'aux. ']


@case
def whatever_a_subject_says_the_names_are_safe_everywhere(folder):
    head = 'Date: Sat, 21 Nov 2020 15:30:00 +0000\r\nSubject: '
    mail = [(head + s + f'\r\n\r\n{n}\r\n').encode() for n, s in enumerate(HOSTILE)]
    keep = fixture.fetched_archive(folder, mail)
    for name in ('eml', 'zip'):
        out = folder / f'out.{name}'
        keep.run('--utc', 'export', '--format', name, '--output', out)
        entries = lines_of(out / 'manifest.jsonl' if name == 'eml' else folder / 'out.zip.manifest.jsonl')
        files = [e['file'] for e in entries]
        equal(len({f.lower() for f in files}), len(mail), 'names that differ without case')
        for file in files:
            check(re.fullmatch(r'2020-11/2020-11-21 1530 [^/]+ \[[0-9a-f]{12}\]\.eml', file), file)
            check(not re.search(r'[\\:*?"<>|\x00-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e]', file), file)
            check(len(file.split('/')[1].encode()) <= 143 and ord(max(file)) < 0x10000, file)
        equal(verified(keep, out)[0], [], 'verify')


# ---- In and out again ------------------------------------------------------------------------

def a_maildir_with_folders(folder):
    """{(folder, flags): [message]}"""
    box = mailbox.Maildir(folder / 'source', create=True)
    mail = {}
    for number, (name, flags) in enumerate([('', 'S'), ('', ''), ('Archive.2026', 'FRS'),
                                            ('Archive', 'PT'), ('Sent', 'S')]):
        data = mailgen.mailbox(f'in {number}', 3, size=800)
        target = box.add_folder(name) if name and name not in box.list_folders() else (
            box.get_folder(name) if name else box)
        for one in data:
            message = mailbox.MaildirMessage()
            message.set_subdir('cur')
            message.set_flags(flags)
            key = target.add(message)
            (folder / 'source' / (f'.{name}' if name else '') / 'cur' / next(
                p.name for p in (folder / 'source' / (f'.{name}' if name else '') / 'cur').iterdir()
                if p.name.startswith(key))).write_bytes(one)
        mail[name, flags] = sorted(data)
    return mail


def filed(box):
    mail = collections.defaultdict(list)
    for name in [''] + box.list_folders():
        part = box.get_folder(name) if name else box
        for key in part.keys():
            mail[name, part.get_message(key).get_flags()].append(part.get_bytes(key))
    return {k: sorted(v) for k, v in mail.items()}


@case
def an_imported_maildir_comes_out_with_its_folders_and_flags(folder):
    mail = a_maildir_with_folders(folder)
    keep = popkeep.Popkeep(folder)
    keep.write_config()
    keep.run('init')
    keep.run('import', folder / 'source', '--account', 'anna')
    out = folder / 'out'
    command = ('export', '--format', 'maildir', '--output', out)
    keep.run(*command)
    equal(filed(mailbox.Maildir(out, create=False)), mail, 'mail')
    equal(verified(keep, out)[0], [], 'verify')
    moved = next((out / '.Archive.2026' / 'cur').iterdir())
    moved.rename(moved.parent.parent / 'new' / moved.name.partition(':')[0])
    equal(keep.json(*command).summary['messages'], 0, 'nothing twice')
    told = {(e['folder'], e['flags']) for e in lines_of(out / 'manifest.jsonl')}
    check(('Archive/2026', '\\Answered \\Flagged \\Seen') in {
        (f, ' '.join(sorted(w.split()))) for f, w in told}, told)


@case
def what_was_exported_can_be_imported_again(folder):
    # A file that begins with a line of mbox is imported without it.
    mail = [m for m in MAIL if not m.startswith(b'From ')]
    keep = fixture.fetched_archive(folder, mail)
    wanted = sorted(hashlib.sha256(m).hexdigest() for m in mail)
    for name in ('eml', 'maildir') + PACKED:
        out = folder / f'all.{name}'
        keep.run('export', '--format', name, '--output', out)
        (folder / f'again-{name}').mkdir()
        again = popkeep.Popkeep(folder / f'again-{name}')
        again.write_config()
        again.run('init')
        again.run('import', out, '--account', 'anna', code=None)
        equal(again.digests(), wanted, name)


# ---- Failures of every format ----------------------------------------------------------------

@case
def with_a_full_disk_every_format_says_so_and_goes_on_later(folder):
    keep = archive(folder)
    with fixture.Tmpfs(folder, '200k') as small:
        for name in FORMATS:
            small.resize('200k')
            out = small.folder / f'all.{name}'
            command = ('export', '--format', name, '--output', out)
            failed = keep.run(*command, code=(FAILED, popkeep.DONE))
            check(failed.code == popkeep.DONE or 'No space' in failed.err, failed)
            check(failed.code == popkeep.DONE or out.is_dir() or not out.exists(), 'no such file')
            small.resize('8m')
            if failed.code != popkeep.DONE:
                keep.run(*command)
            found, summary = verified(keep, out)
            equal((found, summary['messages']), ([], len(MAIL)), name)
            for path in small.folder.iterdir():
                shutil.rmtree(path) if path.is_dir() else path.unlink()


@case
def a_damaged_message_is_missing_in_tar_and_zip_and_told(folder):
    keep = archive(folder)
    segment = next((keep.archive / 'segments').iterdir())
    segment.chmod(0o600)
    data = bytearray(segment.read_bytes())
    data[len(data) // 2] ^= 0x40
    segment.write_bytes(data)
    for name in PACKED:
        out = folder / f'all.{name}'
        result = keep.json('export', '--format', name, '--output', out, code=DAMAGED).summary
        check(result['damaged'] > 0, result)
        equal(verified(keep, out)[1]['messages'], len(MAIL) - result['damaged'], name)
        said = (folder / f'all.{name}.summary.txt').read_text()
        check(f"{result['damaged']} damaged in the archive" in said, said)
    told = [e['fields'] for e in keep.json('log').of_type('event') if e['event'] == 'export']
    check(all(int(e['failed']) == result['damaged'] for e in told) and len(told) == 3, told)


@case
def two_exports_to_one_folder_do_not_mix(folder):
    keep, out = archive(folder), folder / 'out'
    command = ('export', '--format', 'eml', '--output', out)
    both = [keep.start(*command) for _ in range(2)]
    codes = sorted(keep.finish(p).code for p in both)
    check(codes[0] == 0 and codes[1] in (0, popkeep.BUSY), codes)
    equal(verified(keep, out)[0], [], 'verify')


if __name__ == '__main__':
    tap.main()
