"""Damage is named and contained, and the databases can be made again."""
import client
import mailgen
import popkeep
from fixture import a_long_story, check_kept, fetched_archive, scripted_account
from scripted import Server
from tap import case, check, equal, main

# Frames hold a megabyte: these make several.
MAIL = mailgen.mailbox('damage', 30, size=2000) + [
    mailgen.attachment_of(n, 600_000) for n in range(8)]


def segments(keep):
    return sorted((keep.archive / 'segments').glob('*.tar.zst'))


def flip(path, at, mask=0xff):
    path.chmod(0o600)
    with open(path, 'r+b') as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ mask]))


def size(path):
    return path.stat().st_size


def check_contained(keep, mail=MAIL):
    """verify exits 4 and names messages; these cannot be read, all others can. How many."""
    result = keep.verify(code=popkeep.DAMAGED)
    check(result.summary['damaged'] > 0, 'damage is counted')
    named = {o['digest'] for o in result.of_type('damage') if 'digest' in o}
    for message in keep.messages():
        shown = keep.run('show', message['id'], '--raw', code=None)
        if message['digest'] in named:
            equal(shown.code, popkeep.DAMAGED, f"show {message['id']}")
        else:
            equal(shown.code, popkeep.DONE, f"show {message['id']}\n{shown}")
            equal(client.digest(shown.out), message['digest'], 'what is shown')
    equal({m['digest'] for m in keep.messages()}, set(map(client.digest, mail)), 'still listed')
    return len(named)


