"""Measures what the service does for many accounts. Prints figures, asserts none.

    bench_service.py many|parallel     with POPKEEP, DRAIN and MEASURE in the environment

many      500 accounts with nothing new on one Dovecot, polled at once: CPU for each account, plain
          and over TLS, by Debian's default mechanisms and by SCRAM-SHA-256
parallel  50 accounts of 400 messages fetched at once, against as many drains at once; and the peak
          of memory with 64

With POPKEEPD in the environment, that service polls and `popkeep fetch` only asks it to; else
`popkeep fetch` polls by itself. CPU is that of the process that polls. BENCH_ROUNDS, BENCH_DIR: as
for bench.py; BENCH_ACCOUNTS (500), BENCH_SESSIONS (64).
"""
import json
import os
import pathlib
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

import bench
import dovecot
import popkeep

ROUNDS = bench.ROUNDS
ACCOUNTS = int(os.environ.get('BENCH_ACCOUNTS', '500'))
SESSIONS = int(os.environ.get('BENCH_SESSIONS', '64'))
KNOWN = 20       # messages in each mailbox of `many`
BOXES, EACH = 50, 400
MOST = 64
READY_SECONDS = 60
DEFAULT, SCRAM = 'plain login', 'plain login scram-sha-256'


def server_of(name, accounts, count, mechanisms=DEFAULT):
    """A Dovecot with that many users, each with that many messages of its own."""
    base = bench.bench_folder() / f'dovecot-{name}-{accounts}-{count}'
    done = base / 'complete'
    users = [f'user{n:03d}' for n in range(accounts)]
    if not done.exists():
        shutil.rmtree(base, ignore_errors=True)
        print(f'making {accounts} mailboxes of {count} messages in {base}', flush=True)
        for seed, user in enumerate(users):
            bench.mailgen.write_maildir(base / 'mail' / user, count, seed)
        done.touch()
    return dovecot.Dovecot(base, {u: bench.PASSWORD for u in users}, extra=bench.EXTRA,
                           mechanisms=mechanisms)


class Once:
    """`popkeep fetch` that does it all."""

    def __init__(self, keep, folder):
        self.keep, self.report = keep, folder / 'measured'

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        pass

    def fetch(self, *accounts):
        """(wall_s, cpu_s and rss_kb of what polled; the summary)"""
        done = subprocess.run(
            [bench.tool('measure'), str(self.report),
             *self.keep.command('--json', 'fetch', *accounts)],
            env=self.keep.environment(), stdin=subprocess.DEVNULL, capture_output=True)
        taken = json.loads(self.report.read_text())
        taken['cpu_s'] = taken['user_s'] + taken['system_s']
        return taken, summary_of(done)


class Service:
    """popkeepd, which `popkeep fetch` asks."""

    def __init__(self, keep, folder):
        self.keep, self.folder = keep, folder
        self.keep.globals['interval'] = '10h'
        self.keep.write_config()

    def __enter__(self):
        path = self.folder / 'notify'
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.bind(str(path))
            notify.settimeout(READY_SECONDS)
            self.process = subprocess.Popen(
                [os.environ['POPKEEPD'], '-c', str(self.keep.config)],
                env=self.keep.environment() | {'NOTIFY_SOCKET': str(path)},
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                stderr=open(self.folder / 'log', 'wb'), preexec_fn=dovecot.end_with_parent)
            while b'READY=1' not in notify.recv(4096).split(b'\n'):
                pass
        path.unlink()
        return self

    def __exit__(self, *unused):
        self.process.terminate()
        self.process.wait()

    def cpu(self):
        """Seconds of all its threads that still live, in nanosecond steps."""
        tasks = pathlib.Path(f'/proc/{self.process.pid}/task').glob('*/schedstat')
        return sum(int(t.read_text().split()[0]) for t in tasks) / 1e9

    def peak_kb(self):
        status = pathlib.Path(f'/proc/{self.process.pid}/status').read_text()
        return int(next(l for l in status.splitlines() if l.startswith('VmHWM')).split()[1])

    def fetch(self, *accounts):
        before, began = self.cpu(), time.monotonic()
        done = subprocess.run(self.keep.command('--json', 'fetch', *accounts),
                              env=self.keep.environment(), stdin=subprocess.DEVNULL,
                              capture_output=True)
        taken = {'wall_s': time.monotonic() - began, 'cpu_s': self.cpu() - before,
                 'rss_kb': self.peak_kb()}
        return taken, summary_of(done)


def summary_of(done):
    if done.returncode != 0:
        sys.exit(f'exit {done.returncode}: {done.stdout[-2000:]} {done.stderr[-2000:]}')
    return json.loads(done.stdout.splitlines()[-1])


