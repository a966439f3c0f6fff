"""The commands behind fetch, as a person or a script uses them: text, JSON, exit statuses, pipes,
terminals of any width, damage and full disks. One Dovecot serves all cases."""
import atexit
import hashlib
import json
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile

import dovecot
import mailgen
import popkeep
import tap
from popkeep import DAMAGED, DONE, FAILED, LOGIN, NOTHING, PARTLY, UNREACHABLE, USAGE
from tap import case, check, equal
from terminal import on_terminal

ESCAPES = (b'Subject: =?UTF-8?Q?=1B]0;owned=07?=\r\nFrom: "\x1b[2J" <x@example.org>\r\n\r\n'
           b'text \x1b[31m red\xff\r\nback\\slash\ttab\r\n')
PICTURE = (b'Subject: picture\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n'
           + b'before\r\n' + (b'iVBORw0KGgo' * 7)[:76] + b'\r\n'
           + ((b'A' * 76) + b'\r\n') * 400 + b'after\r\n')
MAIL = mailgen.mailbox('commands', 30) + [ESCAPES, PICTURE]
CLOSED_PIPE = 141


class Shared:
    """What all cases share: a server, and an archive of all of its mail that cases copy."""
    server = keep = None


def shared():
    if Shared.keep is None:
        folder = pathlib.Path(tempfile.mkdtemp(prefix='popkeep-test-'))
        folder.chmod(0o711)
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        try:
            Shared.server = dovecot.Dovecot(folder / 'dovecot', {'anna': 'secret'})
        except dovecot.Missing as e:
            raise tap.MissingServer(e) from e
        Shared.server.__enter__()
        atexit.register(Shared.server.__exit__, None, None, None)
        Shared.server.deliver('anna', MAIL)
        keep = popkeep.Popkeep(folder)
        keep.account('anna', Shared.server.tls, tls='implicit', ca=Shared.server.ca,
                     host='localhost')
        keep.fetch()
        Shared.keep = keep
    return Shared.keep


def copy_of_archive(folder):
    """With a configuration without accounts."""
    origin = shared()
    keep = popkeep.Popkeep(folder)
    shutil.copytree(origin.archive, keep.archive)
    keep.archive.chmod(0o700)
    keep.write_config()
    return keep


def url():
    shared()
    return f'pop3s://anna@localhost:{Shared.server.tls}'


def id_of(keep, message):
    return hashlib.sha256(message).hexdigest()[:12]


# ---- Showing ---------------------------------------------------------------------------------

@case
def search_lists_what_was_fetched_newest_first(folder):
    keep = shared()
    found = keep.json('search')
    messages = found.of_type('message')
    equal(sorted(m['digest'] for m in messages),
          sorted(hashlib.sha256(m).hexdigest() for m in MAIL), 'digests')
    equal(found.summary['messages'], len(MAIL), 'messages')
    times = [m['archived'] for m in messages]
    equal(times, sorted(times, reverse=True), 'order')
    equal(messages[0]['id'], messages[0]['digest'][:12], 'id')
    equal(keep.run('search', '--count').out.strip(), str(len(MAIL)).encode(), 'count')


@case
def search_conditions_hold_together(folder):
    keep = shared()
    large = [m for m in MAIL if len(m) > 10240]
    equal(len(keep.json('search', 'size:>10K').of_type('message')), len(large), 'large')
    equal(len(keep.json('search', '--limit', '3').of_type('message')), 3, 'limited')
    keep.run('search', 'account:anna', 'archived:>=2020-01-01')
    keep.run('search', 'archived:<2020-01-01', code=NOTHING)
    nobody = keep.run('search', '--account', 'nobody', code=NOTHING)
    check('nobody' in nobody.err, 'the account is named')
    refused = keep.run('search', 'size:>1M', 'form:anna', code=USAGE)
    check('did you mean from:?' in refused.err, refused.err)
    check('\n  size:>1M form:anna\n           ^~~~\n' in refused.err, refused.err)
    explained = keep.run('search', '--explain', 'from:anna (size:>1K OR id:ab)')
    check(b'in full: from:anna AND (size:>=1025 OR id:ab)\n' in explained.out, explained.out)


@case
def nothing_in_a_message_drives_a_terminal(folder):
    keep = shared()
    identifier = id_of(keep, ESCAPES)
    for arguments in (['search'], ['show', identifier], ['show', identifier, '--headers']):
        out = keep.run(*arguments).out
        check(b'\x1b' not in out and b'\x07' not in out and b'\xff' not in out, repr(out))
    text = keep.run('show', identifier).out
    check(b'text \\x1b[31m red\\xff\n' in text, repr(text))
    check(b'back\\\\slash\ttab\n' in text, repr(text))
    check(b'Subject: \\x1b]0;owned\\x07\n' in text, repr(text))


