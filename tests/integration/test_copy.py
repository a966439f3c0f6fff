"""A copy is the archive, at each moment, and says what is wrong."""
import os
import shutil
import signal
import subprocess

import client
import format_reader
import mailgen
import popkeep
import scripted
from fixture import a_dovecot, check_kept, fetched_archive, scripted_account
from popkeep import Popkeep
from service import Service
from tap import Skip, case, check, equal, main, wait_until

MAIL = mailgen.mailbox('copy', 40, size=3000) + [
    mailgen.attachment_of(n, 400_000) for n in range(6)]
LEFT_OUT = {'catalog.db', 'catalog.db-wal', 'catalog.db-shm', 'lock', 'search', 'aside'}


def copy(keep, target, *options, code=popkeep.DONE):
    return keep.json('copy', *options, target, code=code)


def files(folder):
    """{path: bytes} of what a copy is to hold."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob('*'))
            if p.is_file() and p.relative_to(folder).parts[0] not in LEFT_OUT}


def check_same(keep, target):
    equal(sorted(files(target)), sorted(files(keep.archive)), 'files of the copy')
    equal(files(target) == files(keep.archive), True, 'their bytes')


def opened(folder, target, keep=None):
    """The copy moved to a machine of its own, with its databases made."""
    folder.mkdir()
    other = Popkeep(folder)
    shutil.copytree(target, other.archive)
    other.archive.chmod(0o700)
    if keep:
        other.accounts = keep.accounts
    other.write_config()
    other.run('rebuild')
    return other


def rewritten(path, change):
    mode = path.stat().st_mode
    path.chmod(0o600)
    data = bytearray(path.read_bytes())
    change(data)
    path.write_bytes(data)
    path.chmod(mode)


def flipped(at):
    def change(data):
        data[at] ^= 0x55
    return change


def open_segment(archive):
    return next((archive / 'segments').glob('*.open.tar.zst'))


@case
def a_copy_holds_every_byte_and_the_second_one_copies_nothing(folder):
    keep = fetched_archive(folder, MAIL)
    target = folder / 'copy'
    first = copy(keep, target).summary
    check_same(keep, target)
    equal((first['segments'], first['ledger_files'], first['copied']), (1, 1, 2), 'files')
    equal(first['copied_bytes'], sum(len(b) for n, b in files(target).items() if n != 'POPKEEP'),
          'bytes copied')
    check(first['verified_bytes'] >= first['copied_bytes'], 'all of it was read back')
    equal(target.stat().st_mode & 0o777, 0o700, 'mode of the copy')
    second = copy(keep, target).summary
    equal((second['copied'], second['copied_bytes']), (0, 0), 'the second time')
    full = copy(keep, target, '--full').summary
    equal((full['copied'], full['mended']), (0, 0), 'with --full')
    check(full['verified_bytes'] >= first['copied_bytes'], '--full reads all')


@case
def a_copy_grows_by_what_is_new_alone(folder):
    with scripted.Server(MAIL[:20]) as server:
        keep = scripted_account(folder, server)
        keep.fetch()
        target = folder / 'copy'
        before = copy(keep, target).summary['copied_bytes']
        server.messages += [scripted.Message(m, b'more%d' % n) for n, m in enumerate(MAIL[20:24])]
        keep.fetch()
    grown = copy(keep, target)
    check(grown.summary['copied_bytes'] < before, f'only what is new: {grown}')
    equal({o['done'] for o in grown.of_type('file')}, {'grew'}, 'what was done')
    check_same(keep, target)


@case
def what_was_linked_instead_of_copied_becomes_a_copy(folder):
    """What is written to the copy must not be written to the archive."""
    keep = fetched_archive(folder, MAIL[:20])
    keep.json('seal')
    with scripted.Server(MAIL[20:24]) as server:
        keep.account('bert', server.port)
        keep.fetch('bert')
    target = folder / 'copy'
    copy(keep, target)
    for name in files(target):
        (target / name).unlink()
        (target / name).hardlink_to(keep.archive / name)
    copy(keep, target)
    check_same(keep, target)
    for name in files(target):
        if name != 'POPKEEP':
            check(not (target / name).samefile(keep.archive / name), name)


@case
def a_copy_opened_elsewhere_is_the_archive_and_fetch_goes_on_from_there(folder):
    with a_dovecot(folder, {'anna': MAIL[:30]}) as server:
        keep = Popkeep(folder)
        keep.account('anna', server.plain)
        keep.fetch()
        target = folder / 'copy'
        copy(keep, target)
        shutil.rmtree(keep.archive)
        other = opened(folder / 'machine', target, keep)
        equal(other.json('verify', '--full').summary['damaged'], 0, 'damage')
        check_kept(other, MAIL[:30])
        for message in other.messages():
            equal(client.digest(other.raw(message['id'])), message['digest'], 'bytes')
        server.deliver('anna', MAIL[30:34])
        line = other.fetch_account('anna')
        equal((line['new'], line['archived']), (4, 34), 'fetched after it was opened')
        check_kept(other, MAIL[:34])


@case
def copies_are_made_while_the_service_fetches(folder):
    with a_dovecot(folder, {'anna': MAIL[:10]}) as server:
        keep = Popkeep(folder)
        keep.account('anna', server.plain)
        keep.init()
        with Service(keep):
            for n in range(10, 40, 6):
                server.deliver('anna', MAIL[n:n + 6])
                fetching = keep.start('fetch')
                copy(keep, folder / 'copy')
                # Each of them is an archive of its own.
                other = opened(folder / f'at-{n}', folder / 'copy')
                format_reader.Archive(other.archive).read()
                other.verify()
                equal(keep.finish(fetching).code, popkeep.DONE, 'exit status of fetch')
            wait_until(lambda: len(keep.messages()) == 40, 60, 'all is fetched')
        copy(keep, folder / 'copy')
        check_same(keep, folder / 'copy')


def refused(keep, target, code, *words):
    result = keep.run('copy', target, code=code)
    for word in words:
        check(word in result.err, f'"{word}" is said\n{result}')


@case
def what_is_no_copy_of_this_archive_is_refused_and_left_alone(folder):
    keep = fetched_archive(folder, MAIL[:5])
    (folder / 'data').mkdir()
    (folder / 'data' / 'mine').write_text('precious')
    refused(keep, folder / 'data', popkeep.USAGE, 'not empty')
    equal(os.listdir(folder / 'data'), ['mine'], 'what is there')
    refused(keep, keep.archive, popkeep.USAGE, 'archive itself')
    refused(keep, keep.archive / 'segments' / 'x', popkeep.USAGE, 'lies in the archive')
    refused(keep, keep.archive / 'segments', popkeep.USAGE, 'lies in the archive')
    refused(keep, folder, popkeep.USAGE, 'holds the archive')
    refused(keep, folder / 'a' / 'b', popkeep.USAGE, 'mounted')
    other = folder / 'other'
    keep.run('-C', other, 'init', config=False)
    refused(keep, other, popkeep.USAGE, 'another archive')
    (folder / 'link').symlink_to(keep.archive)
    refused(keep, folder / 'link', popkeep.USAGE, 'archive itself')


@case
def a_copy_that_was_used_as_an_archive_is_refused(folder):
    keep = fetched_archive(folder, MAIL[:10])
    target = folder / 'copy'
    copy(keep, target)
    with scripted.Server(MAIL[:12]) as server:
        other = Popkeep(folder)
        other.archive = target
        other.account('anna', server.port)
        other.run('rebuild')
        other.fetch()
    before = files(target)
    keep.write_config()
    refused(keep, target, popkeep.USAGE, 'further than the archive')
    with scripted.Server(MAIL[:14]) as server:
        keep.account('anna', server.port)
        keep.fetch()
    refused(keep, target, popkeep.DAMAGED, 'differs')
    equal(files(target) == before, True, 'left alone')


@case
def a_catalog_made_in_a_copy_goes_when_its_ledger_grows(folder):
    with scripted.Server(MAIL[:10]) as server:
        keep = scripted_account(folder, server)
        keep.fetch()
        target = folder / 'copy'
        copy(keep, target)
        keep.run('-C', target, 'rebuild', config=False)
        copy(keep, target)
        check((target / 'catalog.db').exists(), 'it fits while nothing is new')
        server.messages.append(scripted.Message(MAIL[11], b'more'))
        keep.fetch()
    copy(keep, target)
    check(not list(target.glob('catalog.db*')), 'it is gone')
    keep.run('-C', target, 'rebuild', config=False)
    keep.run('-C', target, 'verify', config=False)


@case
def what_a_dead_copy_left_behind_is_mended(folder):
    keep = fetched_archive(folder, MAIL)
    target = folder / 'copy'
    copy(keep, target)
    segment = open_segment(target)
    whole = segment.read_bytes()

    def torn(data):                 # as after a power cut: a hole, and the end is there
        data[len(data) // 2:len(data) // 2 + 4096] = bytes(4096)

    def cut(data):
        del data[len(data) // 3:]

    def longer(data):
        data += b'rubbish' * 1000
    for change in (torn, cut, longer):
        (target / 'copying').touch()
        (target / 'segments' / 'copy.tmp').write_bytes(b'rubbish' * 100)
        (target / 'ledger' / 'copy.tmp').write_bytes(b'rubbish' * 100)
        rewritten(segment, change)
        copy(keep, target)
        equal(segment.read_bytes() == whole, True, change.__name__)
        check_same(keep, target)


@case
def a_new_copy_that_died_goes_on(folder):
    keep = fetched_archive(folder, MAIL[:10])
    target = folder / 'copy'
    copy(keep, target)
    (target / 'POPKEEP').rename(target / 'POPKEEP.new')
    (target / 'ledger' / '000001.log').unlink()
    result = copy(keep, target)
    equal(result.summary['copied'], 1, 'files copied')
    check_same(keep, target)
    torn = folder / 'torn'
    torn.mkdir()
    (torn / 'POPKEEP.new').write_bytes(bytes(100))
    copy(keep, torn)
    check_same(keep, torn)


@case
def damage_in_a_copy_is_found_with_full_and_mended(folder):
    keep = fetched_archive(folder, MAIL)
    target = folder / 'copy'
    copy(keep, target)
    rewritten(open_segment(target), flipped(100_000))
    equal(copy(keep, target).summary['copied'], 0, 'without --full')
    equal(copy(keep, target, '--full').summary['mended'], 1, 'with --full')
    check_same(keep, target)
    rewritten(target / 'ledger' / '000001.log', flipped(2000))
    refused(keep, target, popkeep.DAMAGED, 'ledger/000001.log', 'move it away')
    (target / 'ledger' / '000001.log').unlink()
    copy(keep, target)
    check_same(keep, target)


@case
def damage_in_the_archive_never_reaches_what_was_copied(folder):
    keep = fetched_archive(folder, MAIL)
    target = folder / 'copy'
    copy(keep, target)
    before = files(target)
    rewritten(open_segment(keep.archive), flipped(100_000))
    result = keep.run('copy', '--full', target, code=popkeep.DAMAGED)
    check(open_segment(target).name in result.err and 'salvage' in result.err, f'named\n{result}')
    rewritten(open_segment(keep.archive), flipped(100_000))
    copy(keep, target, '--full')
    rewritten(keep.archive / 'ledger' / '000001.log', flipped(2000))
    refused(keep, target, popkeep.DAMAGED, 'ledger/000001.log')
    equal(files(target) == before, True, 'the copy is what it was')


@case
def a_killed_copy_is_an_archive_and_the_next_one_goes_on(folder):
    with scripted.Server(MAIL[:20]) as server:
        keep = scripted_account(folder, server)
        keep.fetch()
        target = folder / 'copy'
        copy(keep, target)
        server.messages += [scripted.Message(m, b'more%d' % n) for n, m in enumerate(MAIL[20:])]
        keep.fetch()
    old = set(map(client.digest, MAIL[:20]))
    for call in ('pwrite64', 'rename', 'renameat', 'renameat2', 'fdatasync', 'fsync', 'unlinkat'):
        for n in (1, 2, 3, 5):
            at = folder / f'{call}-{n}'
            shutil.copytree(target, at)
            dead = subprocess.run(
                ['strace', '-qq', '-f', '-o', '/dev/null', '-e', f'trace={call}',
                 '-e', f'inject={call}:signal=KILL:when={n}', *keep.command('copy', at)],
                env=keep.environment() | {'ASAN_OPTIONS': 'detect_leaks=0'}, capture_output=True)
            check(dead.returncode in (0, -signal.SIGKILL, 128 + signal.SIGKILL),
                  f'{dead.returncode} {dead.stderr}')
            other = folder / 'opened'
            shutil.copytree(at, other)
            keep.run('-C', other, 'rebuild', config=False)
            found = keep.run('--json', '-C', other, 'search', config=False).of_type('message')
            check(old <= {m['digest'] for m in found}, 'what was copied before is there')
            keep.run('-C', other, 'verify', config=False)
            shutil.rmtree(other)
            copy(keep, at)
            check_same(keep, at)
            shutil.rmtree(at)


def verify(keep, path, *options, code=popkeep.DONE):
    """Of a path; nothing is left behind."""
    scratch = keep.folder / 'tmp'
    scratch.mkdir(exist_ok=True)
    os.environ['TMPDIR'] = str(scratch)
    before = files(path)
    try:
        result = keep.json('verify', *options, path, code=code)
    finally:
        del os.environ['TMPDIR']
    equal(os.listdir(scratch), [], 'what is left of the database')
    equal(files(path) == before and not list(path.glob('catalog*')), True, 'nothing is written')
    return result


@case
def verify_checks_a_copy_without_writing_to_it(folder):
    keep = fetched_archive(folder, MAIL)
    target = folder / 'copy'
    copy(keep, target)
    shutil.rmtree(keep.archive)
    for depth in ('--quick', '--full'):
        equal(verify(keep, target, depth).summary['messages'], len(MAIL), 'messages')
    rewritten(open_segment(target), flipped(100_000))
    damaged = verify(keep, target, code=popkeep.DAMAGED)
    check(damaged.summary['damaged'] > 0, 'damage is counted')
    rewritten(open_segment(target), flipped(100_000))
    rewritten(target / 'ledger' / '000001.log', flipped(2000))
    verify(keep, target, code=popkeep.DAMAGED)
    result = keep.run('verify', folder / 'home', code=popkeep.NOTHING)
    check('not a popkeep archive' in result.err, f'it says so\n{result}')


@case
def ctrl_c_leaves_nothing_of_the_database_behind(folder):
    keep = fetched_archive(folder, MAIL)
    copy(keep, folder / 'copy')
    scratch = folder / 'tmp'
    scratch.mkdir()
    os.environ['TMPDIR'] = str(scratch)
    try:
        process = keep.start('verify', '--full', folder / 'copy')
    finally:
        del os.environ['TMPDIR']
    wait_until(lambda: list(scratch.glob('*/*')) or process.poll() is not None, 20, 'it has begun')
    process.send_signal(signal.SIGINT)
    check(keep.finish(process).code in (popkeep.DONE, popkeep.FAILED), 'exit status')
    equal(os.listdir(scratch), [], 'what is left')


@case
def verify_of_a_path_in_use_is_refused(folder):
    keep = fetched_archive(folder, MAIL[:5])
    with Service(keep):
        result = keep.run('verify', keep.archive, code=popkeep.BUSY)
    check('in use' in result.err, f'it says so\n{result}')


@case
def a_read_only_copy_can_be_verified_and_not_copied_to(folder):
    keep = fetched_archive(folder, MAIL[:10])
    target, disk = folder / 'copy', folder / 'disk'
    copy(keep, target)
    disk.mkdir()
    if os.geteuid() != 0 or subprocess.run(['mount', '--bind', target, disk],
                                           capture_output=True).returncode:
        raise Skip('cannot mount')
    try:
        subprocess.run(['mount', '-o', 'remount,ro,bind', disk], check=True)
        equal(verify(keep, disk, '--full').summary['messages'], 10, 'messages')
        refused(keep, disk, popkeep.WRITE, 'Read-only file system')
    finally:
        subprocess.run(['umount', disk], check=True)


def sealed(archive):
    return sorted(p for p in (archive / 'segments').glob('*.tar.zst')
                  if '.open.' not in p.name)


@case
def what_is_sealed_and_repacked_is_copied_once_and_replaces_what_it_replaced(folder):
    target = folder / 'copy'
    with scripted.Server(MAIL[:20]) as server:
        keep = scripted_account(folder, server)
        for n in range(3):
            server.messages += [scripted.Message(m, b'more%d-%d' % (n, i))
                                for i, m in enumerate(MAIL[20 + n * 6:26 + n * 6])]
            keep.fetch()
            copy(keep, target)
            keep.run('seal')
            result = copy(keep, target)
            equal({o['done'] for o in result.of_type('file')}, {'copied', 'grew', 'removed'},
                  'what was done')
            check_same(keep, target)
            verify(keep, target, '--full')
        equal(len(sealed(target)), 3, 'sealed segments')
        keep.run('repack')
        result = copy(keep, target).summary
        equal((result['copied'], result['removed']), (2, 3), 'after repack')
    check_same(keep, target)
    format_reader.Archive(target).read()
    other = opened(folder / 'machine', target)
    equal(other.digests(), keep.digests(), 'messages')
    equal(other.json('verify', '--full').summary['damaged'], 0, 'damage')


@case
def a_damaged_sealed_segment_is_named_and_never_copied(folder):
    keep = fetched_archive(folder, MAIL[:20])
    keep.run('seal')
    target, new = folder / 'copy', folder / 'new'
    copy(keep, target)
    before = files(target)
    segment, = sealed(keep.archive)
    rewritten(segment, flipped(5000))
    copy(keep, target)          # it is there already
    refused(keep, new, popkeep.DAMAGED, segment.name, 'salvage')
    check(not sealed(new) and not (new / 'POPKEEP').exists(), 'nothing of it is copied')
    rewritten(sealed(target)[0], flipped(6000))
    keep.run('copy', '--full', target, code=popkeep.DAMAGED)
    rewritten(sealed(target)[0], flipped(6000))
    equal(files(target) == before, True, 'the copy is what it was')
    keep.run('salvage', code=popkeep.PARTLY)
    result = copy(keep, target)
    done = {o['path']: o['done'] for o in result.of_type('file')}
    equal(done[f'segments/{segment.name}'], 'set-aside', 'the whole one in the copy')
    equal(result.summary['removed'], 0, 'removed')
    aside, = (target / 'segments').glob('*.damaged')
    equal(aside.read_bytes() == before[f'segments/{segment.name}'], True, 'it is kept')
    verify(keep, target, '--full')
    copy(keep, new)
    verify(keep, new, '--full')


@case
def a_full_disk_is_said_and_the_copy_goes_on_when_there_is_room(folder):
    keep = fetched_archive(folder, MAIL)
    disk = folder / 'disk'
    disk.mkdir()
    if os.geteuid() != 0 or subprocess.run(
            ['mount', '-t', 'tmpfs', '-o', 'size=1m', 'none', disk], capture_output=True).returncode:
        raise Skip('cannot mount a tmpfs')
    try:
        refused(keep, disk / 'copy', popkeep.WRITE, 'no room left')
        subprocess.run(['mount', '-o', 'remount,size=64m', disk], check=True)
        copy(keep, disk / 'copy')
        check_same(keep, disk / 'copy')
    finally:
        subprocess.run(['umount', disk], check=True)


@case
def ctrl_c_ends_a_copy_that_goes_on_later(folder):
    keep = fetched_archive(folder, MAIL)
    target = folder / 'copy'
    process = keep.start('copy', target)
    wait_until(lambda: target.exists() or process.poll() is not None, 20, 'it has begun')
    process.send_signal(signal.SIGINT)
    result = keep.finish(process)
    check(result.code in (popkeep.DONE, popkeep.FAILED), f'its end\n{result}')
    copy(keep, target)
    check_same(keep, target)


@case
def a_copy_waits_for_who_rewrites(folder):
    keep = fetched_archive(folder, MAIL[:5])
    with held(keep.archive / 'lock', 2):
        process = keep.start('copy', folder / 'copy')
        wait_until(lambda: has_open(process, keep.archive / 'catalog.db'), 20, 'it has begun')
        check(process.poll() is None, 'it waits')
        check(not (folder / 'copy').exists(), 'nothing is made yet')
    equal(keep.finish(process).code, popkeep.DONE, 'exit status')
    check_same(keep, folder / 'copy')


def has_open(process, path):
    folder = f'/proc/{process.pid}/fd'
    return any(os.path.realpath(f'{folder}/{fd}') == str(path) for fd in os.listdir(folder))


class held:
    """A byte of a lock file, as another process holds it."""

    def __init__(self, path, byte):
        self.path, self.byte = path, byte

    def __enter__(self):
        import fcntl
        import struct
        self.file = open(self.path, 'r+b')
        lock = struct.pack('hhqqi4x', fcntl.F_WRLCK, os.SEEK_SET, self.byte, 1, 0)
        fcntl.fcntl(self.file, 37, lock)   # F_OFD_SETLK
        return self

    def __exit__(self, *unused):
        self.file.close()


if __name__ == '__main__':
    main()
