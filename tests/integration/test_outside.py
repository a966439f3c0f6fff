"""The archive without popkeep, and mail on its way out of it."""
import glob
import json
import pathlib
import subprocess

import client
import mailgen
from fixture import a_dovecot, for_dovecot
from popkeep import Popkeep
from scripted import Server, Session
from tap import case, check, equal, main

MAIL = mailgen.mailbox('outside', 40) + for_dovecot(mailgen.nasty().values()) + [
    mailgen.attachment_of(1, 5_000_000)]


def an_archive(folder, mail=MAIL):
    with a_dovecot(folder, {'anna': mail, 'bert': mail[:10]}) as server:
        keep = Popkeep(folder)
        keep.account('anna', server.plain)
        keep.account('bert', server.plain)
        keep.fetch()
    return keep


def check_extracted(folder, mail):
    files = sorted(folder.glob('mail/*.eml'))
    equal([f.stem for f in files], sorted(set(map(client.digest, mail))), 'names')
    sums = subprocess.run(['sha256sum', *files], capture_output=True, check=True, text=True)
    for line in sums.stdout.splitlines():
        digest, _, path = line.partition('  ')
        equal(digest, pathlib.Path(path).stem, 'sha256sum')


@case
def tar_gives_the_messages(folder):
    keep = an_archive(folder)
    out = folder / 'out'
    out.mkdir()
    script = f'for s in {keep.archive}/segments/*.tar.zst; do tar --zstd -xf "$s" || exit; done'
    subprocess.run(['sh', '-c', script], cwd=out, check=True)
    check_extracted(out, MAIL)


@case
def bsdtar_gives_the_messages(folder):
    keep = an_archive(folder)
    out = folder / 'out'
    out.mkdir()
    for segment in sorted(keep.archive.glob('segments/*.tar.zst')):
        subprocess.run(['bsdtar', '-xf', segment], cwd=out, check=True)
    check_extracted(out, MAIL)


@case
def the_ledger_is_text(folder):
    keep = an_archive(folder)
    for path in keep.archive.glob('ledger/*.log'):
        text = path.read_bytes()
        check(text.endswith(b'\n'), 'it ends with a line')
        check(all(32 <= b < 127 or b == 10 for b in text), 'printable ASCII alone')


@case
def export_gives_every_message_byte_for_byte_with_a_manifest(folder):
    keep = an_archive(folder)
    out = folder / 'export'
    keep.run('export', '--format', 'eml', '--output', out)
    files = [pathlib.Path(f) for f in glob.glob(f'{out}/**/*.eml', recursive=True)]
    equal(sorted(client.digest(f.read_bytes()) for f in files),
          sorted(set(map(client.digest, MAIL))), 'digests of the files')
    with open(out / 'manifest.jsonl', encoding='utf-8') as manifest:
        entries = [json.loads(line) for line in manifest]
    messages = {e['digest']: e for e in entries if 'digest' in e}
    equal(sorted(messages), sorted(set(map(client.digest, MAIL))), 'digests of the manifest')
    both = set(map(client.digest, MAIL[:10]))
    for digest, entry in messages.items():
        check('size' in entry and 'archived' in entry, f'{entry}')
        equal(sorted(entry['accounts']), ['anna', 'bert'] if digest in both else ['anna'],
              f'accounts of {digest}')


@case
def export_of_one_account_gives_its_messages_alone(folder):
    keep = an_archive(folder)
    out = folder / 'export'
    keep.run('export', 'account:bert', '--format', 'eml', '--output', out)
    files = glob.glob(f'{out}/**/*.eml', recursive=True)
    equal(sorted(client.digest(pathlib.Path(f).read_bytes()) for f in files),
          sorted(set(map(client.digest, MAIL[:10]))), 'digests of the files')


SECRET = 'gh-7f3a-private-word'


def places_of(secret):
    """Argument lists on this machine that hold it."""
    found = []
    for path in glob.glob('/proc/[0-9]*/cmdline'):
        try:
            text = pathlib.Path(path).read_bytes()
        except OSError:
            continue
        if secret.encode() in text:
            found.append(text)
    return found


@case
def a_password_stands_in_no_argument_list_no_output_and_no_file(folder):
    class Looking(Session):
        seen = []

        def do_PASS(self, argument):
            self.seen.extend(places_of(SECRET))
            super().do_PASS(argument)

    with Server(MAIL[:5], Looking, password=SECRET.encode()) as server:
        keep = Popkeep(folder)
        keep.account('anna', server.port, password=SECRET)
        result = keep.run('-v', 'fetch')
        log = keep.run('log')
        keep.account('anna', server.port, password=SECRET, password_command=f'cat {folder}/anna.password')
        again = keep.run('-v', 'fetch')
    equal(Looking.seen, [], 'argument lists')
    for r in (result, again, log):
        check(SECRET not in r.err and SECRET.encode() not in r.out, 'output')
    found = subprocess.run(['grep', '-rlaF', SECRET, keep.archive], capture_output=True)
    equal(found.stdout, b'', 'files of the archive')


@case
def the_archive_is_open_to_its_owner_alone(folder):
    keep = an_archive(folder, MAIL[:3])
    equal(oct(keep.archive.stat().st_mode & 0o777), '0o700', 'mode of the archive')


if __name__ == '__main__':
    main()
