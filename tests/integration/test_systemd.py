"""The units and their company, installed into a folder and shown to systemd's own tools; no systemd
runs, and none is started."""
import os
import pathlib
import re
import shutil
import stat
import subprocess

import mailgen
import popkeep
import tap
from fixture import a_dovecot
from tap import case, equal

BUILD = pathlib.Path(os.environ['POPKEEP_BUILD'])
MOST = '12'   # of systemd-analyze's exposure, in tenths


def tool(name):
    if not shutil.which(name):
        raise tap.MissingServer(f'no {name} (package systemd)')
    return name


def run(*arguments, **options):
    done = subprocess.run([str(a) for a in arguments], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=120, **options)
    tap.check(done.returncode == 0, f'{arguments[0]} gave {done.returncode}: {done.stdout}')
    return done.stdout


def install(folder):
    """Where it would go: {path below the root: file}."""
    run('meson', 'install', '-C', BUILD, '--no-rebuild', '--quiet', '--destdir', folder / 'root')
    return {p.relative_to(folder / 'root'): p for p in (folder / 'root').rglob('*') if p.is_file()}


def one(files, ending):
    found = [p for name, p in files.items() if str(name).endswith(ending)]
    equal(len(found), 1, f'files that end in {ending}')
    return found[0]


def runnable(files, unit, folder):
    """A copy whose ExecStart is where it was installed to: systemd wants to find the program."""
    installed = {'popkeepd': one(files, 'sbin/popkeepd'), 'popkeep': one(files, 'bin/popkeep')}
    lines = []
    for line in unit.read_text().splitlines():
        key, _, value = line.partition('=')
        if key == 'ExecStart' or (key == 'ExecReload' and not value.startswith('/bin/sh ')):
            program, rest = value.split(' ', 1)
            folder_of, name = program.rsplit('/', 1)
            equal(pathlib.Path(folder_of).name, installed[name].parent.name, line)
            line = f'{key}={installed[name]} {rest}'
        lines.append(line)
    copy = folder / unit.name
    copy.write_text('\n'.join(lines) + '\n')
    return copy


@case
def the_system_units_are_right_and_expose_little(folder):
    analyze = tool('systemd-analyze')
    files = install(folder)
    for name in ('system/popkeepd.service', 'system/popkeepd@.service',
                 'system/popkeep-verify.service', 'system/popkeep-verify@.service'):
        unit = runnable(files, one(files, name), folder)
        out = run(analyze, 'verify', '--man=no', '--recursive-errors=no', unit)
        equal(out.strip(), '', f'what systemd-analyze verify says of {name}')
        run(analyze, 'security', '--offline=yes', '--threshold=' + MOST, unit)


@case
def the_user_unit_is_right(folder):
    analyze = tool('systemd-analyze')
    files = install(folder)
    env = dict(os.environ, XDG_RUNTIME_DIR=str(folder), HOME=str(folder))
    for name in ('user/popkeepd.service', 'user/popkeep-verify.service'):
        unit = runnable(files, one(files, name), folder)
        out = run(analyze, '--user', 'verify', '--man=no', '--recursive-errors=no', unit, env=env)
        equal(out.strip(), '', f'what systemd-analyze verify says of {name}')


@case
def the_timers_are_right_and_have_their_service(folder):
    analyze = tool('systemd-analyze')
    files = install(folder)
    for name in ('system/popkeep-verify', 'system/popkeep-verify@', 'user/popkeep-verify'):
        timer, service = one(files, name + '.timer'), one(files, name + '.service')
        runnable(files, service, folder)
        copy = folder / timer.name
        copy.write_text(timer.read_text())
        mode = ['--user'] if name.startswith('user') else []
        env = dict(os.environ, XDG_RUNTIME_DIR=str(folder), HOME=str(folder))
        out = run(analyze, *mode, 'verify', '--man=no', '--recursive-errors=no', copy, env=env)
        equal(out.strip(), '', f'what systemd-analyze verify says of {name}')
        lines = timer.read_text().splitlines()
        tap.check('OnCalendar=daily' in lines and 'Persistent=yes' in lines, name)
        start = [line for line in service.read_text().splitlines()
                 if line.startswith('ExecStart=')]
        tap.check(start[0].endswith(' verify --max-duration 30m'), start)