def poller(keep, folder):
    return (Service if os.environ.get('POPKEEPD') else Once)(keep, folder)


def subject(folder, server, users, tls=False):
    folder.mkdir()
    keep = popkeep.Popkeep(folder)
    keep.globals = {'max-sessions': SESSIONS, 'max-sessions-per-server': SESSIONS}
    write_config, keep.write_config = keep.write_config, lambda: None   # once, not for each
    for user in users:
        keep.account(user, server.tls if tls else server.plain, password=bench.PASSWORD,
                     host='localhost', tls='implicit' if tls else 'none',
                     ca=server.ca if tls else None)
    keep.write_config = write_config
    keep.write_config()
    keep.init()
    return keep


def median(runs, key):
    return statistics.median(r[key] for r in runs)


def poll_many(folder, mechanisms, tls):
    with server_of('many', ACCOUNTS, KNOWN, mechanisms) as server:
        keep = subject(folder, server, server.users, tls)
        runs = []
        with poller(keep, folder) as polling:
            _, summary = polling.fetch()
            assert summary['archived'] == ACCOUNTS * KNOWN, summary
            for _ in range(ROUNDS):
                taken, summary = polling.fetch()
                assert summary['new'] == 0 and summary['listed'] == ACCOUNTS * KNOWN, summary
                runs.append(taken)
    each = [r['cpu_s'] / ACCOUNTS * 1000 for r in runs]
    print(f"  {'TLS' if tls else 'plain':6} {mechanisms.split()[-1]:14} CPU "
          f"{statistics.median(each):.2f} ms ({min(each):.2f} to {max(each):.2f}) an account, "
          f"wall {bench.spread(runs, 'wall_s')}, peak {bench.peak(runs)}", flush=True)


def bench_many(folder):
    print(f'{ACCOUNTS} accounts of {KNOWN} known messages, nothing new, {SESSIONS} sessions, '
          f'{ROUNDS} rounds, load {os.getloadavg()[0]:.1f}')
    for mechanisms in (DEFAULT, SCRAM):
        for tls in (False, True):
            poll_many(folder / f'{len(mechanisms)}-{tls}', mechanisms, tls)


def drains(server, users, tls):
    """Seconds for one drain of each user, all at once."""
    options = ['-t'] if tls else []
    began = time.monotonic()
    running = [subprocess.Popen(
        [bench.tool('drain'), '-w', '256', *options, str(server.tls if tls else server.plain), u],
        stdout=subprocess.DEVNULL, env=os.environ | {'DRAIN_PASSWORD': bench.PASSWORD})
        for u in users]
    assert not any([p.wait() for p in running])
    return time.monotonic() - began


def fetch_parallel(folder, server, tls):
    users = list(server.users)[:BOXES]
    drains(server, server.users, tls)   # the server's own caches
    limits, runs = [], []
    for n in range(ROUNDS):
        limits.append(drains(server, users, tls))
        keep = subject(folder / f'{tls}-{n}', server, users, tls)
        with poller(keep, keep.folder) as polling:
            taken, summary = polling.fetch()
        assert summary['archived'] == BOXES * EACH, summary
        runs.append(taken)
        shutil.rmtree(keep.folder)
    keep = subject(folder / f'{tls}-most', server, server.users, tls)
    with poller(keep, keep.folder) as polling:
        most, _ = polling.fetch()
    limit = statistics.median(limits)
    name = 'TLS' if tls else 'plain'
    print(f'  {name:6} {BOXES} drains {limit:.3f} s ({min(limits):.3f} to {max(limits):.3f})')
    print(f"  {name:6} popkeep   {bench.spread(runs, 'wall_s')}, CPU {median(runs, 'cpu_s'):.2f} s, "
          f"peak {bench.peak(runs)}; {limit / median(runs, 'wall_s'):.2f} of the drains")
    print(f"  {name:6} {MOST} accounts: peak {bench.peak([most])}", flush=True)


def bench_parallel(folder):
    with server_of('parallel', MOST, EACH) as server:
        print(f'{BOXES} accounts of {EACH} messages, {SESSIONS} sessions, {ROUNDS} rounds, '
              f'load {os.getloadavg()[0]:.1f}')
        for tls in (False, True):
            fetch_parallel(folder, server, tls)


def main():
    work = tempfile.mkdtemp(prefix='popkeep-bench-', dir=bench.bench_folder())
    try:
        {'many': bench_many, 'parallel': bench_parallel}[sys.argv[1]](pathlib.Path(work))
    finally:
        shutil.rmtree(work, ignore_errors=True)


if __name__ == '__main__':
    main()
