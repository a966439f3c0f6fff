"""All the way round: mail from files into the archive, sealed, out again in each format, opened with
the tools of others, in again, and over a real server's IMAP back to POP3. Nothing may change but
what that server changes, which dovecot.as_appended() says.

ROUND_TRIP=all takes all of the sample of real mail, where it lies beside the project (../shared), and
not only the part that fits into a minute."""
import collections
import hashlib
import json
import os
import random
import re
import shutil
import subprocess

import client
import dovecot
import fixture
import imap_client
import mailgen
import popkeep
import tap
from popkeep import Popkeep
from tap import case, check, equal

FORMATS = ('eml', 'maildir', 'mboxrd', 'tar', 'tar.zst', 'zip')
SAMPLE_FILES, SAMPLE_SEED = 200, 7
BESIDE = ('manifest.jsonl', 'summary.txt', 'SHA256SUMS', 'maildirfolder')


def made_up():
    """What POP3 brings, what programs on Unix write, and what no program should."""
    mail = mailgen.mailbox('round', 40) + list(mailgen.nasty().values())
    mail += [m.replace(b'\r\n', b'\n') for m in mailgen.mailbox('unix', 15, size=800)]
    mail += [
        b'Subject: no end of the last line\r\n\r\nlast',
        b'Subject: mixed\r\n\r\none\ntwo\r\nthree\n',
        b'Subject: From\n\nFrom here\n>From there\n\nFrom \n\n\n',
        b'Subject: ../../etc/passwd\0\x1b[2J\r\n\r\nx\r\n',
        'Subject: CON.txt: ü/日本 <>|?*"\r\n\r\nx\r\n'.encode(),
    ]
    return mail


def sample(folder):
    mail = fixture.sample_mail(folder)
    if os.environ.get('ROUND_TRIP') != 'all':
        small = [m for m in mail if len(m) < 200_000]
        mail = random.Random(SAMPLE_SEED).sample(small, min(SAMPLE_FILES, len(small)))
    return [m for m in mail if m]


def digests(mail):
    return collections.Counter(map(client.digest, mail))


def write_files(folder, mail):
    """A tree, so that there are folders to be kept."""
    for number, data in enumerate(mail):
        below = folder / ('Inbox', 'Work/2024', 'Übung')[number % 3]
        below.mkdir(parents=True, exist_ok=True)
        (below / f'{number:06}.eml').write_bytes(data)
    return folder


def imported(keep, *paths, options=(), code=popkeep.DONE):
    summary = keep.json('import', *paths, '--account', 'anna', *options, code=code, timeout=600).summary
    equal(summary['found'], summary['kept'] + summary['known'] + summary['refused'],
          f'found = kept + known + refused in {summary}')
    return summary


def sealed_archive(folder, mail):
    keep = Popkeep(folder)
    keep.write_config()
    keep.init()
    source = write_files(folder / 'source', mail)
    summary = imported(keep, source)
    equal((summary['found'], summary['refused']), (len(mail), 0), 'found and refused')
    keep.run('seal', timeout=600)
    equal(keep.digests(), sorted(digests(mail)), 'digests kept')
    again = imported(keep, source)
    equal((again['kept'], again['known']), (0, len(mail)), 'kept and known of a second import')
    return keep


# ---- Out ---------------------------------------------------------------------------------------

def export(keep, format):
    out = keep.folder / f'out.{format}'
    summary = keep.json('export', '--format', format, '--output', out, timeout=600).summary
    equal((summary['damaged'], summary['failed']), (0, 0), 'damaged and failed')
    return out


def tool(*words, cwd=None):
    if not shutil.which(words[0]):
        raise tap.MissingServer(f'no {words[0]} here')
    done = subprocess.run([*map(str, words)], cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True)
    check(done.returncode == 0, f'{words}: exit {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}')
    return done.stdout


def mail_below(folder):
    return [p for p in sorted(folder.rglob('*')) if p.is_file() and p.name not in BESIDE
            and not p.name.startswith('.')]


def check_tree(folder, wanted, what):
    """Folders, or what came out of an archive: each file, and each line of the manifest."""
    found = mail_below(folder)
    equal(digests(p.read_bytes() for p in found), wanted, f'files of {what}')
    lines = [json.loads(line) for line in (folder / 'manifest.jsonl').read_text().splitlines()]
    equal({line['file']: line['digest'] for line in lines},
          {str(p.relative_to(folder)): client.digest(p.read_bytes()) for p in found}, f'manifest of {what}')
    said = tool('sha256sum', '--quiet', '-c', 'SHA256SUMS', cwd=folder)
    equal(said, b'', f'what sha256sum says of {what}')


UNPACKERS = {
    'tar': (('tar', '-xf'), ('bsdtar', '-xf'), ('7z', 'x', '-y', '-bd')),
    'tar.zst': (('tar', '--zstd', '-xf'), ('bsdtar', '-xf')),
    'zip': (('unzip', '-q'), ('bsdtar', '-xf'), ('7z', 'x', '-y', '-bd')),
}


def check_packed(out, format, wanted):
    for words in UNPACKERS[format]:
        into = out.with_name(f'unpacked by {words[0]}')
        into.mkdir()
        tool(*words, out, cwd=into)
        equal([p.name for p in into.iterdir()], ['out'], f'what {words[0]} unpacks: one folder')
        check_tree(into / 'out', wanted, f'{format} by {words[0]}')
        shutil.rmtree(into)
    if format == 'zip':
        tool('unzip', '-tqq', out)


