"""Measures how fast mail is moved in and out, and indexed. Prints figures, asserts none.

    bench_moving.py export|import|restore|index …     with POPKEEP, MEASURE and MEASURE_ARCHIVE in
                                                      the environment

export    100,000 messages of 1 GB to mboxrd and Maildir, from open and from sealed segments; on a
          file system in memory
import    an mbox of the same messages, durable, and once more with all of them known; a Maildir
restore   10,000 messages into a Dovecot on this machine, beside mbsync (package isync) pushing the
          same; runs alternate, plain and over TLS
index     the headers of those 100,000 messages

BENCH_ROUNDS (default 3), BENCH_MESSAGES (100000), BENCH_PUSHED (10000),
BENCH_FORMATS (of export: all); BENCH_TMPFS: a folder in
memory with 6 GB of room (default /dev/shm); BENCH_DIR as in bench.py: the disk on which import is
durable. MB is 10^6 bytes of mail; CPU is that of the command and of all that it started; the peak
is the largest sum of the memory of these processes, sampled (what they share is counted once), or
the largest of one as the kernel counted it where that is more.
"""
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / 'integration'))
import bench
import dovecot
import imap_client
import letters
import popkeep

ROUNDS = int(os.environ.get('BENCH_ROUNDS', '3'))
MESSAGES = int(os.environ.get('BENCH_MESSAGES', '100000'))
PUSHED = int(os.environ.get('BENCH_PUSHED', '10000'))
FORMATS = os.environ.get('BENCH_FORMATS', 'mboxrd maildir eml tar tar.zst zip').split()
PASSWORD = 'secret'
SAMPLE_SECONDS = 0.05


# ---- One command, measured --------------------------------------------------------------------

def memory(pid):
    """Bytes of all processes below pid, without itself: their proportional set size."""
    total = 0
    try:
        children = pathlib.Path(f'/proc/{pid}/task/{pid}/children').read_text().split()
    except OSError:
        return 0
    for child in children:
        try:
            rollup = pathlib.Path(f'/proc/{child}/smaps_rollup').read_text()
        except OSError:
            continue
        found = re.search(r'^Pss: +(\d+) kB', rollup, re.M)
        total += int(found[1]) * 1024 if found else 0
        total += memory(child)
    return total


class Sampler(threading.Thread):
    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.peak, self.ended = pid, 0, threading.Event()
        self.start()

    def run(self):
        while not self.ended.wait(SAMPLE_SECONDS):
            self.peak = max(self.peak, memory(self.pid))


class Run:
    def __init__(self, folder, *words, codes=(0,), env=None):
        report = folder / 'measured'
        words = [shutil.which(str(words[0])) or words[0], *words[1:]]
        process = subprocess.Popen([bench.tool('measure'), str(report), *map(str, words)],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   env=os.environ | {'HOME': str(folder)} | (env or {}))
        sampler = Sampler(process.pid)
        self.out, err = process.communicate()
        sampler.ended.set()
        self.err = err[-3000:].decode('utf-8', 'replace')
        if process.returncode not in codes:
            sys.exit(f'{" ".join(map(str, words))}: exit {process.returncode}: {self.out[-1000:]} {self.err}')
        taken = json.loads(report.read_text())
        self.wall, self.cpu = taken['wall_s'], taken['user_s'] + taken['system_s']
        self.peak = max(taken['rss_kb'] * 1024, sampler.peak) / 1e6


def show(name, runs, size, count):
    walls = sorted(r.wall for r in runs)
    wall, cpu = statistics.median(walls), statistics.median(r.cpu for r in runs)
    print(f'  {name:<28} {size / 1e6 / wall:6.0f} MB/s, {count / wall:7.0f} messages/s; {wall:.2f} s '
          f'({walls[0]:.2f} to {walls[-1]:.2f}), CPU {cpu:.2f} s = {size / 1e6 / cpu:.0f} MB and '
          f'{count / cpu:.0f} messages a CPU second, '
          f'peak {max(r.peak for r in runs):.0f} MB', flush=True)
    return wall


def command(archive, *words):
    return [popkeep.BINARY, '-C', archive, *words]


def flush():
    """Nothing of the round before is left to be written in the next."""
    os.sync()


# ---- Export, index ----------------------------------------------------------------------------

def fill(work):
    """An archive of all messages: (its path, bytes)"""
    size = letters.write_files(work / 'anna', MESSAGES)
    paths = ''.join(f'{p}\n' for p in sorted((work / 'anna').iterdir()))
    subprocess.run([bench.tool('measure_archive'), 'fill', str(work / 'archive')], input=paths.encode(),
                   check=True, stdout=subprocess.DEVNULL)
    shutil.rmtree(work / 'anna')
    return work / 'archive', size


def remove(path):
    if path.is_dir():
        shutil.rmtree(path)
    for left in path.parent.glob(path.name + '*'):
        left.unlink()


def bench_export(work, disk):
    archive, size = fill(work)
    print(f'export: {MESSAGES} messages, {size / 1e6:.0f} MB, {ROUNDS} rounds')
    for state in ('open', 'sealed'):
        if state == 'sealed':
            Run(work, *command(archive, 'seal'))
        for name in FORMATS:
            runs = []
            for _ in range(ROUNDS):
                runs.append(Run(work, *command(archive, 'export', '--format', name, '--output', work / 'out')))
                remove(work / 'out')
            show(f'{name}, from {state} segments', runs, size, MESSAGES)


