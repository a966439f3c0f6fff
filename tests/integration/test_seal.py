"""Sealing what was fetched: the same bytes, smaller, while everything else goes on."""
import glob
import pathlib
import random
import stat
import subprocess

import client
import dovecot
import mailgen
import popkeep
import tap
from fixture import Tmpfs, a_dovecot, for_dovecot, sample_mail
from sealing import (Keep, Stopped, check_whole, open_segments, sealed_segments, stored)
from service import Service
from tap import case, check, equal, main


def to_several(seed, count, size):
    """The same attachment to so many recipients."""
    one = mailgen.attachment_of(seed, size)
    return [b'Received: by mx; %d\r\nTo: %d@example.org\r\n' % (n, n) + one for n in range(count)]


SHARED = to_several('plan', 6, 300_000) + to_several('offer', 3, 40_000)
MAIL = mailgen.mailbox('seal', 60) + for_dovecot(mailgen.nasty().values()) + SHARED
MORE = mailgen.mailbox('more', 12)


def names_in(segment):
    return subprocess.run(['tar', '--zstd', '-tf', segment], capture_output=True, text=True,
                          check=True).stdout.split()


def a_keep(folder, server, **variables):
    keep = Keep(folder, **variables)
    keep.account('anna', server.plain)
    keep.fetch()
    return keep


def filled(folder, mail=None, **variables):
    """An archive of mail that nobody serves any more."""
    with a_dovecot(folder, {'anna': MAIL if mail is None else mail}) as server:
        return a_keep(folder, server, **variables)


def seal(keep, *arguments, **options):
    return keep.json('seal', *arguments, **options)


def check_sealed(keep, result, messages):
    """One segment was made, and the numbers are right."""
    line, = result.of_type('sealed')
    segment, = sealed_segments(keep)
    equal(line['segment'], int(segment.name[:6]), 'number')
    equal((line['replaced'], line['messages']), (1, len({client.digest(m) for m in messages})),
          'replaced and messages')
    equal(line['size'], segment.stat().st_size, 'size')
    equal({k: v for k, v in result.summary.items() if k not in ('type', 'segments')},
          {k: v for k, v in line.items() if k not in ('type', 'segment')}, 'summary')
    equal(result.summary['segments'], 1, 'segments')
    equal(stat.S_IMODE(segment.stat().st_mode), 0o440, 'mode')
    equal(open_segments(keep), [], 'open segments')


@case
def what_was_sealed_is_read_back_byte_for_byte(folder):
    with a_dovecot(folder, {'anna': MAIL}) as server:
        keep = a_keep(folder, server)
        before = keep.messages()
        size, = (p.stat().st_size for p in open_segments(keep))
        result = seal(keep)
        check_sealed(keep, result, MAIL)
        line = result.of_type('sealed')[0]
        equal(line['size_before'], size, 'size before')
        check(line['size'] * 2 < size, f'smaller: {line}')
        check_whole(keep, MAIL)
        equal(keep.messages(), before, 'search')
        line = keep.fetch_account('anna')
        equal((line['new'], line['duplicate'], line['archived']), (0, 0, len(MAIL)),
              'another fetch')


@case
def exported_and_rebuilt_it_is_the_same(folder):
    keep = filled(folder)
    seal(keep)
    wanted = {client.digest(m) for m in MAIL}
    for round_ in ('sealed', 'rebuilt'):
        out = folder / round_
        keep.run('export', '--format', 'eml', '--output', out)
        exported = [pathlib.Path(f).read_bytes()
                    for f in glob.glob(f'{out}/**/*.eml', recursive=True)]
        equal({client.digest(data) for data in exported}, wanted, f'digests exported, {round_}')
        keep.run('rebuild')
    check_whole(keep, MAIL)


@case
def when_there_is_nothing_to_seal_it_says_so_and_is_done(folder):
    keep = filled(folder, MORE)
    seal(keep)
    before = stored(keep)
    result = seal(keep)
    equal((result.summary['segments'], result.of_type('sealed')), (0, []), 'sealed')
    check('nothing to seal' in result.err, f'it is said\n{result}')
    equal(stored(keep), before, 'segments')


