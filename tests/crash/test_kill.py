"""A driver that is killed, or whose calls fail, at every system call that changes a file."""
import collections
import concurrent.futures
import errno
import os
import pathlib
import re
import shutil
import signal
import tempfile

from driving import ALL, Broken, GROUPS, QUIET, WRITE_FAILED, check, fast_folder, file_numbers, told, work
from tap import MissingServer, case, check as expect, comment, main

CALLS = ['pwrite64', 'write', 'fdatasync', 'fsync', 'ftruncate', 'openat', 'unlink', 'unlinkat',
    'rename', 'renameat', 'fallocate', 'mkdir', 'mkdirat']
WRITES = ['pwrite64', 'write', 'fdatasync', 'fsync', 'ftruncate']
QUICK = 30   # injections of each kind


def strace(*options):
    if not shutil.which('strace'):
        raise MissingServer('strace is not installed')
    return ['strace', '-f', '-y', '-qq', *options]


def count_calls(folder, base):
    """How often each call is made, those of the program's start left out."""
    log = folder / 'log'
    if base:
        shutil.copytree(base, folder / 'archive')
    done = work(folder / 'archive', env=QUIET, before=strace('-o', str(log), '-e', 'trace=' + ','.join(CALLS)))
    expect(done.returncode == 0, f'the run itself failed: {done.text[-500:]} {done.errors[-500:]}')
    calls, first = collections.Counter(), {}
    for line in log.read_text(errors='replace').splitlines():
        name = re.match(r'\d+ +(\w+)\(', line)
        if name:
            calls[name[1]] += 1
            if str(folder) in line:
                first.setdefault(name[1], calls[name[1]])
    shutil.rmtree(folder / 'archive')
    return [(name, n) for name in CALLS for n in range(first.get(name, 1), calls[name] + 1)], told(done.text)


def chosen(places):
    if ALL:
        return places
    few = [p for p in places if sum(q[0] == p[0] for q in places) <= 3]
    many = [p for p in places if p not in few]
    return few + many[::max(1, len(many) // (QUICK - len(few)))]


def appended_to(archive):
    """The files that are appended to, by name and inode."""
    segment, ledger = file_numbers(archive)
    paths = [archive / 'segments' / f'{segment:06}.open.tar.zst', archive / 'ledger' / f'{ledger:06}.log']
    return [(path.name, path.stat().st_ino) if path.exists() else None for path in paths]


def hit_path(log):
    """The path that the call which failed was about."""
    for line in log.read_text(errors='replace').splitlines():
        if 'INJECTED' in line:
            names = re.findall(r'<([^<>]*)>', line) + re.findall(r'"([^"]*)"', line)
            return ' '.join(names)
    return ''


def judge_failure(done, archive, call, path):
    """A write that failed in ledger/ or segments/ ends the writer, which leaves its mark."""
    if done.returncode < 0:
        raise Broken(f'died by signal {-done.returncode}: {done.errors[-1500:]}')
    if call in WRITES and re.search(r'/(ledger|segments)\b', path):
        if done.returncode != WRITE_FAILED:
            raise Broken(f'ended with {done.returncode}: {done.text[-300:]}')
        if not (archive / 'write-failed').exists():
            raise Broken('left no mark')


def one(call, n, how, base, before_it, possible, endings):
    folder = pathlib.Path(tempfile.mkdtemp(prefix='popkeep-kill-', dir=fast_folder()))
    archive, log = folder / 'archive', folder / 'log'
    try:
        if base:
            shutil.copytree(base, archive)
        done = work(archive, env=QUIET, before=strace('-o', str(log), '-e', f'trace={call}',
            '-e', f'inject={call}:{how}:when={n}'))
        endings[done.returncode] += 1
        if how.startswith('error'):
            judge_failure(done, archive, call, hit_path(log))
        elif done.returncode not in (-signal.SIGKILL, 128 + signal.SIGKILL, 0):
            raise Broken(f'ended with {done.returncode} {done.text[-300:]} {done.errors[-300:]}')
        marked = (archive / 'write-failed').exists()
        before = appended_to(archive)
        acknowledged = before_it | told(done.text)
        again = work(archive, 0, 2)   # the same groups once more, as a daemon would
        if again.returncode != 0:
            raise Broken(f'the next run ended with {again.returncode}: {again.text[-300:]} {again.errors[-1500:]}')
        check(archive, acknowledged | told(again.text), possible)
        if marked and any(now in before for now in appended_to(archive)):
            raise Broken(f'a file was appended to after a failed write: {before}')
        if marked and (archive / 'write-failed').exists():
            raise Broken('the mark is still there')
    except Broken as e:
        return f'{call} {n} {how}: {e}'
    finally:
        if not os.environ.get('KEEP'):
            shutil.rmtree(folder, ignore_errors=True)
    return None


def none_breaks(folder, how, base=None, before_it=told('')):
    """base: the archive that the driver finds; before_it: what is acknowledged there."""
    places, possible = count_calls(folder, base)
    some = chosen(places)
    endings = collections.Counter()
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        wrong = [w for w in pool.map(lambda place: one(*place, how, base, before_it, possible, endings), some) if w]
    comment(f'{len(some)} of {len(places)} calls; ended with {dict(endings)}')
    expect(not wrong, f'{len(wrong)} of {len(some)}:\n' + '\n\n'.join(wrong[:8]))


@case
def whoever_is_killed_at_any_call_loses_nothing_acknowledged(folder):
    none_breaks(folder, 'signal=KILL')


@case
def a_call_that_fails_with_an_io_error_loses_nothing_acknowledged(folder):
    none_breaks(folder, 'error=EIO')


@case
def a_full_disk_at_any_call_loses_nothing_acknowledged(folder):
    none_breaks(folder, 'error=ENOSPC')


def left_behind(folder):
    """An archive whose catalog lost its last transactions, with torn ends, and what it holds."""
    base = folder / 'base'
    begun = work(base, 0, 3)
    shutil.copy(base / 'catalog.db', folder / 'catalog.db')
    gone_on = work(base)
    expect(begun.returncode == gone_on.returncode == 0, gone_on.text[-300:])
    for path in [*(base / 'segments').iterdir(), max((base / 'ledger').iterdir())]:
        with path.open('ab') as file:
            file.write(b'v=1 event=torn')
    shutil.copy(folder / 'catalog.db', base / 'catalog.db')
    return base, told(gone_on.text)


@case
def whoever_is_killed_while_mending_loses_nothing_acknowledged(folder):
    none_breaks(folder, 'signal=KILL', *left_behind(folder))


@case
def a_full_disk_while_mending_loses_nothing_acknowledged(folder):
    none_breaks(folder, 'error=ENOSPC', *left_behind(folder))


if __name__ == '__main__':
    main()