def bench_index(work, disk):
    archive, size = fill(work)
    print(f'index: {MESSAGES} messages, {size / 1e6:.0f} MB, {ROUNDS} rounds')
    for state in ('open', 'sealed'):
        if state == 'sealed':
            Run(work, *command(archive, 'seal'))
        runs = []
        for _ in range(ROUNDS):
            for left in (archive / 'search').glob('*'):
                left.unlink()
            runs.append(Run(work, *command(archive, 'index')))
        show(f'from {state} segments', runs, size, MESSAGES)


# ---- Import -----------------------------------------------------------------------------------

def bench_import(work, disk):
    size = letters.write_mbox(work / 'mail.mbox', MESSAGES)
    print(f'import: {MESSAGES} messages, {size / 1e6:.0f} MB, {ROUNDS} rounds; the archive on {disk}')
    take = lambda source: Run(work, *command(disk / 'archive', 'import', source, '--account', 'anna'))
    for name in ('mbox', 'maildir'):
        source = work / f'mail.{name}'
        if name == 'maildir':
            letters.write_maildir(source, MESSAGES)
        new, known = [], []
        for _ in range(ROUNDS):
            shutil.rmtree(disk / 'archive', ignore_errors=True)
            subprocess.run(command(disk / 'archive', 'init'), check=True, stdout=subprocess.DEVNULL)
            flush()
            new.append(take(source))
            known.append(take(source))
        show(name, new, size, MESSAGES)
        show(f'{name}, all known', known, size, MESSAGES)


# ---- Restore ----------------------------------------------------------------------------------

MBSYNC = '''\
IMAPAccount far
Host localhost
Port {port}
User {user}
Pass {password}
AuthMechs PLAIN
SSLType {tls}
CertificateFile {ca}

IMAPStore far
Account far

MaildirStore near
Path {mail}/
Inbox {mail}/INBOX

Channel push
Far :far:
Near :near:
Patterns INBOX
Sync PushNew
Create Far
SyncState {state}/
'''


def with_mbsync(work, server, user, tls):
    state = work / 'state' / user
    shutil.rmtree(state, ignore_errors=True)
    state.mkdir(parents=True)
    for left in (work / 'near' / 'INBOX').glob('.*'):   # the UIDs it gave
        left.unlink()
    (work / 'mbsyncrc').write_text(MBSYNC.format(
        port=server.imaps if tls else server.imap, user=user, password=PASSWORD,
        tls='IMAPS' if tls else 'None', ca=server.ca, mail=work / 'near', state=state))
    return Run(work, 'mbsync', '-q', '-c', work / 'mbsyncrc', 'push')


def with_popkeep(work, archive, server, user, tls):
    (work / 'password').write_text(PASSWORD + '\n')
    (work / 'password').chmod(0o600)
    url = f'imaps://{user}@localhost:{server.imaps}/INBOX' if tls else f'imap://{user}@localhost:{server.imap}/INBOX'
    more = ['--tls-ca-file', server.ca] if tls else ['--tls', 'none']
    return Run(work, *command(archive, 'restore', '--accept-unindexed', '--to', url, '--password-file',
                              work / 'password', *more))


def arrived(server, user):
    with imap_client.Client(server.imap, user, PASSWORD) as mailbox:
        count = mailbox.count('INBOX')
    if count != PUSHED:
        sys.exit(f'{count} messages of {PUSHED} are in the mailbox of {user}')


def bench_restore(work, disk):
    if not shutil.which('mbsync'):
        print('# SKIP restore: mbsync is not installed (make bench installs it)')
        return
    size = letters.write_maildir(work / 'near' / 'INBOX', PUSHED)
    paths = ''.join(f'{p}\n' for p in sorted((work / 'near' / 'INBOX' / 'cur').iterdir()))
    archive = work / 'archive'
    subprocess.run([bench.tool('measure_archive'), 'fill', str(archive)], input=paths.encode(), check=True,
                   stdout=subprocess.DEVNULL)
    users = [f'{who}{n}{tls}' for who in 'pm' for n in range(ROUNDS) for tls in ('plain', 'tls')]
    print(f'restore: {PUSHED} messages, {size / 1e6:.0f} MB, {ROUNDS} rounds')
    work.chmod(0o755)
    with dovecot.Dovecot(work / 'dovecot', {u: PASSWORD for u in users}, imap=True) as server:
        for tls in ('', 'tls'):
            ours, theirs = [], []
            for n in range(ROUNDS):
                ours.append(with_popkeep(work, archive, server, f'p{n}{tls or "plain"}', tls))
                theirs.append(with_mbsync(work, server, f'm{n}{tls or "plain"}', tls))
                arrived(server, f'p{n}{tls or "plain"}')
                arrived(server, f'm{n}{tls or "plain"}')
            name = 'TLS' if tls else 'plain'
            a = show(f'popkeep restore, {name}', ours, size, PUSHED)
            b = show(f'mbsync, {name}', theirs, size, PUSHED)
            print(f'  ratio of medians             {a / b:.2f}', flush=True)


BENCHES = {'export': bench_export, 'import': bench_import, 'restore': bench_restore, 'index': bench_index}


def main():
    for key in [k for k in os.environ if k in ('POPKEEP_CONFIG', 'POPKEEP_ARCHIVE') or k.startswith('XDG_')]:
        del os.environ[key]
    memory = os.environ.get('BENCH_TMPFS', '/dev/shm')
    for name in sys.argv[1:] or BENCHES:
        with tempfile.TemporaryDirectory(prefix='popkeep-moving-', dir=memory) as work, \
                tempfile.TemporaryDirectory(prefix='moving-', dir=bench.bench_folder()) as disk:
            BENCHES[name](pathlib.Path(work), pathlib.Path(disk))


if __name__ == '__main__':
    main()
