"""What `make run` does after building: demo.py POPKEEP POPKEEPD

With POPKEEP_CONFIG=file, runs the service by that configuration, in the foreground. Without, starts
a Dovecot of its own with a few made-up mailboxes and the service that polls them, and shows what can
be done with what it kept.
"""
import json
import os
import pathlib
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / 'integration'))
import dovecot
import mailgen

MAILBOXES = {'anna': 40, 'bert': 25, 'office': 60}
SHARED = 10   # messages that anna and bert both got


class Failed(Exception):
    pass


def show(title):
    print(f'\n\033[1m{title}\033[0m' if sys.stdout.isatty() else f'\n{title}', flush=True)


def run(command, quiet=False):
    if not quiet:
        print('$ ' + shlex.join(command), flush=True)
    result = subprocess.run(command, stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE if quiet else None)
    if result.returncode != 0:
        raise Failed(f'{shlex.join(command)}: exit status {result.returncode}')
    return result.stdout


def configured(popkeepd, config):
    """The user's own configuration; Ctrl-C ends the service, whose exit status is ours."""
    print('$ ' + shlex.join([popkeepd, '-c', config]), flush=True)
    os.execv(popkeepd, [popkeepd, '-c', config])


def write_config(folder, server):
    (folder / 'run').mkdir()
    text = [f'archive     = "{folder}/archive"', f'runtime-dir = "{folder}/run"',
            'interval    = "1m"', 'min-free    = "10M"']
    for name in server.users:
        secret = folder / f'{name}.password'
        secret.touch(0o600)
        secret.write_text(server.users[name] + '\n')
        text.append(f'''
account "{name}" {{
    server        = "pop3s://localhost:{server.tls}"
    user          = "{name}"
    password-file = "{secret}"
    tls-ca-file   = "{server.ca}"
}}''')
    config = folder / 'popkeep.conf'
    config.write_text('\n'.join(text) + '\n')
    return config


def fill(server):
    for number, (user, count) in enumerate(MAILBOXES.items()):
        server.deliver(user, mailgen.mailbox(f'demo {number}', count))
    both = mailgen.mailbox('demo, to both', SHARED)
    server.deliver('anna', both)
    server.deliver('bert', both)


class Service:
    """popkeepd, beside the demonstration. What it logs is shown as it comes."""
    def __init__(self, popkeepd, config):
        self.command = [popkeepd, '-c', str(config)]

    def __enter__(self):
        print('$ ' + shlex.join(self.command) + ' &', flush=True)
        self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL)
        return self

    def wait_until(self, condition, what):
        deadline = time.monotonic() + 60
        while not condition():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise Failed(f'{what}: not seen; popkeepd: {self.process.poll()}')
            time.sleep(0.1)

    def __exit__(self, kind, *unused):
        self.process.terminate()
        code = self.process.wait(30)
        if code != 0 and kind is None:
            raise Failed(f'popkeepd: exit status {code}')


def archived(base):
    done = subprocess.run([*base, '--json', 'status'], capture_output=True)
    lines = done.stdout.splitlines()
    return json.loads(lines[-1]).get('archived', 0) if lines else 0


def demonstrate(popkeep, popkeepd, folder, server):
    config = write_config(folder, server)
    base = [popkeep, '-c', str(config)]
    all_mail = sum(MAILBOXES.values()) + 2 * SHARED
    show('The service: it makes the archive and polls three mailboxes (two share ten messages)')
    with Service(popkeepd, config) as service:
        service.wait_until(lambda: archived(base) == all_mail, f'{all_mail} messages')
        show('Is everything kept?')
        run([*base, 'status', '--all'])
        server.deliver('anna', mailgen.mailbox('demo, later', 2))
        show('Two more came for anna. It would poll within a minute; this asks it to do so now')
        run([*base, 'fetch', 'anna'])
        look(base)
        keep_long(base, folder)
    show('The service was told to end, and has')


def look(base):
    show('The newest messages')
    run([*base, 'search', '--limit', '8'])
    identifier = newest_id([*base, '--json', 'search', '--limit', '1'])
    show('One of them')
    run([*base, 'show', identifier])
    show('Checking every byte')
    run([*base, 'verify'])


def keep_long(base, folder):
    show('Made small, for decades. By itself the service does so at 1 GiB of mail, or after a month')
    run([*base, 'seal'])
    show('A copy, which is brought up to date by the same command, and every message put together again')
    run([*base, 'copy', str(folder / 'copy')])
    run([*base, 'verify', '--full', str(folder / 'copy')])


def newest_id(command):
    for line in run(command, quiet=True).splitlines():
        entry = json.loads(line)
        if entry['type'] == 'message':
            return entry['id']
    raise Failed('no message is in the archive')


def farewell(popkeep, popkeepd, folder):
    archive = folder / 'archive'
    show('What is left')
    print(f'''\
The archive:  {archive}
Ordinary tools open it:
  tar --zstd -tf {shlex.quote(str(archive))}/segments/000002.tar.zst
  less {shlex.quote(str(archive))}/ledger/000001.log
Its copy:     {folder / 'copy'}
The server is stopped; remove {folder} when you have seen enough.''')
    show('For an account of your own')
    print(f'''\
  export POPKEEP_ARCHIVE=~/mail-archive
  {popkeep} init
  {popkeep} fetch --url pop3s://you@example.com@pop.example.com
  {popkeep} search
It asks for the password. To have accounts polled by the service:
  {popkeep} account add you --server pop3s://pop.example.com --user you@example.com
  {popkeepd}
or, with a configuration that lies elsewhere, make run POPKEEP_CONFIG=/path/to/popkeep.conf''', flush=True)


def demo_folder():
    cache = pathlib.Path(os.environ.get('XDG_CACHE_HOME') or pathlib.Path.home() / '.cache')
    cache.mkdir(parents=True, exist_ok=True)
    return pathlib.Path(tempfile.mkdtemp(prefix='popkeep-demo-', dir=cache))


def demonstration(popkeep, popkeepd):
    folder = demo_folder()
    # The server's folder is elsewhere: root's cannot be entered by the nobody that it runs as.
    server_folder = pathlib.Path(tempfile.mkdtemp(prefix='popkeep-demo-server-'))
    server_folder.chmod(0o711)
    try:
        with dovecot.Dovecot(server_folder, {u: f'demo-{u}' for u in MAILBOXES}) as server:
            fill(server)
            demonstrate(popkeep, popkeepd, folder, server)
        farewell(popkeep, popkeepd, folder)
    except BaseException:
        print(f'make run: what was made lies in {folder}', file=sys.stderr)
        raise
    finally:
        shutil.rmtree(server_folder, ignore_errors=True)
    return 0


def interrupted(number, frame):
    raise KeyboardInterrupt


def main():
    popkeep, popkeepd = sys.argv[1:3]
    signal.signal(signal.SIGTERM, interrupted)
    config = os.environ.get('POPKEEP_CONFIG')
    try:
        return configured(popkeepd, config) if config else demonstration(popkeep, popkeepd)
    except (Failed, dovecot.Missing, RuntimeError) as e:
        print(f'make run: {e}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('\nmake run: interrupted; the server is stopped', file=sys.stderr)
        return 130


if __name__ == '__main__':
    sys.exit(main())