@case
def people_get_a_line_for_each_segment(folder):
    keep = filled(folder, MORE)
    result = keep.run('-v', 'seal')
    number = int(sealed_segments(keep)[0].name[:6])
    check(f'sealed {number:06}: {len(MORE)} messages, ' in result.out.decode()
          and ' of mail, ' in result.out.decode(), result)
    check("the worker's sandbox: " in result.err or 'sandbox is incomplete' in result.err, result)


@case
def plain_tar_and_zstd_read_it(folder):
    keep = filled(folder)
    seal(keep)
    segment, = sealed_segments(keep)
    subprocess.run(['zstd', '-qt', segment], check=True)
    names = names_in(segment)
    equal(names[-2:], ['LEDGER', 'README'], 'last entries')
    whole = {n[5:69] for n in names if n.startswith('mail/')}
    equal(whole, {client.digest(m) for m in MAIL}, 'messages in it')
    check(any(n.endswith('.recipe') for n in names), 'some are recipes')


@case
def an_attachment_of_several_messages_is_stored_once(folder):
    keep = filled(folder, SHARED)
    line, = seal(keep).of_type('sealed')
    names = names_in(sealed_segments(keep)[0])
    equal(len([n for n in names if n.startswith('part/')]), 2, 'parts')
    check(line['size'] < 360_000, f'once each: {line}')


@case
def without_part_sharing_every_message_is_a_file(folder):
    keep = filled(folder)
    seal(keep, '--no-part-sharing')
    names = names_in(sealed_segments(keep)[0])
    check(all(n.endswith('.eml') for n in names[:-2]), f'entries {names}')
    check_whole(keep, MAIL)


@case
def the_configuration_says_how_and_the_command_line_wins(folder):
    keep = Keep(folder)
    keep.globals |= {'part-sharing': 'off', 'seal-level': 1, 'sandbox': 'best'}
    with a_dovecot(folder, {'anna': SHARED}) as server:
        keep.account('anna', server.plain)
        keep.fetch()
    seal(keep)
    check(all(n.endswith('.eml') for n in names_in(sealed_segments(keep)[0])[:-2]), 'part-sharing')
    for arguments in (('--level', '0'), ('--level', '20'), ('--level', 'x'),
                      ('--frame-size', '1K'), ('--frame-size', '17M'), ('more',)):
        keep.run('seal', *arguments, code=popkeep.USAGE)


@case
def levels_and_frame_sizes_make_no_difference_to_the_bytes(folder):
    mail = MORE + SHARED[:3]
    for number, arguments in enumerate((('--level', '1', '--frame-size', '64K'),
                                        ('--level', '19', '--frame-size', '16M'))):
        one = folder / str(number)
        one.mkdir()
        one.chmod(0o711)
        keep = filled(one, mail)
        seal(keep, *arguments)
        check_whole(keep, mail)


@case
def mail_goes_on_being_archived_meanwhile(folder):
    with a_dovecot(folder, {'anna': MAIL}) as server:
        keep = a_keep(folder, server)
        with Stopped(keep) as job:
            server.deliver('anna', MORE)
            line = keep.fetch_account('anna')
            equal((line['new'], line['archived']), (len(MORE), len(MAIL + MORE)), 'fetched')
            equal(len(open_segments(keep)), 2, 'open segments')
            job.go_on()
            result = job.finish()
        equal(result.code, popkeep.DONE, result)
        line, = result.of_type('sealed')
        equal(line['messages'], len(MAIL), 'sealed')
        equal(len(open_segments(keep)), 1, 'open segments')
        check_whole(keep, MAIL + MORE)
        seal(keep)
        check_whole(keep, MAIL + MORE)
        equal((len(open_segments(keep)), len(sealed_segments(keep))), (0, 2), 'segments')


@case
def a_service_that_runs_is_no_hindrance(folder):
    with a_dovecot(folder, {'anna': MAIL}) as server:
        keep = a_keep(folder, server)
        with Service(keep) as service:
            seal(keep)
            server.deliver('anna', MORE)
            line = keep.fetch_account('anna')
            equal((line['new'], line['archived']), (len(MORE), len(MAIL + MORE)), 'fetched')
            check_whole(keep, MAIL + MORE)
            equal(service.stop(), 0, 'how the service ended')
        check_whole(keep, MAIL + MORE)