@case
def show_raw_gives_the_exact_bytes_but_not_to_a_terminal(folder):
    keep = shared()
    for message in MAIL[:5] + [ESCAPES, PICTURE]:
        equal(keep.raw(id_of(keep, message)), message, 'bytes')
    code, out = on_terminal(keep, 80, 'show', '--raw', id_of(keep, ESCAPES))
    equal(code, USAGE, 'exit status')
    check(b'owned' not in out, repr(out))


@case
def show_tells_of_base64_instead_of_showing_all(folder):
    keep = shared()
    shown = keep.run('show', id_of(keep, PICTURE))
    check(shown.out.count(b'\n') < 40 and b'more lines of base64' in shown.out, repr(shown.out))
    check(b'before\n' in shown.out and shown.out.endswith(b'after\n'), repr(shown.out))
    check('undecoded' in shown.err, shown.err)


@case
def an_id_that_is_wrong_unknown_or_too_short_is_refused(folder):
    keep = shared()
    keep.run('show', 'xyz', code=USAGE)
    keep.run('show', '00', code=USAGE)
    keep.run('show', '0123456789abcdef', code=NOTHING)
    keep.run('show', code=USAGE)


@case
def lists_fit_every_terminal(folder):
    keep = shared()
    for columns in (20, 40, 60, 80, 110, 150):
        code, out = on_terminal(keep, columns, 'search')
        equal(code, DONE, 'exit status')
        lines = out.decode().replace('\r', '').splitlines()
        equal(len(lines), len(MAIL) + 1, 'lines with the title')
        check(lines[0].startswith('ID'), lines[0])
        for line in lines:
            wide = sum(2 if '\u1100' <= c <= '\uffef' else 1 for c in line)
            check(wide <= columns, f'{wide} of {columns} columns: {line}')


@case
def the_ledger_is_shown_in_words_as_lines_and_as_objects(folder):
    keep = shared()
    words = keep.run('log').out.decode().splitlines()
    raw = keep.run('log', '--raw').out
    files = sorted((keep.archive / 'ledger').iterdir())
    equal(raw, b''.join(f.read_bytes() for f in files), 'the lines as they are')
    equal(len(words), raw.count(b'\n'), 'a line each')
    check(any('anna: kept ' in w for w in words), words[:10])
    objects = keep.json('log').of_type('event')
    equal([o['number'] for o in objects], list(range(len(words))), 'numbers')
    equal(sum(o['event'] == 'keep' for o in objects), len(MAIL), 'keep lines')
    equal(keep.run('log', '--since', '2100-01-01').out, b'', 'since')
    check(all(o['account'] == 'anna' for o in keep.json('log', '--account', 'anna')
              .of_type('event')), 'of one account')


# ---- Accounts --------------------------------------------------------------------------------

@case
def account_check_tells_what_there_is_and_changes_nothing(folder):
    keep = shared()
    before = keep.json('status', '--all').lines
    line = keep.json('account', 'check').of_type('account')[0]
    equal((line['ok'], line['messages'], line['uidl']), (True, len(MAIL), True), 'report')
    check(line['tls'].startswith('TLS'), line['tls'])
    equal(keep.json('status', '--all').lines, before, 'status')
    equal([a['account'] for a in keep.json('account', 'list').of_type('account')], ['anna'],
          'list')
    typo = keep.run('account', 'check', 'ana', code=USAGE)
    check('"anna"' in typo.err, typo.err)


@case
def a_url_needs_no_configuration_and_asks_for_the_password(folder):
    keep = popkeep.Popkeep(folder)
    keep.write_config()
    keep.run('init', folder / 'made')
    command = ('-C', folder / 'made', 'fetch', '--url', url(), '--tls-ca-file', Shared.server.ca)
    code, out = on_terminal(keep, 80, *command, type_after=(b'assword', b'secret\n'))
    equal(code, DONE, 'exit status')
    check(b'secret' not in out and f'{len(MAIL)} new'.encode() in out, repr(out))
    without = keep.run(*command, code=USAGE)
    check('--password' in without.err or 'password-' in without.err, without.err)


