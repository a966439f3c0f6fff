"""Measures popkeep against the limit that the server and the line set. Prints figures, asserts none.

    bench.py fetch|delay|poll|tls      with POPKEEP, DRAIN, PROXY and MEASURE in the environment

fetch   20,000 messages into an empty archive, against the drain (plain)
tls     the same over implicit TLS
delay   2,000 messages over a line of 40 ms round trip, against the drain's best window
poll    20,000 known, nothing new

BENCH_ROUNDS (default 5), BENCH_MESSAGES (20000), BENCH_DIR: where the mailbox is kept for the next
time (default /var/tmp/popkeep-bench-UID). Runs alternate, medians are compared. Where the project
lies beside ../shared, the mailbox is the one that its generator makes; otherwise our own, with a
similar mix of sizes.
"""
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / 'integration'))
import dovecot
import mailgen
import popkeep

ROUNDS = int(os.environ.get('BENCH_ROUNDS', '5'))
MANY = int(os.environ.get('BENCH_MESSAGES', '20000'))
FEW = 2000
DELAY_MS = 20   # each way
WINDOWS = (64, 256, 1024, 4096)
PASSWORD = 'bench'
GENERATOR = popkeep.ROOT.parent / 'shared' / 'tools' / 'gen_mailbox.py'
# A server that does nothing but serve: no flags written on QUIT.
EXTRA = 'pop3_no_flag_updates = yes'


def tool(name):
    return os.environ.get(name.upper(), str(popkeep.ROOT / 'build' / 'tests' / 'bench' / name))


def bench_folder():
    folder = pathlib.Path(os.environ.get('BENCH_DIR') or f'/var/tmp/popkeep-bench-{os.getuid()}')
    folder.mkdir(mode=0o711, parents=True, exist_ok=True)
    if folder.stat().st_uid != dovecot.identity()[0] and folder.stat().st_uid != os.getuid():
        sys.exit(f'{folder} belongs to somebody else')
    return folder


def generate(box, count):
    if GENERATOR.exists():
        subprocess.run(['/usr/bin/python3', str(GENERATOR), 'maildir', str(box), str(count), '1'],
                       check=True)
    else:
        print(mailgen.write_maildir(box, count, 1), 'bytes')


def server_with(count):
    """A Dovecot whose user `bench` has that many messages."""
    base = bench_folder() / f'dovecot-{count}'
    box = base / 'mail' / 'bench'
    done = base / 'complete'
    if not done.exists():
        shutil.rmtree(base, ignore_errors=True)
        print(f'making {count} messages in {box}', flush=True)
        generate(box, count)
        done.touch()
    return dovecot.Dovecot(base, {'bench': PASSWORD}, extra=EXTRA)


def size_of(server):
    box = server.base / 'mail' / 'bench' / 'cur'
    return sum(f.stat().st_size for f in os.scandir(box))


def drain(port, *options):
    out = subprocess.run([tool('drain'), *map(str, options), str(port), 'bench'], check=True,
                         capture_output=True, env=os.environ | {'DRAIN_PASSWORD': PASSWORD})
    return json.loads(out.stdout)


class Subject:
    """popkeep with an archive of its own, that can begin anew."""

    def __init__(self, folder):
        self.keep = popkeep.Popkeep(folder)
        self.report = folder / 'measured'

    def anew(self):
        shutil.rmtree(self.keep.archive, ignore_errors=True)
        os.sync()

    def fetch(self):
        """(what measure says, the account's line)"""
        command = [tool('measure'), str(self.report), *self.keep.command('--json', 'fetch')]
        done = subprocess.run(command, env=self.keep.environment(), stdin=subprocess.DEVNULL,
                              capture_output=True)
        if done.returncode != 0:
            sys.exit(f'exit {done.returncode}: {done.stdout[-2000:]} {done.stderr[-2000:]}')
        line = next(o for o in map(json.loads, done.stdout.splitlines()) if o['type'] == 'account')
        taken = json.loads(self.report.read_text())
        taken['retrieve_s'] = line.get('retrieve_ms', 0) / 1000
        return taken, line


def median(runs, key):
    return statistics.median(r[key] for r in runs)


def spread(runs, key):
    values = sorted(r[key] for r in runs)
    return f'{statistics.median(values):.3f} s ({values[0]:.3f} to {values[-1]:.3f})'


def peak(runs):
    return f"{max(r['rss_kb'] for r in runs) / 1024:.1f} MB"


