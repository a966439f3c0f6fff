"""popkeepd against a server that misbehaves, killed and started again, and in the end the sums.

    Soak(folder, seed=7, accounts=200, seconds=600).run()

It fails when a promise is broken: a message lost, forged or kept twice, sums that do not add up, an
exit status or a sanitizer's word that should not be, memory or descriptors that grow.
"""
import collections
import os
import pathlib
import random
import signal
import statistics
import struct
import subprocess
import tempfile
import time

import misbehaving
import popkeep
import service
import tap

DONE_CODES = (popkeep.DONE, popkeep.FAILED, popkeep.PARTLY, popkeep.BUSY, popkeep.LOGIN,
              popkeep.UNREACHABLE, popkeep.USAGE)
KILLS = (10, 40)           # seconds between two ends of the service
TURMOIL = (2, 6)           # between two changes of the configuration
QUIET_ROUNDS = 40
FETCHERS = 4
IDLE_CPU = 0.02            # of one processor
RETRY_DAYS = 8             # no refusal waits for longer
GROWTH = 1.25, 4096        # factor and KB that memory may grow by


class Bounded(service.Service):
    """Its log would fill the memory."""
    def read(self, process):
        self.lines = collections.deque(maxlen=400)
        super().read(process)


class Config(popkeep.Popkeep):
    """With a clock for all that can be set."""
    def __init__(self, folder):
        super().__init__(folder)
        self.clock = self.folder / 'clock'
        self.set_clock(0)
        self.preload = service.preload(service.CLOCK)

    def set_clock(self, days):
        with self.clock.open('r+b' if self.clock.exists() else 'wb') as f:
            f.write(struct.pack('=q', days * 86400))

    def environment(self):
        env = super().environment()
        if service.CLOCK.exists():
            env |= {'LD_PRELOAD': self.preload, 'POPKEEP_TEST_CLOCK': str(self.clock)}
        return env

    def write_config(self, more=''):
        """Others read it at any time."""
        here, self.config = self.config, self.folder / 'popkeep.conf.new'
        super().write_config(more)
        self.config.replace(here)
        self.config = here


def shown(uidl):
    """As popkeep's JSON shows it."""
    try:
        return uidl.decode('utf-8')
    except UnicodeDecodeError:
        return ''.join(chr(b) if 0x20 < b < 0x7f else f'\\x{b:02x}' for b in uidl)


def kilobytes(text):
    return int(text.split()[0])