@case
def a_flipped_byte_in_a_segment_costs_one_frame_and_is_named(folder):
    keep = fetched_archive(folder, MAIL)
    segment = segments(keep)[0]
    flip(segment, size(segment) // 2)
    hit = check_contained(keep)
    check(0 < hit < len(MAIL), f'some messages are named: {hit}')


@case
def bytes_flipped_anywhere_in_a_segment_are_found(folder):
    keep = fetched_archive(folder, MAIL[:30])
    segment = segments(keep)[0]
    end = size(segment)
    for at in [0, 1, 2, 3, 4, 5, 6, 7, 8, end // 7, end // 5, end // 3, end - 2, end - 1]:
        flip(segment, at, 0x10)
        keep.verify(code=popkeep.DAMAGED)
        flip(segment, at, 0x10)
    keep.verify()


@case
def a_segment_cut_short_loses_only_what_lay_behind(folder):
    keep = fetched_archive(folder, MAIL)
    segment = segments(keep)[0]
    segment.chmod(0o600)
    with open(segment, 'r+b') as file:
        file.truncate(size(segment) * 2 // 3)
    hit = check_contained(keep)
    check(0 < hit < len(MAIL), f'some messages are named: {hit}')


@case
def a_segment_that_is_gone_names_all_its_messages(folder):
    keep = fetched_archive(folder, MAIL)
    segments(keep)[0].unlink()
    equal(check_contained(keep), len(MAIL), 'messages named')


@case
def a_flipped_byte_in_the_ledger_is_found_and_mail_is_still_read(folder):
    keep = fetched_archive(folder, MAIL)
    ledger = keep.archive / 'ledger' / '000001.log'
    text = ledger.read_bytes()
    at = text.index(b'event=keep', len(text) // 3) + 40
    flip(ledger, at, 0x01)
    result = keep.verify(code=popkeep.DAMAGED)
    check(result.summary['damaged'] > 0, 'damage is counted')
    for message in keep.messages():
        equal(client.digest(keep.raw(message['id'])), message['digest'], 'what is shown')


@case
def a_ledger_cut_short_is_found(folder):
    keep = fetched_archive(folder, MAIL)
    ledger = keep.archive / 'ledger' / '000001.log'
    with open(ledger, 'r+b') as file:
        file.truncate(size(ledger) // 2)
    keep.run('verify', code=popkeep.DAMAGED)


@case
def a_catalog_that_is_no_database_is_said_and_rebuild_mends_it(folder):
    keep = fetched_archive(folder, MAIL)
    before = keep.messages()
    (keep.archive / 'catalog.db').write_bytes(b'not a database' * 1000)
    for suffix in ('-wal', '-shm'):
        (keep.archive / f'catalog.db{suffix}').unlink(missing_ok=True)
    result = keep.run('search', code=popkeep.DAMAGED)
    check('rebuild' in result.err, f'it says what to do\n{result}')
    keep.verify(code=popkeep.DAMAGED)
    keep.run('rebuild')
    equal(keep.messages(), before, 'search')
    keep.verify()


@case
def flipped_bytes_in_the_catalog_never_give_wrong_bytes_and_rebuild_mends_it(folder):
    keep = fetched_archive(folder, MAIL)
    before = keep.messages()
    catalog = keep.archive / 'catalog.db'
    whole = catalog.read_bytes()
    allowed = (popkeep.DONE, popkeep.DAMAGED, popkeep.FAILED, popkeep.NOTHING)
    for part in range(12):
        damaged = bytearray(whole)
        start = 100 + (len(whole) - 200) * part // 12
        for at in range(start, start + 64):
            damaged[at] ^= 0x55
        catalog.write_bytes(damaged)
        found = keep.run('--json', 'search', code=allowed)
        for message in found.of_type('message')[:3]:
            shown = keep.run('show', message['id'], '--raw', code=allowed)
            if shown.code == popkeep.DONE:
                check(client.digest(shown.out).startswith(message['id']), 'what is shown')
        keep.run('verify', code=allowed)
    keep.run('rebuild')
    equal(keep.messages(), before, 'search')
    keep.verify()


def told(keep):
    """What people and programs see."""
    status = keep.json('status', '--all', code=(popkeep.DONE, popkeep.PARTLY))
    return (keep.json('search').lines, keep.json('verify').lines,
            [popkeep.sums(line) | {'account': line['account']}
             for line in status.of_type('account')])


@case
def rebuild_gives_the_same_search_verify_and_status(folder):
    keep = a_long_story(folder)
    before = told(keep)
    for path in [*keep.archive.glob('catalog.db*'), *keep.archive.glob('search/*.db*')]:
        path.unlink()
    keep.run('search', code=popkeep.DAMAGED)
    keep.run('rebuild')
    for got, wanted, what in zip(told(keep), before, ('search', 'verify', 'status')):
        equal(got, wanted, what)


@case
def a_fetch_after_rebuild_asks_for_nothing_again(folder):
    with Server(MAIL[:20]) as server:
        keep = scripted_account(folder, server)
        keep.fetch()
        for path in keep.archive.glob('catalog.db*'):
            path.unlink()
        keep.run('rebuild')
        line = keep.fetch_account('anna')
        equal((line['new'], line['archived']), (0, 20), 'sums')
        equal(server.sessions[-1].count('RETR'), 0, 'RETR commands')


@case
def rebuild_of_a_damaged_archive_keeps_what_is_whole(folder):
    keep = fetched_archive(folder, MAIL)
    segment = segments(keep)[0]
    flip(segment, size(segment) // 2)
    for path in keep.archive.glob('catalog.db*'):
        path.unlink()
    keep.run('rebuild', code=(popkeep.DONE, popkeep.DAMAGED))
    check(0 < check_contained(keep) < len(MAIL), 'some messages are named')


@case
def an_unfinished_group_is_cut_and_kept_aside(folder):
    keep = fetched_archive(folder, MAIL[:10])
    ledger = keep.archive / 'ledger' / '000001.log'
    with open(ledger, 'ab') as file:
        file.write(b'v=1 event=keep t=2030-01-01T00:00:00.000Z maildrop=1 uidl=x')
    with Server(MAIL[:12]) as server:
        keep.account('anna', server.port)
        keep.write_config()
        keep.fetch()
    keep.verify()
    check_kept(keep, MAIL[:12])


@case
def a_check_of_limited_time_tells_how_far_it_came_and_names_damage(folder):
    keep = fetched_archive(folder, MAIL)
    first = keep.json('verify', '--max-duration', '1h').summary
    equal((first['done'], first['depth'], first['damaged']), (first['all'], 'default', 0), 'round')
    flip(segments(keep)[0], 5, 0x08)
    found = keep.json('verify', '--max-duration', '1h', code=popkeep.DAMAGED)
    check('salvage' in found.of_type('damage')[0]['advice'], 'what to do next')
    equal(found.of_type('damage')[0]['file'], 'segments/000001.open.tar.zst', 'file')
    flip(segments(keep)[0], 5, 0x08)
    # A round that finds nothing says so; here one that does all at once.
    keep.verify()
    last = keep.json('verify', '--max-duration', '1h').summary
    check(last['whole_round'], 'the round before ended without findings')
    keep.run('verify', '--max-duration', 'soon', code=popkeep.USAGE)


if __name__ == '__main__':
    main()
