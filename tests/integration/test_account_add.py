"""`account add`: the trial login, what is written where, and that nothing is written when anything
fails. One Dovecot serves all cases."""
import atexit
import os
import pathlib
import shutil
import stat
import tempfile

import mailgen
import fixture
import popkeep
import tap
from popkeep import DONE, FAILED, LOGIN, UNREACHABLE, USAGE
from tap import case, check, equal
from terminal import on_terminal

MAIL = fixture.for_dovecot(mailgen.mailbox('add', 12))
PASSWORD = 'se"cr\\et ${HOME} \'#'


NOBODY = 65534


class Shared:
    server = None


def server():
    if Shared.server is None:
        folder = pathlib.Path(tempfile.mkdtemp(prefix='popkeep-test-'))
        folder.chmod(0o711)
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        started = fixture.a_dovecot(folder, {'anna': MAIL, 'bert': MAIL[:3]},
                                    passwords={'anna': PASSWORD, 'bert': 'secret'})
        started.__enter__()
        atexit.register(started.__exit__, None, None, None)
        Shared.server = started
    return Shared.server


def secret(folder, text=PASSWORD):
    path = folder / f'secret of {len(text)}'
    path.write_text(text + '\n')
    path.chmod(0o600)
    return path


def adding(name, folder, *more, user=None, text=PASSWORD):
    s = server()
    return ('account', 'add', name, '--server', f'pop3s://localhost:{s.tls}', '--user',
            user or name, '--tls-ca-file', s.ca, '--password-file', secret(folder, text), *more)


def tree(folder):
    """Every file with its mode and bytes."""
    return {str(p.relative_to(folder)): (stat.S_IMODE(p.lstat().st_mode),
                                         p.read_bytes() if p.is_file() else None)
            for p in folder.rglob('*')}


def a_home(folder, text=None):
    """A Popkeep whose configuration is folder/etc/popkeep.conf, with that text."""
    keep = popkeep.Popkeep(folder)
    keep.config = folder / 'etc' / 'popkeep.conf'
    if text is not None:
        keep.config.parent.mkdir()
        keep.config.write_text(text)
        keep.config.chmod(0o600)
    return keep


def as_nobody(keep):
    options = {'user': NOBODY, 'group': NOBODY, 'extra_groups': []}
    try:
        keep.run('version', config=False, **options)
    except OSError as e:
        raise tap.Skip(f'another user cannot run the program: {e}') from e
    return options


def beginning(folder):
    return f'archive = {popkeep.quoted(folder / "archive")}\n'


# ---- It works ----------------------------------------------------------------------------------

@case
def an_account_is_tried_written_and_fetched(folder):
    keep = a_home(folder, beginning(folder))
    line = keep.json(*adding('anna', folder)).of_type('account')[0]
    equal((line['ok'], line['checked'], line['messages'], line['made_config']),
          (True, True, len(MAIL), False), 'line')
    equal(line['file'], str(keep.config.parent / 'accounts.d' / 'anna.conf'), 'file')
    written = tree(folder / 'etc')
    equal(sorted(written), ['accounts.d', 'accounts.d/anna.conf', 'popkeep.conf'], 'files')
    equal((written['accounts.d'][0], written['accounts.d/anna.conf'][0]), (0o700, 0o600), 'modes')
    check(PASSWORD.encode() not in written['accounts.d/anna.conf'][1], 'no secret')
    equal(keep.config.read_text(), beginning(folder) + 'include("accounts.d/*.conf")\n', 'main')
    equal(keep.fetch_account('anna')['new'], len(MAIL), 'fetched')
    keep.run(*adding('bert', folder, text='secret'))
    equal(keep.config.read_text().count('include'), 1, 'includes')
    equal(keep.fetch_account('bert')['listed'], 3, 'fetched')


@case
def a_missing_configuration_is_made(folder):
    keep = a_home(folder)
    made = keep.json('-C', folder / 'archive', *adding('anna', folder)).of_type('account')[0]
    equal(made['made_config'], True, 'made')
    equal(keep.config.read_text(), beginning(folder) + 'include("accounts.d/*.conf")\n', 'main')
    equal(stat.S_IMODE(keep.config.stat().st_mode), 0o600, 'mode')
    equal(keep.fetch_account('anna', init=False)['new'], len(MAIL), 'fetched')


@case
def without_a_named_configuration_it_is_the_users_own(folder):
    keep = popkeep.Popkeep(folder)
    command, options = adding('anna', folder), {}
    if os.getuid() == 0:   # whose own is the one of the system
        options = as_nobody(keep)
        for path in (keep.home, secret(folder)):
            os.chown(path, NOBODY, NOBODY)
    keep.run(*command, config=False, **options)
    equal(sorted(tree(keep.home / '.config' / 'popkeep')),
          ['accounts.d', 'accounts.d/anna.conf', 'popkeep.conf'], 'files')
    keep.run('fetch', 'anna', config=False, init=False, **options)
    check((keep.home / '.local/share/popkeep/POPKEEP').exists(), 'the default archive')