def check_mbox(out, wanted):
    """By the manifest, as the manual tells the way back."""
    data, found = out.read_bytes(), collections.Counter()
    for line in out.with_name(out.name + '.manifest.jsonl').read_text().splitlines():
        entry = json.loads(line)
        message = data[entry['offset']:entry['offset'] + entry['length']].split(b'\n', 1)[1][:-1]
        message = re.sub(rb'^>(>*From )', rb'\1', message, flags=re.MULTILINE)
        if entry['line_ends'] == 'crlf':
            message = message.replace(b'\n', b'\r\n')
        found[hashlib.sha256(message[:entry['size']]).hexdigest()] += 1
    equal(found, wanted, 'messages of the mbox')


def check_export(keep, format, mail):
    wanted = collections.Counter(set(digests(mail)))
    out = export(keep, format)
    if out.is_dir():
        check_tree(out, wanted, format)
    else:
        tool('sha256sum', '-c', out.name + '.SHA256SUMS', cwd=out.parent)
        if format == 'mboxrd':
            check_mbox(out, wanted)
        else:
            check_packed(out, format, wanted)
    keep.run('verify', out, timeout=600)
    return out


def check_known_again(keep, format, out, mail):
    """What was exported is known when it comes back."""
    summary = imported(keep, out)
    check(summary['duplicate'] + summary['known'] >= len(set(mail)), f'{format} imported again: {summary}')
    equal((summary['bytes'], summary['refused'], summary['lost']), (0, 0, 0), f'{format} imported again')
    equal(keep.digests(), sorted(digests(mail)), f'digests after {format} came back')


def check_all_ways(folder, mail):
    keep = sealed_archive(folder, mail)
    for format in FORMATS:
        out = check_export(keep, format, mail)
        check_known_again(keep, format, out, mail)
        shutil.rmtree(out, ignore_errors=True)
        for left in folder.glob(f'out.{format}*'):
            left.unlink() if left.is_file() else shutil.rmtree(left)
    keep.run('verify', '--full', timeout=600)


@case
def made_up_mail_comes_out_of_every_export_byte_for_byte_and_is_known_again(folder):
    check_all_ways(folder, made_up())


@case
def the_sample_comes_out_of_every_export_byte_for_byte_and_is_known_again(folder):
    mail = sample(folder)
    tap.comment(f'{len(mail)} files, {sum(map(len, mail))} bytes')
    check_all_ways(folder, mail)


# ---- To a server and back ----------------------------------------------------------------------

def restore(keep, server, *more, code=popkeep.DONE):
    password = keep.folder / 'imap.password'
    password.write_text('secret\n')
    password.chmod(0o600)
    url = f'imap://anna@127.0.0.1:{server.imap}/'
    return keep.json('restore', '--to', url, '--tls', 'none', '--password-file', password, *more, code=code,
                     timeout=600)


def on_the_wire(data):
    """What restore sends: IMAP has no other line ends."""
    return re.sub(rb'(?<!\r)\n', b'\r\n', data)


def check_told(summary, mail, sent):
    """The report says what is not at the target as it was kept."""
    told = {key: summary[key] for key in ('sent', 'at_target', 'refused', 'missing', 'crlf', 'changed')}
    equal(told, {
        'sent': len(sent), 'at_target': len(sent), 'missing': 0,
        'refused': len(mail) - len(sent),   # NUL: IMAP cannot say it
        'crlf': sum(on_the_wire(m) != m for m in sent),
        'changed': sum(dovecot.as_appended(m) != on_the_wire(m) for m in sent),
    }, 'what restore tells')


def check_over_imap(folder, mail):
    keep = sealed_archive(folder, mail)
    keep.run('index', timeout=600)
    distinct = set(mail)
    sent = [m for m in distinct if b'\0' not in m]
    code = popkeep.DONE if len(sent) == len(distinct) else popkeep.PARTLY
    with fixture.a_dovecot(folder, {'anna': []}, imap=True) as server:
        summary = restore(keep, server, code=code).summary
        with imap_client.Client(server.imap, 'anna', 'secret') as mailbox:
            found = [m.data for name, flags in mailbox.folders().items()
                     if r'\Noselect' not in flags for m in mailbox.fetch(name)]
        equal(digests(found), digests(map(dovecot.as_appended, sent)), 'what IMAP gives')
        check_told(summary, distinct, sent)
        again = restore(keep, server, code=code).summary
        equal((again['sent'], again['at_target']), (0, len(sent)), f'sent again: {again}')
    tap.comment(summary)


@case
def made_up_mail_restored_to_a_server_differs_only_by_what_that_server_changes(folder):
    check_over_imap(folder, made_up())


@case
def the_sample_restored_to_a_server_differs_only_by_what_that_server_changes(folder):
    mail = sample(folder)
    check_over_imap(folder, mail)
    tap.comment(f'{len(mail)} files')


@case
def mail_restored_to_an_inbox_and_fetched_by_pop3_is_what_was_kept(folder):
    mail = fixture.for_dovecot(mailgen.mailbox('round', 60))
    keep = Popkeep(folder)
    keep.write_config()
    keep.init()
    imported(keep, write_files(folder / 'source', mail))
    keep.run('index')
    with fixture.a_dovecot(folder, {'anna': []}, imap=True) as server:
        restore(keep, server, '--folder', 'INBOX')
        (folder / 'second').mkdir()
        back = Popkeep(folder / 'second')
        back.account('anna', server.plain)
        line = back.fetch_account('anna')
        equal(line['archived'], len(mail), 'fetched')
        equal(back.digests(), keep.digests(), 'digests')


if __name__ == '__main__':
    tap.main()
