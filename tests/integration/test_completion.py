"""What a shell offers when Tab is pressed: the answers of popkeep, and the scripts of bash, zsh and
fish that ask for them."""
import os
import pty
import re
import select
import shutil
import subprocess
import time

import popkeep
import tap
from popkeep import DONE
from tap import case, check, equal

SCRIPTS = popkeep.ROOT / 'cli' / 'completion'


def configured(folder):
    keep = popkeep.Popkeep(folder)
    for name in ('anna', 'andrea@example.com', 'bert'):
        keep.account(name, 1)
    return keep


def offered(keep, *words):
    out = keep.run('help', '--completion', '--', *words, config=False).out.decode()
    lines = [line.split('\t') for line in out.splitlines()]
    check(all(len(line) == (1 if line[0].startswith(':') else 2) for line in lines), out)
    return [line[0] for line in lines]


def shell(keep, name, *arguments, **options):
    binary = shutil.which(name)
    if binary is None:
        raise tap.Skip(f'no {name} here')
    env = keep.environment()
    env['PATH'] = os.path.dirname(popkeep.BINARY) + ':' + env['PATH']
    result = subprocess.run([binary, *arguments], env=env, stdin=subprocess.DEVNULL,
                            capture_output=True, text=True, timeout=60, check=False, **options)
    equal((result.returncode, result.stderr), (0, ''), f'{name} {arguments}')
    return result.stdout.splitlines()


# ---- The answers -----------------------------------------------------------------------------

@case
def commands_are_offered_word_by_word(folder):
    keep = configured(folder)
    equal(offered(keep, 'exp'), ['export'], 'exp')
    equal(offered(keep, 'ac'), ['account'], 'ac')
    check({'add', 'list', 'check'} <= set(offered(keep, 'account', '')), 'account')
    equal(offered(keep, 'help', 'ver'), ['verify', 'version'], 'help ver')
    check('check' in offered(keep, 'help', 'account', 'c'), 'help account')
    equal(offered(keep, '-q', '-C', 'search', 'stat'), ['status'], 'behind options')
    equal(offered(keep, 'nonsense', ''), [], 'nonsense')
    listed = keep.run('help', '--all').out.decode()
    words = {c.split()[0] for c in re.findall(r'^  ([a-z]+)', listed, re.MULTILINE)}
    equal(set(offered(keep, '')), words, 'all')


@case
def options_are_offered_with_their_values(folder):
    keep = configured(folder)
    equal(offered(keep, 'export', '--form'), ['--format'], 'option')
    check({'--json', '--format', '--output', '--since'} <= set(offered(keep, 'export', '-')), '-')
    check('--format' not in offered(keep, 'fetch', '--'), 'only its own')
    equal(sorted(offered(keep, 'export', '--format', '')),
          ['eml', 'maildir', 'mboxrd', 'tar', 'tar.zst', 'zip'], 'format')
    equal(offered(keep, 'export', '--format=mb'), ['--format=mboxrd'], 'joined')
    equal(sorted(offered(keep, 'fetch', '--tls', '')), ['implicit', 'none', 'starttls'], 'tls')
    equal(offered(keep, 'export', '--output', ''), [':files'], 'files')
    equal(offered(keep, '-C', ''), [':folders'], 'folders')
    equal(offered(keep, '-Cx'), [':folders'], 'folders, joined')
    equal(offered(keep, 'init', ''), [':folders'], 'folders')
    equal(offered(keep, 'fetch', '--', '-'), [], 'behind --')


@case
def accounts_are_offered_from_the_configuration_that_is_named(folder):
    keep = configured(folder)
    config = ('-c', keep.config)
    equal(offered(keep, *config, 'fetch', 'an'), ['anna', 'andrea@example.com'], 'fetch')
    equal(offered(keep, 'fetch', f'--config={keep.config}', 'b'), ['bert'], 'joined')
    equal(offered(keep, *config, 'fetch', 'anna', 'b'), ['bert'], 'the second')
    equal(offered(keep, *config, 'account', 'accept', 'b'), ['bert'], 'accept')
    equal(offered(keep, *config, 'account', 'accept', 'bert', ''), [], 'UIDL')
    equal(offered(keep, *config, 'search', '--account', 'an')[0], 'anna', 'option')
    equal(offered(keep, *config, 'account', 'add', ''), [], 'a new name')


@case
def what_is_wrong_is_not_told(folder):
    keep = configured(folder)
    keep.config.write_text('nonsense')
    for words in (['-c', keep.config, 'fetch', ''], ['-c', folder / 'no', 'fetch', ''], ['fetch', ''],
                  ['--nonsense', ''], ['-x', ''], ['--format'], ['-'], ['--='], []):
        result = keep.run('help', '--completion', '--', *words, config=False, code=DONE)
        equal(result.err, '', f'stderr of {words}')


# ---- bash ------------------------------------------------------------------------------------