@case
def the_password_is_asked_for_and_kept(folder):
    keep = a_home(folder, beginning(folder))
    command = [str(a) for a in adding('anna', folder)]
    at = command.index('--password-file')
    del command[at:at + 2]
    keep.run(*command, code=USAGE)
    check(not (folder / 'etc' / 'accounts.d').exists(), 'nothing without a terminal')
    code, out = on_terminal(keep, 80, *command,
                            type_after=(b'assword', PASSWORD.encode() + b'\n'))
    equal(code, DONE, f'exit status: {out}')
    check(PASSWORD.encode() not in out, repr(out))
    path = folder / 'etc' / 'accounts.d' / 'anna.password'
    equal(path.read_text(), PASSWORD + '\n', 'the password')
    equal(stat.S_IMODE(path.stat().st_mode), 0o600, 'mode')
    equal(keep.fetch_account('anna')['new'], len(MAIL), 'fetched')


@case
def values_of_every_kind_arrive_as_they_are(folder):
    keep = a_home(folder, beginning(folder))
    odd = 'a"b\\c ${HOME} #\'x'
    keep.run('account', 'add', 'odd', '--server', 'pop3://127.0.0.1:1', '--user', odd,
             '--password-command', 'printf \'%s\\n\' "${HOME}"', '--tls', 'none', '--auth', 'user',
             '--no-check')
    listed = keep.json('account', 'list').of_type('account')[0]
    equal((listed['user'], listed['tls'], listed['auth'], listed['secret']),
          (odd, 'none', 'USER', 'password-command'), 'account')


@case
def no_password_is_asked_for_where_the_mechanism_needs_none(folder):
    keep = a_home(folder, beginning(folder))
    add = ('account', 'add', 'anna', '--server', 'pop3s://127.0.0.1', '--user', 'anna', '--no-check')
    keep.run(*add, '--auth', 'external', start_new_session=True)
    listed = keep.json('account', 'list').of_type('account')[0]
    equal((listed['auth'], listed['secret']), ('EXTERNAL', 'none'), 'account')
    result = keep.run(*(a.replace('anna', 'bert') for a in add), code=USAGE, start_new_session=True)
    check('no terminal' in result.err, str(result))


@case
def relative_paths_are_those_of_the_command_line(folder):
    keep = a_home(folder, beginning(folder))
    command = [str(a) for a in adding('anna', folder)]
    command[command.index('--password-file') + 1] = secret(folder).name
    keep.run(*command, cwd=folder)
    equal(keep.fetch_account('anna')['new'], len(MAIL), 'fetched')


# ---- Nothing is written --------------------------------------------------------------------------

@case
def what_fails_writes_nothing(folder):
    keep = a_home(folder, beginning(folder))
    before = tree(folder / 'etc')
    dead = list(adding('anna', folder))
    dead[4] = 'pop3s://localhost:1'
    for command, code in (
            (adding('anna', folder, text='wrong'), LOGIN),
            (dead, UNREACHABLE),
            (adding('anna', folder, '--tls-pin', 'sha256//' + 'A' * 43 + '='), UNREACHABLE),
            (adding('anna', folder, '--tls', 'none'), USAGE),
            (adding('anna', folder, '--auth', 'NONSENSE'), USAGE),
            (adding('anna', folder, '--token-command', 'x'), USAGE),
            (adding('../anna', folder), USAGE),
            (adding('anna', folder)[:5], USAGE),
            (adding('anna', folder)[:3], USAGE)):
        result = keep.run(*command, code=code)
        check('/.popkeep' not in result.err and 'line' not in result.err, result.err)
        equal(tree(folder / 'etc'), before, f'files after {command}')
    line = keep.json(*adding('anna', folder, text='wrong'), code=LOGIN).of_type('account')[0]
    equal((line['account'], line['ok']), ('anna', False), 'line')


@case
def an_account_or_maildrop_twice_is_refused(folder):
    keep = a_home(folder, beginning(folder))
    keep.run(*adding('anna', folder))
    before = tree(folder / 'etc')
    check('anna' in keep.run(*adding('anna', folder), code=USAGE).err, 'name')
    twice = keep.run(*adding('other', folder, user='anna'), code=USAGE)
    check('"anna"' in twice.err, twice.err)
    equal(tree(folder / 'etc'), before, 'files')


