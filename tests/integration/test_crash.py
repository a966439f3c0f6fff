"""kill -9 at any moment: no message lost, none twice, and the archive is sound each time.

POPKEEP_KILLS=n kills so often (default 30), POPKEEP_INJECTIONS=n at so many system calls.
"""
import os
import random
import re
import shutil
import subprocess
import time

import client
import mailgen
import popkeep
import tap
from fixture import a_dovecot, check_kept
from popkeep import Popkeep, check_sums
from tap import case, check, equal, main

KILLS = int(os.environ.get('POPKEEP_KILLS', '30'))
INJECTIONS = int(os.environ.get('POPKEEP_INJECTIONS', '24'))
SEED = os.environ.get('POPKEEP_SEED', '1')


def ledger_lines(keep):
    return [line for path in sorted((keep.archive / 'ledger').glob('*.log'))
            for line in path.read_text().splitlines()]


def check_sound(keep, wanted):
    """Whatever happened: all that is kept is whole, known once, and was on the server."""
    if not (keep.archive / 'POPKEEP').exists():
        return 0
    keep.verify()
    digests = [m['digest'] for m in keep.messages()]
    equal(len(digests), len(set(digests)), 'each digest once')
    check(set(digests) <= wanted, 'nothing is kept that was not sent')
    return len(digests)


def check_complete(keep, wanted, listed):
    line = keep.fetch_account('anna')
    check_sums(line)
    equal((line['listed'], line['archived'], line['pending'], line['refused']),
          (listed, listed, 0, 0), 'sums at the end')
    equal(set(keep.digests()), wanted, 'digests at the end')
    equal(keep.run('search', '--count').out.strip(), str(len(wanted)).encode(), 'search --count')
    keeps = [m[1] for m in (re.search(r'\bdigest=([0-9a-f]{64})', line)
                            for line in ledger_lines(keep) if 'event=keep' in line) if m]
    equal(len(keeps), len(wanted), 'keep lines')
    equal(set(keeps), wanted, 'their digests')


@case
def a_fetch_killed_at_random_moments_loses_nothing_and_keeps_nothing_twice(folder):
    rng = random.Random(SEED)
    mail = mailgen.mailbox('kill', 900) + [mailgen.attachment_of(n, 400_000) for n in range(60)]
    wanted = set(map(client.digest, mail))
    with a_dovecot(folder, {'anna': mail}) as server:
        keep = Popkeep(folder)
        keep.account('anna', server.plain)
        begin = time.monotonic()
        keep.fetch('anna')
        whole = time.monotonic() - begin
        shutil.rmtree(keep.archive)
        tap.comment(f'{whole:.2f} s undisturbed')
        progress = []
        for _ in range(KILLS):
            process = keep.start('fetch', 'anna')
            time.sleep(rng.uniform(0, whole))
            process.kill()
            process.communicate()
            progress.append(check_sound(keep, wanted))
            if progress[-1] == len(wanted):
                check_complete(keep, wanted, len(mail))
                shutil.rmtree(keep.archive)
        tap.comment(f'messages after each kill: {progress}')
        check_complete(keep, wanted, len(mail))


# The system calls by which an archive changes.
CALLS = ('pwrite64', 'fdatasync', 'fsync', 'write', 'renameat,renameat2,rename', 'openat',
         'ftruncate', 'fallocate', 'mkdir,mkdirat', 'linkat,link', 'unlink,unlinkat')


def under_strace(keep, inject, *arguments):
    if not shutil.which('strace'):
        raise tap.Skip('no strace here')
    log = keep.folder / 'strace'
    log.unlink(missing_ok=True)
    command = ['strace', '-f', '-qq', '-o', str(log), *inject, *keep.command(*arguments)]
    env = keep.environment()
    env['ASAN_OPTIONS'] += ':detect_leaks=0'   # it cannot run below a tracer
    done = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, capture_output=True,
                          timeout=120)
    return popkeep.Result(command, done.returncode, done.stdout, done.stderr), log


def count_calls(keep):
    """{calls: how often a fetch makes them, in the thread that makes the most}"""
    result, log = under_strace(keep, ['-e', 'trace=' + ','.join(CALLS)], 'fetch', 'anna')
    if result.code != 0:
        raise tap.Skip(f'strace does not work here: {result.err[-300:]}')
    text = log.read_text(errors='replace')
    counts = {}
    for calls in CALLS:
        names = calls.replace(',', '|')
        threads = re.findall(rf'^(\d+) +(?:{names})\(', text, re.MULTILINE)
        # strace counts each thread's calls for itself.
        counts[calls] = max(map(threads.count, threads), default=0)
    return counts


def mail_was_hit(log):
    """Did a call on ledger or segments fail?"""
    return any('(INJECTED)' in line and re.search(r'<[^>]*/(ledger|segments)\b[^>]*>', line)
               for line in log.read_text(errors='replace').splitlines())


def moments(counts, number):
    """So many (calls, n) spread over all: the n-th of these calls is hit."""
    every = [(calls, n) for calls, count in counts.items() for n in range(1, count + 1)]
    rng = random.Random(SEED)
    rng.shuffle(every)
    # At least one of each.
    first = {}
    for calls, n in every:
        first.setdefault(calls, (calls, n))
    rest = [m for m in every if m not in first.values()]
    return [*first.values(), *rest][:max(number, len(first))]


def inject_everywhere(folder, action, check_result):
    mail = mailgen.mailbox('inject', 40, size=3000) + [
        mailgen.attachment_of(n, 1_500_000) for n in range(8)]
    wanted = set(map(client.digest, mail))
    with a_dovecot(folder, {'anna': mail}) as server:
        keep = Popkeep(folder)
        keep.account('anna', server.plain)
        keep.init()
        counts = count_calls(keep)
        tap.comment(f'calls of one fetch: {counts}')
        for calls, n in moments(counts, INJECTIONS):
            shutil.rmtree(keep.archive, ignore_errors=True)
            keep.init()
            inject = ['-y', '-e', f'trace={calls}', '-e', f'inject={calls}:{action}:when={n}']
            result, log = under_strace(keep, inject, 'fetch', 'anna')
            where = f'{action} at call {n} of {calls}'
            try:
                check_result(result, calls, mail_was_hit(log))
                check_sound(keep, wanted)
                check_complete(keep, wanted, len(mail))
                check_kept(keep, mail)
            except AssertionError as e:
                raise AssertionError(f'{where}: {e}\n{result}') from e


@case
def a_fetch_killed_at_a_system_call_loses_nothing_and_keeps_nothing_twice(folder):
    inject_everywhere(folder, 'signal=KILL', lambda *unused: None)


@case
def a_sync_or_write_that_fails_never_loses_what_was_acknowledged(folder):
    def look(result, calls, hit):
        check('Sanitizer' not in result.err, 'a sanitizer spoke')
        # Where a database was hit, which is a cache, it may go on.
        if hit and calls in ('fdatasync', 'fsync', 'pwrite64', 'write'):
            equal(result.code, popkeep.WRITE, 'exit status')
    inject_everywhere(folder, 'error=EIO', look)


if __name__ == '__main__':
    main()
