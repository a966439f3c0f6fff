"""Runs the command and reads what it prints."""
import json
import os
import pathlib
import subprocess

import tap

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get('POPKEEP', str(ROOT / 'build' / 'cli' / 'popkeep'))
SANITIZER_EXIT = 99
SANITIZER_WORDS = ('AddressSanitizer', 'LeakSanitizer', 'runtime error:')

# Exit statuses that the manual promises.
DONE, FAILED, USAGE, PARTLY, DAMAGED, NOTHING, BUSY, LOGIN, UNREACHABLE, WRITE = (
    0, 1, 2, 3, 4, 5, 6, 7, 8, 74)


class Result:
    def __init__(self, command, code, out, err):
        self.command, self.code, self.out = command, code, out
        self.err = err.decode('utf-8', 'backslashreplace')

    @property
    def lines(self):
        """The objects of --json."""
        return [json.loads(line) for line in self.out.decode().splitlines()]

    def of_type(self, name):
        return [o for o in self.lines if o['type'] == name]

    @property
    def summary(self):
        last = self.lines[-1]
        tap.equal(last['type'], 'summary', 'type of the last line')
        return last

    def __str__(self):
        return f'{self.command}\nexit {self.code}\n{self.out[-3000:]}\n{self.err[-3000:]}'


def quoted(value):
    return '"' + str(value).replace('\\', '\\\\').replace('"', '\\"') + '"'


def written(value):
    """As the configuration wants it."""
    if isinstance(value, bool):
        return 'true' if value else 'false'
    return str(value) if isinstance(value, int) else quoted(value)


class Popkeep:
    """One configuration and its archive, below folder."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.archive = self.folder / 'archive'
        self.config = self.folder / 'popkeep.conf'
        self.accounts = {}
        self.globals = {}
        self.home = self.folder / 'home'
        self.home.mkdir(exist_ok=True)

    def account(self, name, port, user=None, password='secret', tls='none', ca=None,
                host='127.0.0.1', **options):
        """options: further keys, with _ for -."""
        secret = self.folder / f'{name}.password'
        secret.write_text(password + '\n')
        secret.chmod(0o600)
        scheme = 'pop3s' if tls == 'implicit' else 'pop3'
        keys = {'server': f'{scheme}://{host}:{port}', 'user': user or name}
        if 'token_command' not in options and 'password_command' not in options:
            keys['password-file'] = secret
        if tls == 'none':
            keys['tls'] = 'none'
        if ca:
            keys['tls-ca-file'] = ca
        keys |= {k.replace('_', '-'): v for k, v in options.items()}
        self.accounts[name] = keys
        self.write_config()

    def write_config(self, more=''):
        def lines(keys, indent=''):
            return [f'{indent}{k} = {written(v)}' for k, v in keys.items()]
        text = [f'archive = {quoted(self.archive)}', *lines(self.globals)]
        for name, keys in self.accounts.items():
            text += [f'account {quoted(name)} {{', *lines(keys, '    '), '}']
        self.config.write_text('\n'.join(text) + '\n' + more)
        self.config.chmod(0o600)

    def environment(self):
        env = {k: v for k, v in os.environ.items()
               if not k.startswith(('POPKEEP', 'XDG_')) and k != 'LD_PRELOAD'}
        env |= {'HOME': str(self.home), 'LC_ALL': 'C.UTF-8', 'TZ': 'UTC'}
        env['ASAN_OPTIONS'] = f'detect_leaks=1:exitcode={SANITIZER_EXIT}'
        env['UBSAN_OPTIONS'] = f'halt_on_error=1:print_stacktrace=1:exitcode={SANITIZER_EXIT}'
        return env

    def command(self, *arguments, config=True):
        head = ['-c', str(self.config)] if config else []
        return [BINARY, *head, *map(str, arguments)]

    def init(self):
        subprocess.run([BINARY, '-C', self.archive, 'init'], env=self.environment(),
                       stdin=subprocess.DEVNULL, capture_output=True, check=True)

    def start(self, *arguments, config=True, init=True, **options):
        """Makes the archive before a fetch that finds none, unless init is False."""
        if init and 'fetch' in arguments and not self.archive.exists():
            self.init()
        return subprocess.Popen(
            self.command(*arguments, config=config), env=self.environment(), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)

    def finish(self, process, timeout=180):
        out, err = process.communicate(timeout=timeout)
        result = Result(process.args, process.returncode, out, err)
        tap.check(result.code != SANITIZER_EXIT
                  and not any(w in result.err for w in SANITIZER_WORDS),
                  f'a sanitizer spoke:\n{result}')
        return result

    def run(self, *arguments, code=DONE, timeout=180, **options):
        """code: the exit status that is wanted, or several; None for any."""
        process = self.start(*arguments, **options)
        try:
            result = self.finish(process, timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            raise AssertionError(
                f'no end within {timeout} s:\n{Result(process.args, None, out, err)}') from None
        if code is not None:
            wanted = code if isinstance(code, (tuple, list, set)) else (code,)
            tap.check(result.code in wanted, f'exit status not {wanted}:\n{result}')
        return result

    def json(self, *arguments, **options):
        return self.run('--json', *arguments, **options)

    # What the tests ask again and again.

    def fetch(self, *accounts, **options):
        return self.json('fetch', *accounts, **options)

    def fetch_account(self, name, **options):
        """The account's line of a fetch of it alone."""
        lines = self.fetch(name, **options).of_type('account')
        tap.equal(len(lines), 1, 'account lines')
        return lines[0]

    def status(self, name, **options):
        options.setdefault('code', (DONE, PARTLY))
        lines = self.json('status', '--all', **options).of_type('account')
        return next(line for line in lines if line['account'] == name)

    def messages(self):
        return self.json('search', code=(DONE, NOTHING)).of_type('message')

    def digests(self):
        return sorted(m['digest'] for m in self.messages())

    def raw(self, identifier):
        return self.run('show', identifier, '--raw').out

    def verify(self, code=DONE):
        return self.json('verify', code=code)


def sums(line):
    keys = ('listed', 'archived', 'pending', 'refused', 'vanished')
    return {k: line[k] for k in keys}


def check_sums(line):
    tap.equal(line['listed'], line['archived'] + line['pending'] + line['refused'],
              f'listed = archived + pending + refused in {line}')