def bench_fetch(folder, tls=False):
    subject = Subject(folder)
    with server_with(MANY) as server:
        size = size_of(server) / 1e6
        port, options = (server.tls, ['-t']) if tls else (server.plain, [])
        subject.keep.account('bench', port, password=PASSWORD, host='localhost',
                             tls='implicit' if tls else 'none', ca=server.ca if tls else None)
        drain(port, *options)   # the server's own caches
        drains, fetches = [], []
        for _ in range(ROUNDS):
            drains += [min((drain(port, '-w', w, *options) for w in (256, 1024)),
                           key=lambda d: d['total_s'])]
            subject.anew()
            taken, line = subject.fetch()
            assert line['new'] == MANY, line
            fetches.append(taken)
    name = 'TLS' if tls else 'plain'
    print(f'{MANY} messages, {size:.0f} MB, {name}, {ROUNDS} rounds')
    print(f"  drain             {spread(drains, 'total_s')}")
    print(f"  popkeep fetch     {spread(fetches, 'wall_s')}, CPU "
          f"{median(fetches, 'user_s') + median(fetches, 'system_s'):.2f} s, peak {peak(fetches)}")
    print(f"  ratio of medians  {median(fetches, 'wall_s') / median(drains, 'total_s'):.2f}")


class Proxy:
    def __init__(self, port):
        self.process = subprocess.Popen([tool('proxy'), str(port), str(DELAY_MS)],
                                        stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
        self.port = int(self.process.stdout.readline())

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.process.kill()
        self.process.wait()


def bench_delay(folder):
    subject = Subject(folder)
    with server_with(FEW) as server, Proxy(server.plain) as proxy:
        size = size_of(server) / 1e6
        subject.keep.account('bench', proxy.port, password=PASSWORD)
        drain(server.plain)
        best = {w: [] for w in WINDOWS}
        fetches, polls = [], []
        for _ in range(ROUNDS):
            for window in WINDOWS:
                best[window].append(drain(proxy.port, '-w', window))
            subject.anew()
            taken, line = subject.fetch()
            assert line['new'] == FEW, line
            fetches.append(taken)
            polls.append(subject.fetch()[0])
    print(f'{FEW} messages, {size:.0f} MB, {2 * DELAY_MS} ms round trip, {ROUNDS} rounds')
    for window, runs in best.items():
        t = median(runs, 'transfer_s')
        print(f'  drain, window {window:<5} {t:.3f} s, {FEW / t:.0f} messages/s')
    limit = FEW / min(median(runs, 'transfer_s') for runs in best.values())
    # The drain's transfer begins after its login; ours is a fetch less what a poll with nothing
    # new takes over the same line (start, connection, login, listing, QUIT).
    rest = median(fetches, 'wall_s') - median(polls, 'wall_s')
    print(f"  popkeep fetch     {spread(fetches, 'wall_s')}, peak {peak(fetches)}")
    print(f"  popkeep poll      {spread(polls, 'wall_s')}")
    print(f"  its own account   {spread(fetches, 'retrieve_s')} from the first RETR on")
    print(f'  fetch less poll   {rest:.3f} s, {FEW / rest:.0f} messages/s, '
          f'{FEW / rest / limit:.2f} of the best drain')


def bench_poll(folder):
    subject = Subject(folder)
    with server_with(MANY) as server:
        subject.keep.account('bench', server.plain, password=PASSWORD)
        subject.fetch()
        polls, listings = [], []
        for _ in range(2 * ROUNDS + 1):
            taken, line = subject.fetch()
            assert line['new'] == 0 and line['archived'] == MANY, line
            polls.append(taken)
            listings.append(drain(server.plain, '-u'))
    print(f'poll, {MANY} known and nothing new, {len(polls)} rounds')
    print(f"  drain (UIDL)      {spread(listings, 'total_s')}")
    print(f"  popkeep fetch     {spread(polls, 'wall_s')}, peak {peak(polls)}")


def main():
    work = tempfile.mkdtemp(prefix='popkeep-bench-', dir=bench_folder())
    try:
        {'fetch': bench_fetch, 'tls': lambda f: bench_fetch(f, tls=True), 'delay': bench_delay,
         'poll': bench_poll}[sys.argv[1]](pathlib.Path(work))
    finally:
        shutil.rmtree(work, ignore_errors=True)


if __name__ == '__main__':
    main()