def in_bash(keep, folder, line):
    """What bash would put in place of the last word; cuts the words as it does."""
    words = re.findall(r'[=:@]+|[^\s=:@]+', line)
    if line[-1].isspace():
        words.append('')
    quoted = ' '.join("'" + w + "'" for w in words)
    return shell(keep, 'bash', '--norc', '-c', f"""
        source '{SCRIPTS / 'popkeep.bash'}'
        COMP_WORDBREAKS=$' \\t\\n"\\'@><=;|&(:'
        COMP_LINE='{line}' COMP_POINT={len(line)} COMP_WORDS=({quoted})
        COMP_CWORD={len(words) - 1}
        _popkeep popkeep
        ((${{#COMPREPLY[@]}} == 0)) || printf '%s\\n' "${{COMPREPLY[@]}}" """, cwd=folder)


@case
def bash_completes(folder):
    keep = configured(folder)
    (folder / 'x folder').mkdir()
    (folder / 'x file').touch()
    named = f'popkeep -c {keep.config}'
    for line, wanted in (
            ('popkeep exp', ['export']),
            ('popkeep account c', ['check']),
            (f'{named} fetch an', ['anna', 'andrea@example.com']),
            (f'{named} fetch andrea@ex', ['example.com']),
            (f'{named} fetch andrea@', ['example.com']),
            (f'popkeep --config={keep.config} fetch b', ['bert']),
            ('popkeep export --format ', ['eml', 'mboxrd', 'maildir', 'tar', 'tar.zst', 'zip']),
            ('popkeep export --format=m', ['mboxrd', 'maildir']),
            ('popkeep export --format=', ['eml', 'mboxrd', 'maildir', 'tar', 'tar.zst', 'zip']),
            ('popkeep export --output x', ['x file', 'x folder']),
            ('popkeep export --output=x', ['x file', 'x folder']),
            ('popkeep init x', ['x folder']),
            ('popkeep nonsense ', [])):
        equal(sorted(in_bash(keep, folder, line)), sorted(wanted), line)


@case
def bash_completes_on_a_terminal(folder):
    keep = configured(folder)
    pid, fd = pty.fork()
    if pid == 0:
        os.environ.update(keep.environment())
        os.environ |= {'PATH': os.path.dirname(popkeep.BINARY) + ':' + os.environ['PATH'],
                       'TERM': 'dumb', 'INPUTRC': '/dev/null', 'HISTFILE': '', 'PS1': '$ '}
        os.execvp('bash', ['bash', '--norc', '--noprofile', '-i'])
    typed = (f'source {SCRIPTS}/popkeep.bash\n'.encode(),
             f'popkeep -c {keep.config} acc\tli\t--js\t\n'.encode(), b'exit\n')
    out, deadline = b'', time.monotonic() + 30
    for line in typed:
        os.write(fd, line)
    while time.monotonic() < deadline and select.select([fd], [], [], 30)[0]:
        try:
            piece = os.read(fd, 65536)
        except OSError:
            break
        out += piece
    os.close(fd)
    os.waitpid(pid, 0)
    check(b'account list --json' in out, repr(out))
    check(b'{"type":"summary","accounts":3}' in out.replace(b' ', b''), repr(out))


# ---- The others ------------------------------------------------------------------------------

@case
def fish_completes(folder):
    keep = configured(folder)
    script = SCRIPTS / 'popkeep.fish'
    shell(keep, 'fish', '--no-execute', script)
    for line, wanted in (('popkeep exp', ['export']),
                         (f'popkeep -c {keep.config} fetch an', ['anna', 'andrea@example.com']),
                         ('popkeep export --format ', ['eml', 'mboxrd', 'maildir', 'tar', 'tar.zst', 'zip']),
                         ('popkeep export --format=m', ['--format=mboxrd', '--format=maildir'])):
        found = shell(keep, 'fish', '--no-config', '-c',
                      f"source '{script}'; complete -C '{line}'")
        equal(sorted(f.split('\t')[0] for f in found), sorted(wanted), line)


@case
def zsh_completes(folder):
    keep = configured(folder)
    script = SCRIPTS / '_popkeep'
    shell(keep, 'zsh', '-f', '-n', script)
    for line, wanted in (('popkeep exp', ['export']),
                         (f'popkeep -c {keep.config} fetch an', ['anna', 'andrea@example.com']),
                         ('popkeep export --format ', ['eml', 'mboxrd', 'maildir', 'tar', 'tar.zst', 'zip']),
                         ('popkeep export --output ', ['files']),
                         ('popkeep init ', ['files -/'])):
        words = ' '.join("'" + w + "'" for w in line.split(' '))
        found = shell(keep, 'zsh', '-f', '-c', f"""
            _describe() {{ print -l -- "${{candidates[@]%%:*}}" }}
            _files() {{ print -- files $* }}
            compset() {{ return 1 }}
            words=({words}) CURRENT={len(line.split(' '))}
            source '{script}' || true""")
        equal(sorted(found), sorted(wanted), line)


if __name__ == '__main__':
    tap.main()