@case
def failures_have_their_statuses(folder):
    keep = popkeep.Popkeep(folder)
    wrong = folder / 'wrong'
    wrong.write_text('wrong\n')
    wrong.chmod(0o600)
    keep.write_config()
    more = ('--password-file', wrong, '--tls-ca-file', shared() and Shared.server.ca)
    keep.run('fetch', '--url', url(), *more, code=LOGIN)
    keep.run('fetch', '--url', 'pop3s://anna@localhost:1', *more, code=UNREACHABLE)
    keep.run('account', 'check', '--url', url(), '--password-file', wrong, code=UNREACHABLE)
    wrong.chmod(0o644)
    keep.run('fetch', '--url', url(), *more, code=USAGE)
    keep.run('fetch', 'anna', code=USAGE)
    keep.run('fetch', '--tls', 'none', '--url', url(), *more, code=USAGE)


@case
def a_named_archive_that_is_not_there_is_not_made(folder):
    keep = popkeep.Popkeep(folder)
    secret = folder / 'secret'
    secret.write_text('secret\n')
    secret.chmod(0o600)
    keep.write_config()
    command = ('fetch', '--url', url(), '--password-file', secret, '--tls-ca-file',
               Shared.server.ca)
    keep.run('-C', folder / 'typo', *command, code=NOTHING)
    check(not (folder / 'typo').exists(), 'nothing was made')
    keep.config.write_text('')
    keep.run(*command)
    check((keep.home / '.local/share/popkeep/POPKEEP').exists(), 'the default one is made')
    keep.run('status')


# ---- Export ----------------------------------------------------------------------------------

def check_export(folder, mail):
    lines = [json.loads(line) for line in (folder / 'manifest.jsonl').read_text().splitlines()]
    equal(sorted(o['digest'] for o in lines),
          sorted(hashlib.sha256(m).hexdigest() for m in mail), 'digests')
    for entry in lines:
        check(re.fullmatch(r'(\d{4}-\d\d)/\1-\d\d \d{4} [^/]+ \[[0-9a-f]{12,64}\]\.eml',
                           entry['file']), entry)
        data = (folder / entry['file']).read_bytes()
        equal((hashlib.sha256(data).hexdigest(), len(data)), (entry['digest'], entry['size']),
              'the file')
        equal(entry['accounts'], ['anna'], 'accounts')
    equal(sorted(str(p.relative_to(folder)) for p in folder.rglob('*')
                 if p.is_file() and p.name != '.popkeep-export'),
          sorted([o['file'] for o in lines] + ['manifest.jsonl', 'summary.txt', 'SHA256SUMS']),
          'files')


@case
def an_export_holds_the_exact_bytes_and_a_manifest(folder):
    keep = shared()
    out = keep.json('export', '--format', 'eml', '--output', folder / 'out')
    equal(out.summary['messages'], len(MAIL), 'messages')
    check_export(folder / 'out', MAIL)
    again = keep.json('export', '--format', 'eml', '--output', folder / 'out')
    equal((again.summary['messages'], again.summary['present']), (0, len(MAIL)), 'again')
    keep.run('export', 'size:>10K', '--format', 'eml', '--output', folder / 'out', code=USAGE)
    keep.run('export', 'size:<1', '--format', 'eml', '--output', folder / 'no', code=NOTHING)
    check(not (folder / 'no').exists(), 'no folder for nothing')


@case
def a_folder_with_other_things_is_left_alone(folder):
    keep = shared()
    (folder / 'mine').mkdir()
    (folder / 'mine' / 'file').write_text('x')
    keep.run('export', '--format', 'eml', '--output', folder / 'mine', code=USAGE)
    equal([p.name for p in (folder / 'mine').iterdir()], ['file'], 'files')


@case
def a_killed_export_goes_on(folder):
    keep, out = shared(), folder / 'out'
    for number in range(6):
        process = keep.start('export', '--format', 'eml', '--output', out)
        tap.wait_until(lambda: process.poll() is not None
                       or len(list(out.rglob('*.eml'))) > number * 3, 30, 'some files')
        process.kill()
        process.communicate()
    manifest = out / 'manifest.jsonl'
    manifest.write_bytes(manifest.read_bytes()[:-20])   # a line torn by a crash
    keep.run('export', '--format', 'eml', '--output', out)
    check_export(out, MAIL)


@case
def an_export_never_writes_over_a_file(folder):
    keep, out = shared(), folder / 'out'
    keep.run('export', '--format', 'eml', '--output', out)
    entry = json.loads((out / 'manifest.jsonl').read_text().splitlines()[0])
    (out / entry['file']).write_bytes(b'changed by hand')
    keep.run('export', '--format', 'eml', '--output', out)
    equal((out / entry['file']).read_bytes(), b'changed by hand', 'the file')
    longer = [p for p in out.rglob('*.eml')
              if str(p.relative_to(out)).startswith(entry['file'][:-5]) and p != out / entry['file']]
    equal([hashlib.sha256(p.read_bytes()).hexdigest() for p in longer], [entry['digest']],
          'the message under a longer name')


