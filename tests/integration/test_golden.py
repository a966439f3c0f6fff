"""Archives of every format ever released are opened, verified, searched, exported, written on."""
import json
import pathlib
import shutil

import client
import mailgen
import popkeep
import tap
from popkeep import Popkeep
from scripted import Server
from tap import case, equal, main

GOLDEN = sorted((popkeep.ROOT / 'tests' / 'golden').glob('v*'))


def a_copy(folder, golden):
    """A copy that may be written to, as git may have changed the modes; and what it must hold."""
    keep = Popkeep(folder)
    shutil.copytree(golden / 'archive', keep.archive)
    for path in [keep.archive, *keep.archive.rglob('*')]:
        path.chmod(0o700 if path.is_dir() else 0o600)
    keep.write_config()
    return keep, json.loads((golden / 'expected.json').read_text())


def check_holds(keep, expected):
    messages = {m['digest']: m for m in keep.messages()}
    equal(sorted(messages), [m['digest'] for m in expected['messages']], 'digests')
    for wanted in expected['messages']:
        got = messages[wanted['digest']]
        equal({k: got[k] for k in wanted}, wanted, 'message')
        equal(client.digest(keep.raw(got['id'])), got['digest'], 'bytes')
    equal(keep.verify().summary['messages'], len(messages), 'messages that verify counts')
    status = keep.json('status', '--all', code=(popkeep.DONE, popkeep.PARTLY))
    got = [{'account': a['account'], **popkeep.sums(a)} for a in status.of_type('account')]
    equal(sorted(got, key=str), sorted(expected['accounts'], key=str), 'accounts')


def check_each(folder, look):
    if not GOLDEN:
        raise tap.Skip('no format was released yet')
    for golden in GOLDEN:
        below = folder / golden.name
        below.mkdir()
        look(below, *a_copy(below, golden))


@case
def every_golden_archive_is_opened_as_it_is(folder):
    check_each(folder, lambda below, keep, expected: check_holds(keep, expected))


@case
def every_golden_archive_is_sealed_and_copied(folder):
    """What it lacks in its catalog is counted when it is first written to."""
    def look(below, keep, expected):
        for how in ('--quick', '--full'):
            equal(keep.json('verify', how).summary['damaged'], 0, f'verify {how}')
        keep.json('seal')
        check_holds(keep, expected)
        keep.json('copy', below / 'copy')
        keep.archive = below / 'copy'
        keep.write_config()
        keep.run('rebuild')
        check_holds(keep, expected)
    check_each(folder, look)


@case
def every_golden_archive_is_rebuilt(folder):
    def look(below, keep, expected):
        for path in keep.archive.glob('catalog.db*'):
            path.unlink()
        keep.run('rebuild')
        check_holds(keep, expected)
    check_each(folder, look)


@case
def every_golden_archive_is_exported(folder):
    def look(below, keep, expected):
        out = below / 'export'
        keep.run('export', '--format', 'eml', '--output', out)
        got = sorted(client.digest(pathlib.Path(f).read_bytes()) for f in out.rglob('*.eml'))
        equal(got, [m['digest'] for m in expected['messages']], 'digests')
    check_each(folder, look)


@case
def every_golden_archive_is_written_on(folder):
    def look(below, keep, expected):
        mail = mailgen.mailbox('written on', 3)
        with Server(mail) as server:
            keep.account('carla', server.port)
            equal(keep.fetch_account('carla')['new'], 3, 'new')
        keep.verify()
        equal(len(keep.messages()), len(expected['messages']) + 3, 'messages')
    check_each(folder, look)


if __name__ == '__main__':
    main()