@case
def a_broken_configuration_stays_as_it_is(folder):
    keep = a_home(folder, beginning(folder) + 'intreval = "5m"\n')
    before = tree(folder / 'etc')
    check('popkeep.conf:2' in keep.run(*adding('anna', folder), code=USAGE).err, 'place')
    equal(tree(folder / 'etc'), before, 'files')


@case
def broken_files_that_would_be_included_are_named(folder):
    keep = a_home(folder, beginning(folder))
    (folder / 'etc' / 'accounts.d').mkdir(mode=0o700)
    (folder / 'etc' / 'accounts.d' / 'old.conf').write_text('nonsense = 1\n')
    before = tree(folder / 'etc')
    result = keep.run(*adding('anna', folder), code=USAGE)
    check('old.conf:1' in result.err, result.err)
    equal(tree(folder / 'etc'), before, 'files')


@case
def files_that_are_in_the_way_are_left_alone(folder):
    keep = a_home(folder, beginning(folder))
    accounts = folder / 'etc' / 'accounts.d'
    accounts.mkdir(mode=0o700)
    (accounts / 'anna.conf').write_text('# mine\n')
    before = tree(folder / 'etc')
    check('anna.conf' in keep.run(*adding('anna', folder), code=USAGE).err, 'named')
    equal(tree(folder / 'etc'), before, 'files')
    accounts.chmod(0o777)
    check('chmod' in keep.run(*adding('bert', folder, text='secret'), code=USAGE).err, 'open folder')
    shutil.rmtree(accounts)
    (folder / 'elsewhere').mkdir()
    accounts.symlink_to(folder / 'elsewhere')
    keep.run(*adding('anna', folder), code=FAILED)
    equal(list((folder / 'elsewhere').iterdir()), [], 'behind the symbolic link')


@case
def a_configuration_behind_a_symbolic_link_is_not_replaced(folder):
    keep = a_home(folder, beginning(folder))
    real = folder / 'real.conf'
    keep.config.rename(real)
    keep.config.symlink_to(real)
    result = keep.run(*adding('anna', folder), code=USAGE)
    check('symbolic link' in result.err and 'include(' in result.err, result.err)
    check(not (folder / 'etc' / 'accounts.d').exists(), 'nothing was written')
    real.write_text(beginning(folder) + 'include("accounts.d/*.conf")\n')
    keep.run(*adding('anna', folder))
    check(keep.config.is_symlink(), 'still a link')
    equal(keep.fetch_account('anna')['new'], len(MAIL), 'fetched')


@case
def the_configuration_keeps_its_mode_and_what_is_in_it(folder):
    text = beginning(folder) + '# a comment without an end of line'
    keep = a_home(folder, text)
    keep.config.chmod(0o640)
    if os.getuid() == 0:
        os.chown(keep.config, NOBODY, NOBODY)
    keep.run(*adding('anna', folder))
    equal(keep.config.read_text(), text + '\ninclude("accounts.d/*.conf")\n', 'text')
    equal(stat.S_IMODE(keep.config.stat().st_mode), 0o640, 'mode')
    if os.getuid() == 0:
        for path in (keep.config, folder / 'etc/accounts.d', folder / 'etc/accounts.d/anna.conf'):
            equal((path.stat().st_uid, path.stat().st_gid), (NOBODY, NOBODY), f'owner of {path}')


@case
def what_root_writes_can_be_read_by_the_service_alone(folder):
    if os.getuid() != 0:
        raise tap.Skip('not root')
    folder.chmod(0o755)
    keep = a_home(folder)
    keep.archive.mkdir(mode=0o700)
    os.chown(keep.archive, NOBODY, NOBODY)
    command = [str(a) for a in adding('anna', folder)]
    at = command.index('--password-file')
    del command[at:at + 2]
    code, out = on_terminal(keep, 80, '-C', str(keep.archive), *command,
                            type_after=(b'assword', PASSWORD.encode() + b'\n'))
    equal(code, DONE, f'exit status: {out}')
    etc = folder / 'etc'
    found = {str(p.relative_to(folder)): (oct(stat.S_IMODE(p.stat().st_mode)), p.stat().st_uid,
                                          p.stat().st_gid) for p in (etc, *etc.rglob('*'))}
    equal(found, {'etc': ('0o755', 0, 0),
                  'etc/popkeep.conf': ('0o640', 0, NOBODY),
                  'etc/accounts.d': ('0o755', 0, NOBODY),
                  'etc/accounts.d/anna.conf': ('0o640', 0, NOBODY),
                  'etc/accounts.d/anna.password': ('0o600', NOBODY, NOBODY)}, 'owners and modes')
    line = keep.json('fetch', 'anna', init=False, **as_nobody(keep)).of_type('account')[0]
    equal(line['new'], len(MAIL), 'fetched by the service')


if __name__ == '__main__':
    tap.main()