@case
def a_key_that_systemd_does_not_know_is_found_by_these_tests(folder):
    analyze = tool('systemd-analyze')
    files = install(folder)
    unit = runnable(files, one(files, 'system/popkeepd.service'), folder)
    unit.write_text(unit.read_text().replace('ProtectClock=', 'ProtectClocks='))
    done = subprocess.run([analyze, 'verify', '--man=no', '--recursive-errors=no', str(unit)],
                          stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    tap.check('ProtectClocks' in done.stderr, done.stderr)


@case
def a_failed_write_a_damaged_archive_and_a_wrong_configuration_wait_for_a_person(folder):
    files = install(folder)
    for name in ('system/popkeepd.service', 'system/popkeepd@.service', 'user/popkeepd.service'):
        lines = one(files, name).read_text().splitlines()
        tap.check('RestartPreventExitStatus=2 4 74' in lines, name)
        tap.check('Type=notify' in lines, name)


@case
def a_reload_tells_the_service_and_then_whether_the_configuration_is_right(folder):
    files = install(folder)
    for name in ('system/popkeepd.service', 'system/popkeepd@.service', 'user/popkeepd.service'):
        lines = one(files, name).read_text().splitlines()
        start = [line.split('=', 1)[1] for line in lines if line.startswith('ExecStart=')]
        reload = [line.split('=', 1)[1] for line in lines if line.startswith('ExecReload=')]
        equal(reload, ['/bin/sh -c \'kill -HUP "$$MAINPID"\'', start[0] + ' --check'], name)


@case
def sysusers_and_tmpfiles_make_the_user_and_its_folders(folder):
    sysusers, tmpfiles = tool('systemd-sysusers'), tool('systemd-tmpfiles')
    files = install(folder)
    users = one(files, 'sysusers.d/popkeep.conf')
    folders = one(files, 'tmpfiles.d/popkeep.conf')
    if os.geteuid() != 0:
        raise tap.Skip('only root can make folders of others')
    root = folder / 'system'
    (root / 'etc').mkdir(parents=True)
    run(sysusers, f'--root={root}', users)
    entries = [line.split(':') for line in (root / 'etc/passwd').read_text().splitlines()]
    user = {e[0]: e for e in entries}['popkeep']
    equal(user[5], '/var/lib/popkeepd', 'home')
    tap.check(user[6].endswith('nologin'), f'shell {user[6]}')
    run(tmpfiles, '--create', f'--root={root}', folders)
    for path, owner, mode in (('var/lib/popkeep', int(user[2]), 0o700),
                              ('var/lib/popkeepd', int(user[2]), 0o700),
                              ('run/popkeep', int(user[2]), 0o700),
                              ('etc/popkeep/accounts.d', 0, 0o755)):
        found = (root / path).stat()
        equal((found.st_uid, stat.S_IMODE(found.st_mode)), (owner, mode), path)


@case
def commands_have_a_home_to_write_in_that_is_not_the_archive(folder):
    files = install(folder)
    home = one(files, 'sysusers.d/popkeep.conf').read_text().split()[-1]
    for name, archive in (('popkeepd.service', 'popkeep'), ('popkeepd@.service', 'popkeep-%i')):
        lines = one(files, 'system/' + name).read_text().splitlines()
        states = [line.split('=', 1)[1].split() for line in lines
                  if line.startswith('StateDirectory=')]
        equal([['/var/lib/' + state for state in states[0]]], [['/var/lib/' + archive, home]], name)
        equal(len(states), 1, name)
        tap.check('/var/lib/' + archive != home, name)


@case
def the_example_configuration_is_accepted(folder):
    files = install(folder)
    example = one(files, 'popkeep/popkeep.conf.example')
    out = run(os.environ['POPKEEP'], '-c', example, 'account', 'list')
    tap.check('anna' in out and 'office' in out, out)
    run(one(files, 'sbin/popkeepd'), '-c', example, '--check')
    drop_in = one(files, 'popkeep/credentials.conf.example').read_text()
    tap.check('\nLoadCredential=mail-anna:' in drop_in, drop_in)
    tap.check('credential = "mail-anna"' in example.read_text(), 'the names differ')


def group(analyze, name):
    """The system calls that systemd means by @name."""
    calls = set()
    for line in run(analyze, 'syscall-filter', name).splitlines()[1:]:
        word = line.strip()
        if word.startswith('@'):
            calls |= group(analyze, word)
        elif word and not word.startswith('#'):
            calls.add(word)
    return calls


def let_through(analyze, unit):
    """The system calls that a unit's SystemCallFilter leaves; its lines build on each other."""
    calls = set()
    for line in unit.read_text().splitlines():
        key, _, value = line.partition('=')
        if key != 'SystemCallFilter':
            continue
        named = set()
        for word in value.removeprefix('~').split():
            named |= group(analyze, word) if word.startswith('@') else {word}
        calls = calls - named if value.startswith('~') else calls | named
    return calls


def calls_of(trace):
    """Names in what `strace -f` wrote."""
    return set(re.findall(r'^\d+ +([a-z_0-9]+)\(', trace.read_text(errors='replace'), re.M))


def man_examples(files, page):
    """The commands that a man page shows for seal-command, as sh would read them."""
    text = one(files, page).read_text().replace('\\e\n', '\\\n')
    return [found.replace('\\\n', '')
            for found in re.findall(r"^seal-command = '([^']*)'", text, re.M)]


@case
def the_unit_lets_through_what_sealing_verifying_and_copying_call(folder):
    analyze, strace = tool('systemd-analyze'), tool('strace')
    keep = popkeep.Popkeep(folder)
    with a_dovecot(folder, {'anna': mailgen.mailbox('calls', 20)}) as server:
        keep.account('anna', server.plain)
        keep.fetch()
    files = install(folder)
    for name, jobs in (('popkeepd', ['seal']), ('popkeep-verify', ['verify']),
                       ('popkeepd', [f'copy {folder}/copy'])):
        unit = one(files, f'system/{name}.service')
        allowed = let_through(analyze, unit)
        for job in jobs:
            trace = folder / 'trace'
            run(strace, '-f', '-qq', '-o', trace, popkeep.BINARY, '-c', keep.config, *job.split(),
                env=keep.environment() | {'ASAN_OPTIONS': 'detect_leaks=0'})   # not under a tracer
            called = calls_of(trace)
            tap.check({'read', 'openat'} <= called, called)
            if os.geteuid() == 0:   # SQLite, for root alone
                called.discard('fchown')
            equal(sorted(called - allowed), [], f'what {job} calls and {unit.name} forbids')


@case
def the_seal_command_that_the_manual_shows_for_a_folder_can_be_given_a_file_twice(folder):
    archive, backup = folder / 'archive', folder / 'backup'
    segment = archive / 'segments' / '000002.tar.zst'
    segment.parent.mkdir(parents=True)
    backup.mkdir()
    segment.write_bytes(b'sealed')
    segment.chmod(0o440)
    command, = [c for c in man_examples(install(folder), 'popkeep.conf.5') if 'cp ' in c]
    tap.check(command.endswith(' /backup'), command)
    user = {}
    if os.geteuid() == 0:   # whom modes do not stop
        user = {'user': 65534, 'group': 65534, 'extra_groups': []}
        for path in (folder, *folder.rglob('*')):
            if path == backup or archive in (path, *path.parents):
                os.chown(path, 65534, 65534)
        reachable = [p for p in folder.parents if not p.stat().st_mode & stat.S_IXOTH]
        if reachable or not folder.stat().st_mode & stat.S_IXOTH:
            os.chmod(folder, 0o711)
    env = {'PATH': os.environ['PATH'], 'POPKEEP_ARCHIVE': str(archive),
           'POPKEEP_FILE': str(segment)}
    for _ in range(2):
        run('/bin/sh', '-c', command.removesuffix('/backup') + str(backup), env=env, **user)
        copy = backup / 'segments' / segment.name
        equal(copy.read_bytes(), b'sealed', 'the copy')


if __name__ == '__main__':
    tap.main()
