"""Runs a job of the driver under strace, which kills it, or lets a call fail, at every system call
that changes a file."""
import collections
import concurrent.futures
import os
import pathlib
import re
import shutil
import signal
import tempfile

from driving import (ALL, Broken, GROUPS, QUIET, WRITE_FAILED, check, fast_folder, file_numbers, rebuild, run, told,
    work)
from tap import MissingServer, check as expect, comment

CALLS = ['pwrite64', 'write', 'fdatasync', 'fsync', 'ftruncate', 'openat', 'unlink', 'unlinkat',
    'rename', 'renameat', 'renameat2', 'fchmod', 'fallocate', 'mkdir', 'mkdirat']
WRITES = ['pwrite64', 'write', 'fdatasync', 'fsync', 'ftruncate']
QUICK = 30   # injections of each kind
COMMITTING = ('work', 0, GROUPS)


def strace(job, *options):
    if not shutil.which('strace'):
        raise MissingServer('strace is not installed')
    # A worker that dies is not what is tried here.
    return ['strace', *(['-f'] if job[0] == 'work' else []), '-y', '-qq', *options]


def perform(job, archive, **options):
    """The job on this archive; copies go beside it."""
    more = [archive.parent / 'copy'] if job[0] == 'copy' else job[1:]
    return run(job[0], archive, *more, **options)


def count_calls(folder, base, job, names):
    """How often each call is made, those of the program's start left out."""
    log = folder / 'log'
    if base:
        shutil.copytree(base, folder / 'archive')
    done = perform(job, folder / 'archive', env=QUIET,
        before=strace(job, '-o', str(log), '-e', 'trace=' + ','.join(names)))
    expect(done.returncode == 0, f'the run itself failed: {done.text[-500:]} {done.errors[-500:]}')
    calls, first = collections.Counter(), {}
    for line in log.read_text(errors='replace').splitlines():
        name = re.match(r'(?:\d+ +)?(\w+)\(', line)
        if name:
            calls[name[1]] += 1
            if str(folder) in line:
                first.setdefault(name[1], calls[name[1]])
    shutil.rmtree(folder / 'archive')
    shutil.rmtree(folder / 'copy', ignore_errors=True)
    return [(name, n) for name in names for n in range(first.get(name, 1), calls[name] + 1)], told(done.text)


def chosen(places, quick):
    """All, or each call's first three and some of the others."""
    if ALL:
        return places
    if quick < QUICK:   # fewer places, the first call of each kind among them
        spread = {places[n * len(places) // quick] for n in range(quick)} if len(places) > quick else set(places)
        firsts = {next(p for p in places if p[0] == name) for name, _ in places}
        return sorted(spread | firsts, key=places.index)
    few = [p for p in places if sum(q[0] == p[0] for q in places) <= 3]
    many = [p for p in places if p not in few]
    return few + many[::max(1, len(many) // max(1, quick - len(few)))]


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


def judge_failure(done, archive, job, call, path):
    """A write that failed in a commit ends the writer, which leaves its mark."""
    if done.returncode < 0:
        raise Broken(f'died by signal {-done.returncode}: {done.errors[-1500:]}')
    # What a seal writes before it is in place, and what it tidies up behind it, is no commit.
    of_commits = r'/(ledger|segments)\b' if job[0] == 'work' else r'archive/ledger/0'
    if call in WRITES and re.search(of_commits, path):
        if done.returncode != WRITE_FAILED:
            raise Broken(f'ended with {done.returncode}: {done.text[-300:]}')
        # The mark goes with the next writer, which another handle of the same run may have been.
        hit = re.search(r'archive/ledger/(\d+)', path)
        taken = hit and file_numbers(archive)[1] > int(hit[1])
        if not taken and not (archive / 'write-failed').exists():
            raise Broken('left no mark')
    if done.returncode != 0 and 'FAULT 0' in done.text:
        raise Broken(f'no reason: {done.text[-300:]}')


def go_on(job, archive, acknowledged, possible):
    """What a daemon would do next: the same groups once more; a job that was not done is done."""
    again = work(archive, 0, 2)
    if again.returncode != 0:
        raise Broken(f'the next run ended with {again.returncode}: {again.text[-300:]} {again.errors[-1500:]}')
    acknowledged = acknowledged | told(again.text)
    if job[0] != 'work':
        done = perform(job, archive)
        if done.returncode != 0:
            raise Broken(f'the next {job[0]} ended with {done.returncode}: {done.text[-300:]} {done.errors[-1500:]}')
        acknowledged = acknowledged | told(done.text)
    possible = possible | acknowledged
    check(archive, acknowledged, possible)
    if job[0] == 'copy':
        copy = archive.parent / 'copy'
        done = rebuild(copy)
        if done.returncode != 0:
            raise Broken(f'the copy cannot be rebuilt: {done.text[-300:]}')
        check(copy, acknowledged, possible, strays=True)


def one(call, n, how, job, base, before_it, possible, endings):
    folder = pathlib.Path(tempfile.mkdtemp(prefix='popkeep-kill-', dir=fast_folder()))
    archive, log = folder / 'archive', folder / 'log'
    try:
        if base:
            shutil.copytree(base, archive)
        done = perform(job, archive, env=QUIET, before=strace(job, '-o', str(log), '-e', f'trace={call}',
            '-e', f'inject={call}:{how}:when={n}'))
        endings[done.returncode] += 1
        if how.startswith('error'):
            judge_failure(done, archive, job, call, hit_path(log))
        elif done.returncode not in (-signal.SIGKILL, 128 + signal.SIGKILL, 0):
            raise Broken(f'ended with {done.returncode} {done.text[-300:]} {done.errors[-300:]}')
        marked = (archive / 'write-failed').exists()
        before = appended_to(archive)
        go_on(job, archive, before_it | told(done.text), possible)
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


def none_breaks(folder, how, base=None, before_it=told(''), job=COMMITTING, names=CALLS, quick=QUICK):
    """base: the archive that the driver finds; before_it: what is acknowledged there."""
    places, possible = count_calls(folder, base, job, names)
    some = chosen(places, quick)
    endings = collections.Counter()
    possible = possible | before_it
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        wrong = [w for w in pool.map(lambda place: one(*place, how, job, base, before_it, possible, endings), some) if w]
    comment(f'{len(some)} of {len(places)} calls; ended with {dict(endings)}')
    expect(not wrong, f'{len(wrong)} of {len(some)}:\n' + '\n\n'.join(wrong[:8]))