class Soak:
    def __init__(self, folder, seed, accounts, seconds, sanitised):
        self.folder, self.seed, self.seconds = pathlib.Path(folder), seed, seconds
        self.accounts, self.sanitised = accounts, sanitised
        self.rng = random.Random(f'{seed}/soak')
        self.running = []
        self.broken = False        # the configuration
        self.counts = collections.Counter()
        self.samples = []          # of the service that lives longest, at last
        self.cpu = 0
        self.removed = {}

    # What it runs on

    def configure(self, server):
        self.keep = Config(self.folder)
        self.keep.globals |= {'max-sessions': 64, 'max-sessions-per-server': 32,
                              'interval': '10s', 'timeout': '2s', 'min-free': '1M',
                              'metrics-file': self.folder / 'metrics.prom',
                              'alert-command': 'true'}
        for name in server.users:
            secret = self.secret_path(name)
            self.give_secret(name, 'secret')
            keys = {'server': f'pop3://127.0.0.1:{server.port}', 'user': name, 'tls': 'none'}
            if self.rng.random() < 0.1:
                keys['password-command'] = f'cat {secret}'
            else:
                keys['password-file'] = secret
            self.keep.accounts[name] = keys
        self.service = Bounded(self.keep)

    def secret_path(self, name):
        return self.folder / f'{name}.password'

    def give_secret(self, name, text):
        new = self.folder / 'new.password'
        new.write_text(text + '\n')
        new.chmod(0o600)
        new.replace(self.secret_path(name))

    # The service's lives

    def start_service(self):
        self.keep.write_config()
        self.service.start()
        self.counts['starts'] += 1
        self.samples.append([])
        self.born = time.monotonic()

    def end_service(self):
        """By a kill, or by SIGTERM and then with exit status 0."""
        self.sample()
        children = self.children()
        tap.check(self.service.process.poll() is None,
                  f'popkeepd ended by itself, {self.service.process.poll()}\n{self.service.log}')
        if self.rng.random() < 0.7:
            self.service.kill()
            self.counts['kills'] += 1
        else:
            begin = time.monotonic()
            tap.equal(self.service.stop(), 0, f'exit status\n{self.service.log}\n')
            self.counts['slowest stop, ms'] = max(self.counts['slowest stop, ms'],
                                                  int(1000 * (time.monotonic() - begin)))
            self.counts['stops'] += 1
        tap.wait_until(lambda: not any(self.lives(c) for c in children), 10,
                       'the end of the runner')

    def children(self):
        pid = self.service.process.pid
        try:
            return [int(c) for c in
                    pathlib.Path(f'/proc/{pid}/task/{pid}/children').read_text().split()]
        except FileNotFoundError:
            return []

    @staticmethod
    def lives(pid):
        try:
            return ' Z ' not in pathlib.Path(f'/proc/{pid}/stat').read_text()
        except (FileNotFoundError, ProcessLookupError):
            return False

    @staticmethod
    def cpu_of(pid):
        """Seconds, with the children it waited for."""
        try:
            fields = pathlib.Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return 0
        return sum(map(int, fields[11:15])) / os.sysconf('SC_CLK_TCK')

    def service_cpu(self):
        return sum(self.cpu_of(p) for p in [self.service.process.pid, *self.children()])

    def sample(self):
        try:
            status = self.service.proc_status()
            taken = {'age': time.monotonic() - self.born, 'rss': kilobytes(status['VmRSS']),
                     'peak': kilobytes(status['VmHWM']), 'fds': self.service.descriptors(),
                     'cpu': self.service_cpu(), 'runner': 0, 'runner fds': 0}
            for child in self.children():
                taken['runner fds'] = len(os.listdir(f'/proc/{child}/fd'))
                with open(f'/proc/{child}/status') as f:
                    taken['runner'] = next(kilobytes(line.split(':')[1]) for line in f
                                           if line.startswith('VmRSS'))
        except (OSError, KeyError, StopIteration):
            return
        if self.samples:
            self.samples[-1].append(taken)

    # Those who ask it

    def begin(self, *arguments, codes=DONE_CODES):
        err = tempfile.TemporaryFile(dir=self.folder)
        process = subprocess.Popen(self.keep.command('--json', *arguments), stderr=err,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   env=self.keep.environment())
        process.err, process.killed, process.began = err, False, time.monotonic()
        process.codes, process.verb = codes, arguments[0]
        self.running.append(process)

    def end_commands(self, patience):
        for process in list(self.running):
            code = process.poll()
            if code is None:
                tap.check(time.monotonic() - process.began < patience,
                          f'no end: {process.args}\n{self.service.log}')
                continue
            self.running.remove(process)
            process.err.seek(0)
            said = process.err.read().decode('utf-8', 'backslashreplace')
            process.err.close()
            self.counts[f'{process.verb}: exit status {code}'] += 1
            tap.check(code in process.codes or (process.killed and code == -signal.SIGKILL),
                      f'exit status {code} of {process.args}\n{said[-5000:]}')
            tap.check(not any(w in said for w in popkeep.SANITIZER_WORDS), said)

    def some_names(self, most):
        names = list(self.keep.accounts)
        return self.rng.sample(names, min(len(names), self.rng.randint(1, most)))

    def ask_it(self):
        self.end_commands(300)
        while sum(p.verb == 'fetch' for p in self.running) < FETCHERS:
            self.begin('fetch', *self.some_names(max(2, self.accounts // 10)))
        if len(self.running) == FETCHERS and self.rng.random() < 0.03:
            self.read_it()
        if self.rng.random() < 0.01:
            victim = self.rng.choice(self.running)
            victim.killed = True
            victim.kill()

    def read_it(self):
        """Whatever goes on, the archive is sound."""
        verb = self.rng.choice(('verify', 'verify', 'status', 'search', 'log'))
        wanted = {popkeep.DONE, popkeep.USAGE if self.broken else popkeep.DONE}
        more = {'status': {popkeep.PARTLY}, 'search': {popkeep.NOTHING}}.get(verb, set())
        self.begin(verb, codes=wanted | more)

    def change_something(self):
        """The configuration, a password, or nothing; and SIGHUP."""
        name = self.rng.choice(list(self.keep.accounts))
        kind = self.rng.choice(('wrong', 'right', 'right', 'remove', 'add', 'add', 'interval',
                                'broken', 'sleep', 'nothing'))
        if kind == 'wrong':
            self.give_secret(name, self.rng.choice(('wrong', '')))
        elif kind == 'right':
            self.correct_secrets(0.5)
        elif kind == 'remove' and len(self.keep.accounts) > self.accounts // 2:
            self.removed[name] = self.keep.accounts.pop(name)
        elif kind == 'add':
            self.restore_accounts()
        elif kind == 'interval':
            self.keep.accounts[name]['interval'] = self.rng.choice(('10s', '20s', '1h'))
        elif kind == 'sleep':
            self.service.process.send_signal(signal.SIGSTOP)
            time.sleep(self.rng.choice((0.5, 3)))
            self.service.process.send_signal(signal.SIGCONT)
        self.broken = kind == 'broken'
        self.keep.write_config('intervall = "10s"\n' if self.broken else '')
        self.service.reload()
        self.counts['reloads'] += 1

    def correct_secrets(self, share=1):
        for name in self.service_users:
            if self.rng.random() < share and self.secret_path(name).read_text() != 'secret\n':
                self.give_secret(name, 'secret')

    def restore_accounts(self):
        self.keep.accounts |= self.removed
        self.removed = {}

    # The run

    def run(self):
        begin = time.monotonic()
        with misbehaving.Misbehaving(self.seed, self.accounts) as server:
            self.service_users = server.users
            self.configure(server)
            try:
                self.start_service()
                self.misbehave(begin)
                server.ask('quiet')
                self.become_quiet(server)
                self.check_idle()
                self.check_growth()
                truth = server.ask('truth')
                self.check_all(truth)
                tap.equal(self.service.stop(), 0, f'exit status\n{self.service.log}\n')
                self.check_rebuild()
            finally:
                self.put_away()
        self.report(truth, time.monotonic() - begin)

    def put_away(self):
        for process in self.running:
            process.kill()
            process.wait()
        if self.service.process and self.service.process.poll() is None:
            self.service.kill()

    def misbehave(self, begin):
        """Ends and starts again for half of the time; then one service lives to the end."""
        end, half = begin + self.seconds, begin + self.seconds / 2
        least, most = KILLS if self.seconds >= 120 else (3, 8)
        kill = begin + self.rng.uniform(least, most)
        turmoil = sampled = begin
        while (now := time.monotonic()) < end:
            if kill <= now < half:
                self.end_service()
                self.pause()
                self.start_service()
                kill = time.monotonic() + self.rng.uniform(least, most)
            if now >= turmoil:
                self.change_something()
                turmoil = now + (0.5 if self.broken else self.rng.uniform(*TURMOIL))
            if now >= sampled:
                self.sample()
                sampled = now + 1
            self.ask_it()
            tap.check(self.service.process.poll() is None,
                      f'popkeepd ended by itself, {self.service.process.poll()}\n'
                      f'{self.service.log}')
            time.sleep(0.05)

    def pause(self):
        """Nobody serves; fetches do it themselves."""
        end = time.monotonic() + self.rng.choice((0, 0, 0.5, 3))
        while time.monotonic() < end:
            self.ask_it()
            time.sleep(0.05)

    def become_quiet(self, server):
        self.restore_accounts()
        self.correct_secrets()
        for keys in self.keep.accounts.values():
            keys['interval'] = '1d'
        self.keep.write_config()
        self.service.reload()
        while self.running:
            self.end_commands(400)
            time.sleep(0.05)
        self.come_to_rest()
        # What was refused is tried again in a while, and mostly comes.
        self.keep.set_clock(RETRY_DAYS)
        self.come_to_rest()
        lines = self.keep.fetch(code=popkeep.DONE, timeout=400).of_type('account')
        tap.equal(len(lines), self.accounts, 'accounts of the last fetch')
        tap.equal(sum(x['new'] + x['pending'] for x in lines), 0, 'new and pending in the last poll')

    def come_to_rest(self):
        left = list(self.keep.accounts)
        for _ in range(QUIET_ROUNDS):
            self.sample()
            lines = self.keep.fetch(*left, code=None, timeout=400).of_type('account')
            self.counts['quiet rounds'] += 1
            left = [line['account'] for line in lines
                    if 'error' in line or line['new'] or line['pending'] or line['duplicate']]
            for line in lines:
                popkeep.check_sums(line)
            if not left:
                break
            time.sleep(1)
        tap.check(not left, f'still not at rest: {[x for x in lines if x["account"] in left]}\n'
                  f'{self.service.log}')

    # What must hold

    def check_all(self, truth):
        tap.equal(truth['errors'], [], 'mistakes in the script of the server')
        tap.equal(truth['deleted'], [], 'messages deleted')
        lines = self.keep.json('status', '--all', code=(popkeep.DONE, popkeep.PARTLY))
        lines = {x['account']: x for x in lines.of_type('account')}
        events = self.keep.json('log', timeout=400).of_type('event')
        had = collections.defaultdict(set)
        kept = collections.Counter()
        for e in events:
            if e['event'] in ('keep', 'see'):
                had[e['account']].add((e['fields']['uidl'], e['fields']['digest']))
                kept[e['fields']['digest']] += e['event'] == 'keep'
        tap.equal({d: n for d, n in kept.items() if n != 1}, {}, 'messages kept twice')
        wrong = []
        for box in truth['boxes']:
            wrong += [f"{box['user']}: {w}" for w in
                      self.wrongs_of(box, lines[box['user']], had[box['user']])]
        summary = self.keep.json('verify', timeout=400).summary
        tap.equal(summary['messages'], len(kept), 'messages that verify counts')
        tap.equal(sorted(kept), self.keep.digests(), 'digests of the ledger and of the search')
        self.counts['messages kept'] = len(kept)
        tap.check(not wrong, '\n'.join(wrong[:40]))

    def wrongs_of(self, box, line, had):
        popkeep.check_sums(line)
        listed = box['listed']
        lost = [m for m in listed
                if not any((shown(m['uidl']), d) in had for d in m['digests'])]
        for name in ('listed', 'archived', 'refused', 'vanished'):
            self.counts[name] += line[name]
        if line['listed'] != len(listed):
            yield f"{line['listed']} listed instead of {len(listed)}"
        if line['pending']:
            yield f"{line['pending']} pending"
        if line['archived'] != len(listed) - len(lost):
            yield f"{line['archived']} archived instead of {len(listed) - len(lost)}"
        for m in lost:
            # Without the clock, what was refused for a while waits for its time.
            if not m['hopeless'] and (service.CLOCK.exists() or not m['trouble']):
                yield f"lost: {m} ({line})"
        forged = {d for _, d in had} - box['ever']
        if forged:
            yield f'forged: {forged}'
        digests = {d for _, d in had}
        unkept = {d: u for d, u in box['handed'].items() if d not in digests}
        if unkept:
            yield f'had and not kept: {unkept}'
        # Where sizes lie, one that was listed with another size counts as another message.
        if line['vanished'] > box['gone'] and box['kind'] != 'newest' and not box['loose']:
            yield f"{line['vanished']} vanished of {box['gone']} at most"

    def sums(self):
        lines = self.keep.json('status', '--all', code=(popkeep.DONE, popkeep.PARTLY))
        return {x['account']: popkeep.sums(x) for x in lines.of_type('account')}

    def check_rebuild(self):
        """What the catalog says can be had again from the rest."""
        before = self.sums()
        for name in ('catalog.db', 'catalog.db-wal', 'catalog.db-shm'):
            (self.keep.archive / name).unlink(missing_ok=True)
        self.keep.run('rebuild', timeout=400)
        tap.equal(self.sums(), before, 'sums after a rebuild')

    def check_idle(self):
        """Nothing is due for a day: it sleeps, with no more open than one that has just begun."""
        seconds = 20 if self.seconds >= 120 else 4
        tap.wait_until(lambda: not self.busy(), 30, 'an end of all sessions')
        begin = self.service_cpu()
        time.sleep(seconds)
        self.idle = (self.service_cpu() - begin) / seconds
        self.sample()
        if not self.sanitised:
            tap.check(self.idle < IDLE_CPU, f'idle, it takes {self.idle:.3f} of a processor')
        old = self.samples[-1][-1]
        self.cpu = old['cpu']
        tap.equal(self.service.stop(), 0, f'exit status\n{self.service.log}\n')
        self.start_service()
        self.keep.fetch(code=popkeep.DONE, timeout=400)
        tap.wait_until(lambda: not self.busy(), 30, 'an end of all sessions')
        self.sample()
        new = self.samples.pop()[-1]
        self.old, self.new = old, new
        for what in ('fds', 'runner fds'):
            tap.check(old[what] <= new[what] + 2,
                      f'{what} at rest: {old[what]} after {old["age"]:.0f} s, {new[what]} anew')

    def busy(self):
        folder = pathlib.Path(f'/proc/{self.service.process.pid}/net/tcp')
        mine = set()
        for fd in os.listdir(f'/proc/{self.service.process.pid}/fd'):
            try:
                mine.add(os.readlink(f'/proc/{self.service.process.pid}/fd/{fd}'))
            except FileNotFoundError:
                pass
        rows = [line.split() for line in folder.read_text().splitlines()[1:]]
        return any(f'socket:[{r[9]}]' in mine for r in rows)

    def thirds(self):
        """Of the life that lasted to the end, without its beginning."""
        life = [x for x in self.samples[-1] if x['age'] > 10]
        n = len(life) // 3
        return life[:n], life[-n:]

    def check_growth(self):
        first, last = self.thirds()
        if self.sanitised or len(first) < 20:
            return
        for what in ('rss', 'runner'):
            before = statistics.median(x[what] for x in first)
            after = statistics.median(x[what] for x in last)
            tap.check(after <= before * GROWTH[0] + GROWTH[1],
                      f'{what} grew from {before} KB to {after} KB: {self.curve()}')

    def curve(self, columns=12):
        life = self.samples[-1]
        step = max(1, len(life) // columns)
        return '; '.join(f"{x['age']:.0f} s {x['rss'] / 1024:.1f} MB {x['fds']} fds"
                         for x in life[::step])

    def report(self, truth, seconds):
        def say(text):
            tap.comment(text)
        say(f'{self.accounts} accounts, seed {self.seed}, {seconds:.0f} s, '
            f"{truth['sessions']} sessions")
        for name, n in sorted(self.counts.items()):
            say(f'  {name}: {n}')
        say('faults: ' + ', '.join(f'{k} {n}' for k, n in sorted(truth['noted'].items())))
        never = [name for name in misbehaving.FAULTS if not truth['noted'][name]]
        say(f'faults that did not come about: {never or "none"}')
        say(f'the last service: {self.curve()}')
        say(f"  its runner: {[x['runner'] for x in self.samples[-1]][-1] / 1024:.1f} MB; "
            f"peak of all: {max(x['peak'] for life in self.samples for x in life) / 1024:.1f} MB, "
            f"{max(x['fds'] for life in self.samples for x in life)} fds; "
            f"CPU of the last: {self.cpu:.1f} s in {self.old['age']:.0f} s")
        say(f"  at rest: {self.idle * 100:.2f} % of a processor, {self.old['rss'] / 1024:.1f} MB, "
            f"{self.old['fds']} fds; one begun anew {self.new['rss'] / 1024:.1f} MB, "
            f"{self.new['fds']} fds")
