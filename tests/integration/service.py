"""Runs popkeepd on a configuration of a test's own.

    with Service(keep) as service:            # a popkeep.Popkeep with accounts
        service.wait_for('ready')             # a line of its log
        service.reload()
        service.stop()                        # SIGTERM; the exit status

Its runtime folder is below the test's, so that `popkeep` with the same configuration finds it.
"""
import json
import os
import pathlib
import signal
import socket
import subprocess
import threading

import popkeep
import tap

BINARY = os.environ.get('POPKEEPD', str(popkeep.ROOT / 'build' / 'daemon' / 'popkeepd'))
BUILD = pathlib.Path(os.environ.get('POPKEEP_BUILD', popkeep.ROOT / 'build'))
CLOCK = BUILD / 'tests' / 'integration' / 'clock.so'
START_SECONDS = 30
STOP_SECONDS = 30


def preload(library):
    """ASan must come first."""
    asan = subprocess.run(['gcc', '-print-file-name=libasan.so'], capture_output=True,
                          text=True).stdout.strip()
    linked = subprocess.run(['ldd', BINARY], capture_output=True, text=True).stdout
    return f'{asan}:{library}' if 'libasan' in linked else str(library)


class Service:
    def __init__(self, keep, *arguments, ready=True, notify=None, environment=None, before=()):
        """before: a command that is given ours, as strace is."""
        self.keep, self.arguments, self.ready, self.before = keep, arguments, ready, before
        self.lines = []
        self.environment = environment or {}
        self.notify = notify
        self.process = None
        keep.globals.setdefault('runtime-dir', keep.folder / 'run')
        keep.globals.setdefault('min-free', '1M')
        keep.write_config()
        (keep.folder / 'run').mkdir(exist_ok=True)

    def __enter__(self):
        return self.start()

    def start(self):
        env = self.keep.environment() | self.environment
        env.pop('NOTIFY_SOCKET', None)
        if self.notify:
            env['NOTIFY_SOCKET'] = str(self.notify.path)
        self.lines = []
        self.process = subprocess.Popen(
            [*self.before, BINARY, '-c', str(self.keep.config), *self.arguments], env=env,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.reader = threading.Thread(target=self.read, args=(self.process,), daemon=True)
        self.reader.start()
        if self.ready:
            self.wait_for('ready')
        return self

    def read(self, process):
        for line in process.stderr:
            self.lines.append(line.decode('utf-8', 'backslashreplace').rstrip('\n'))

    @property
    def log(self):
        return '\n'.join(self.lines)

    def wait_for(self, text, seconds=START_SECONDS, count=1):
        def there():
            return sum(text in line for line in list(self.lines)) >= count

        def over():
            return there() or self.process.poll() is not None
        try:
            tap.wait_until(over, seconds, f'"{text}" in the log')
            if not there():
                self.reader.join(5)
            tap.check(there(), f'popkeepd ended, {self.process.poll()}, without "{text}"')
        except AssertionError as e:
            raise AssertionError(f'{e}\n{self.log}') from None

    def reload(self):
        self.process.send_signal(signal.SIGHUP)

    def wait(self, seconds=STOP_SECONDS):
        """The exit status."""
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f'no end within {seconds} s:\n{self.log}') from None
        self.reader.join(5)
        tap.check(code != popkeep.SANITIZER_EXIT
                  and not any(w in self.log for w in popkeep.SANITIZER_WORDS),
                  f'a sanitizer spoke:\n{self.log}')
        return code

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.reader.join(5)

    def __exit__(self, kind, *unused):
        if self.process.poll() is not None:
            self.wait()
            return
        code = self.stop()
        if kind is None:
            tap.equal(code, 0, f'exit status of popkeepd, whose log is\n{self.log}\n')

    def ask(self, **request):
        """The replies to a request over the control socket."""
        path = next(self.keep.globals['runtime-dir'].glob('*.sock'))
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(20)
            s.connect(str(path))
            s.sendall(json.dumps({'v': 1, **request}).encode() + b'\n')
            with s.makefile('rb') as answer:
                return [json.loads(line) for line in answer]

    def account(self, name):
        """How the service says that an account fares."""
        return next(r for r in self.ask(request='status', all=True)
                    if r['reply'] == 'account' and r['account'] == name)

    def proc_status(self):
        """What is seen from /proc of the main process."""
        with open(f'/proc/{self.process.pid}/status') as f:
            return dict(line.rstrip('\n').split(':\t', 1) for line in f if ':\t' in line)

    def descriptors(self):
        return len(os.listdir(f'/proc/{self.process.pid}/fd'))


class NotifySocket:
    """What systemd would listen on."""
    def __init__(self, folder):
        self.path = folder / 'notify'
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(self.path))
        self.socket.settimeout(20)
        self.said = []

    def wait_for(self, text):
        while not any(text in m for m in self.said):
            self.said.append(self.socket.recv(4096).decode())