@case
def a_second_seal_waits_for_the_first(folder):
    keep = filled(folder)
    with Stopped(keep) as job:
        other = keep.start('--json', 'seal')
        try:
            tap.wait_until(lambda: waits(other.pid), 20, 'the second seal waits')
            equal(other.poll(), None, 'the second seal')
            job.go_on()
            first = job.finish()
            second = keep.finish(other)
        finally:
            other.kill()
    equal((first.code, second.code), (0, 0), 'exit statuses')
    equal((first.summary['segments'], second.summary['segments']), (1, 0), 'segments')
    check_whole(keep, MAIL)


def waits(pid):
    """It has the file of the turns open."""
    try:
        return any(p.resolve().name == 'lock' for p in pathlib.Path(f'/proc/{pid}/fd').iterdir())
    except OSError:
        return False


@case
def repack_merges_what_was_sealed_apart(folder):
    parts = [MAIL, MORE, SHARED[:1] + mailgen.mailbox('third', 5)]
    with a_dovecot(folder, {'anna': []}) as server:
        keep = Keep(folder)
        keep.account('anna', server.plain)
        for mail in parts:
            server.deliver('anna', mail)
            keep.fetch()
            seal(keep)
    every = sum(parts, [])
    equal(len(sealed_segments(keep)), 3, 'segments')
    result = keep.json('repack')
    line, = result.of_type('sealed')
    equal((line['replaced'], line['messages']), (3, len(set(every))), 'merged')
    equal(len(sealed_segments(keep)), 1, 'segments')
    check_whole(keep, every)
    keep.run('rebuild')
    check_whole(keep, every)
    result = keep.json('repack')
    equal(result.summary['segments'], 0, 'merged again')
    keep.run('repack', '--size', '5G', code=popkeep.USAGE)


@case
def a_damaged_message_is_exit_4_and_nothing_is_sealed(folder):
    keep = filled(folder, [mailgen.attachment_of(n, 200_000) for n in range(4)])
    segment, = open_segments(keep)
    data = bytearray(segment.read_bytes())
    data[len(data) // 2] ^= 1
    segment.write_bytes(data)
    result = keep.json('seal', code=popkeep.DAMAGED)
    check('mail' in result.err or 'segment' in result.err, f'it is said\n{result}')
    equal(stored(keep), {segment.name: bytes(data)}, 'segments')


@case
def a_full_disk_is_exit_74_and_the_open_segment_stays(folder):
    rng = random.Random('full')
    mail = [mailgen.attachment_of(rng.random(), 300_000) for _ in range(12)]
    with Tmpfs(folder, '64m') as disk, a_dovecot(folder, {'anna': mail}) as server:
        keep = Keep(folder)
        keep.archive = disk.folder / 'archive'
        keep.globals['min-free'] = '0'
        keep.account('anna', server.plain)
        keep.fetch()
        before = stored(keep)
        size = sum(map(len, before.values()))
        disk.resize(f'{size * 5 // 4 + 300_000}')
        result = keep.json('seal', code=popkeep.WRITE)
        check('space' in result.err, f'it says why\n{result}')
        equal(stored(keep), before, 'segments')
        check_whole(keep, mail)
        disk.resize('64m')
        check_sealed(keep, seal(keep), mail)
        check_whole(keep, mail)


@case
def all_of_the_sample_is_sealed_and_read_back(folder):
    mail = [m for m in sample_mail(folder) if not m.startswith(dovecot.NOT_STUFFED)]
    with a_dovecot(folder, {'anna': mail}) as server:
        keep = Keep(folder)
        keep.account('anna', server.plain)
        keep.fetch(timeout=400)
    before = keep.digests()
    line, = seal(keep, timeout=400).of_type('sealed')
    tap.comment(f"{line['bytes']} bytes of mail, {line['size_before']} before, {line['size']} now")
    equal(line['messages'], len(before), 'messages')
    equal(keep.digests(), before, 'digests kept')
    equal(keep.verify().summary['messages'], len(before), 'messages that verify counts')
    out = folder / 'export'
    keep.run('export', '--format', 'eml', '--output', out, timeout=400)
    exported = {client.digest(pathlib.Path(f).read_bytes())
                for f in glob.glob(f'{out}/**/*.eml', recursive=True)}
    equal(exported, set(before), 'digests exported')


if __name__ == '__main__':
    main()
