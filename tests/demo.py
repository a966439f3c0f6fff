"""What `make run` does after building: demo.py POPKEEP

With POPKEEP_CONFIG=file, fetches by that configuration and shows the status. Without, starts a
Dovecot of its own with a few made-up mailboxes, fetches them, and shows what can be done with them.
"""
import os
import pathlib
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile

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


def configured(popkeep, config):
    """The user's own configuration: his exit status is ours."""
    command = [popkeep, '-c', config]
    print('$ ' + shlex.join([*command, 'fetch']), flush=True)
    fetched = subprocess.run([*command, 'fetch']).returncode
    print('$ ' + shlex.join([*command, 'status']), flush=True)
    status = subprocess.run([*command, 'status']).returncode
    return fetched or status


def write_config(folder, server):
    text = [f'archive = "{folder}/archive"']
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


def demonstrate(popkeep, folder, server):
    base = [popkeep, '-c', str(write_config(folder, server))]
    run([*base, 'init'])
    show('Fetching three mailboxes (two share ten messages; nothing is removed from the server)')
    run([*base, 'fetch'])
    show('Again: nothing is new')
    run([*base, 'fetch'])
    show('Is everything kept?')
    run([*base, 'status', '--all'])
    show('The newest messages')
    run([*base, 'search', '--limit', '8'])
    identifier = newest_id([*base, '--json', 'search', '--limit', '1'])
    show('One of them')
    run([*base, 'show', identifier])
    show('Checking every byte')
    run([*base, 'verify'])


def newest_id(command):
    import json
    for line in run(command, quiet=True).splitlines():
        entry = json.loads(line)
        if entry['type'] == 'message':
            return entry['id']
    raise Failed('no message is in the archive')


def farewell(popkeep, folder):
    archive = folder / 'archive'
    show('What is left')
    print(f'''\
The archive:  {archive}
Ordinary tools open it:
  tar --zstd -tf {shlex.quote(str(archive))}/segments/000001.open.tar.zst
  less {shlex.quote(str(archive))}/ledger/000001.log
The server is stopped; remove {folder} when you have seen enough.''')
    show('For an account of your own')
    print(f'''\
  export POPKEEP_ARCHIVE=~/mail-archive
  {popkeep} init
  {popkeep} fetch --url pop3s://you@example.com@pop.example.com
  {popkeep} search
It asks for the password. For several accounts write a configuration (see popkeep(1)) and run
  make run POPKEEP_CONFIG=/path/to/popkeep.conf''', flush=True)


def demo_folder():
    cache = pathlib.Path(os.environ.get('XDG_CACHE_HOME') or pathlib.Path.home() / '.cache')
    cache.mkdir(parents=True, exist_ok=True)
    return pathlib.Path(tempfile.mkdtemp(prefix='popkeep-demo-', dir=cache))


def demonstration(popkeep):
    folder = demo_folder()
    # The server's folder is elsewhere: root's cannot be entered by the nobody that it runs as.
    server_folder = pathlib.Path(tempfile.mkdtemp(prefix='popkeep-demo-server-'))
    server_folder.chmod(0o711)
    try:
        with dovecot.Dovecot(server_folder, {u: f'demo-{u}' for u in MAILBOXES}) as server:
            fill(server)
            demonstrate(popkeep, folder, server)
        farewell(popkeep, folder)
    except BaseException:
        print(f'make run: what was made lies in {folder}', file=sys.stderr)
        raise
    finally:
        shutil.rmtree(server_folder, ignore_errors=True)
    return 0


def interrupted(number, frame):
    raise KeyboardInterrupt


def main():
    popkeep = sys.argv[1]
    signal.signal(signal.SIGTERM, interrupted)
    config = os.environ.get('POPKEEP_CONFIG')
    try:
        return configured(popkeep, config) if config else demonstration(popkeep)
    except (Failed, dovecot.Missing, RuntimeError) as e:
        print(f'make run: {e}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('\nmake run: interrupted; the server is stopped', file=sys.stderr)
        return 130


if __name__ == '__main__':
    sys.exit(main())