# ---- Checking, damage, databases --------------------------------------------------------------

def damage(keep):
    """Flips a byte in the last quarter of the segment."""
    segment = next((keep.archive / 'segments').iterdir())
    segment.chmod(0o600)
    data = bytearray(segment.read_bytes())
    data[len(data) * 3 // 4] ^= 0x40
    segment.write_bytes(data)


@case
def damage_is_named_and_the_rest_is_exported(folder):
    keep = copy_of_archive(folder)
    equal(keep.verify().summary['damaged'], 0, 'damage')
    damage(keep)
    result = keep.verify(code=DAMAGED)
    named = {o['digest'] for o in result.of_type('damage') if 'digest' in o}
    check(named and result.summary['damaged'] >= len(named), result)
    for digest in named:
        hit = keep.run('show', '--raw', digest[:12], code=DAMAGED)
        equal(hit.out, b'', 'nothing of a damaged message is given out')
    exported = keep.json('export', '--format', 'eml', '--output', folder / 'out', code=DAMAGED)
    check(exported.summary['messages'] > 0, 'the rest')
    equal(exported.summary['messages'] + exported.summary['damaged'], len(MAIL), 'all')
    keep.run('search', code=DAMAGED)


@case
def rebuilt_databases_say_the_same(folder):
    keep = copy_of_archive(folder)
    questions = (['search'], ['verify'], ['log'])
    before = [keep.json(*q).lines for q in questions]
    totals = keep.json('status', '--all', code=(DONE, PARTLY)).lines[-1]
    for database in keep.archive.glob('catalog.db*'):
        database.unlink()
    keep.run('status', code=DAMAGED)
    keep.run('rebuild')
    equal([keep.json(*q).lines for q in questions], before, 'answers')
    equal(keep.json('status', '--all', code=(DONE, PARTLY)).lines[-1], totals, 'totals')


# ---- Pipes, disks, words ----------------------------------------------------------------------

@case
def a_closed_pipe_ends_quietly(folder):
    keep = shared()
    for command in (['search'], ['--json', 'log'], ['show', id_of(keep, PICTURE)]):
        process = keep.start(*command)
        process.stdout.close()
        equal(process.stderr.read(), b'', 'stderr')
        check(process.wait() in (DONE, CLOSED_PIPE), process.returncode)
        process.stderr.close()


@case
def a_full_disk_behind_stdout_is_told(folder):
    keep = shared()
    with open('/dev/full', 'wb') as full:
        result = subprocess.run(keep.command('search'), env=keep.environment(), stdout=full,
                                stderr=subprocess.PIPE, check=False)
    equal(result.returncode, FAILED, 'exit status')
    check(b'standard output' in result.stderr, result.stderr)


@case
def ctrl_c_keeps_what_came(folder):
    keep = popkeep.Popkeep(folder)
    keep.account('anna', Shared.server.tls if shared() else 0, tls='implicit',
                 ca=Shared.server.ca, host='localhost')
    process = keep.start('fetch')
    process.send_signal(signal.SIGINT)
    keep.finish(process)
    check(process.returncode in (DONE, FAILED, -signal.SIGINT), process.returncode)
    keep.fetch()
    equal(len(keep.digests()), len(MAIL), 'messages')
    keep.verify()


@case
def unknown_words_are_answered_with_known_ones(folder):
    keep = shared()
    for arguments, wanted in ((['serch'], 'search'), (['search', '--limti', '3'], '--limit'),
                              (['account'], 'account list'), (['account', 'chck'], 'account check'),
                              ([], 'help')):
        check(wanted in keep.run(*arguments, code=USAGE).err, (arguments, wanted))
    keep.run('--limit', '2', '--json', 'search')
    keep.run('search', '--limit', code=USAGE)


@case
def every_command_explains_itself(folder):
    keep = shared()
    listed = keep.run('help', '--all').out.decode()
    commands = re.findall(r'^  ((?:account )?[a-z]+)', listed, re.MULTILINE)
    check(len(commands) >= 13, commands)
    manual = (popkeep.ROOT / 'cli' / 'popkeep.1').read_text()
    for command in commands:
        text = keep.run(*command.split(), '--help').out.decode()
        check(command == 'help' or text.startswith(f'popkeep {command}'), text)
        check(f'Cm {command}' in manual, f'{command} is in the manual')
        for option in re.findall(r'--([a-z-]+)', text):
            if option not in ('version',):
                check(f'Fl Fl {option}' in manual, f'--{option} of {command} is in the manual')


if __name__ == '__main__':
    tap.main()
