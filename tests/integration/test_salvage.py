"""What is whole of a damaged segment stays, what is lost is fetched again, and it is said which."""
import client
import mailgen
import popkeep
import scripted
from fixture import a_dovecot, check_kept
from popkeep import check_sums
from sealing import Keep, open_segments, sealed_segments
from tap import case, check, equal, main

MAIL = mailgen.mailbox('salvage', 30, size=2000) + [
    mailgen.attachment_of(n, 600_000) for n in range(5)]


def flip(path, at):
    path.chmod(0o600)
    with open(path, 'r+b') as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 0x55]))


def catalog_of(keep):
    status = keep.json('status', '--all', code=(popkeep.DONE, popkeep.PARTLY))
    return (keep.json('search').lines,
            [popkeep.sums(line) for line in status.of_type('account')])


def check_rebuilt(keep):
    before = catalog_of(keep)
    keep.run('rebuild')
    equal(catalog_of(keep), before, 'what rebuild makes')
    equal(keep.json('verify', '--full').summary['damaged'], 0, 'damage')


def check_salvaged(keep, result, total):
    """The lost messages by their digests."""
    lost = {line['digest'] for line in result.of_type('lost')}
    summary = result.summary
    equal((summary['damaged'], summary['lost']), (1, len(lost)), 'sums of salvage')
    check(0 < len(lost) < total, f'some are lost: {len(lost)}')
    for line in result.of_type('lost'):
        equal(line['accounts'], ['anna'], 'accounts')
        check(line['why'] and line['archived'], f'{line}')
    account = keep.status('anna')
    check_sums(account)
    equal((account['archived'], account['pending']), (total - len(lost), len(lost)), 'status')
    equal(keep.json('verify', '--full').summary['damaged'], 0, 'damage afterwards')
    equal(len(keep.messages()), total - len(lost), 'messages left')
    return lost


def salvage_and_fetch_again(folder, seal):
    with a_dovecot(folder, {'anna': MAIL}) as server:
        keep = Keep(folder)
        keep.account('anna', server.plain)
        keep.fetch()
        if seal:
            keep.run('seal', '--frame-size', '1M')
        segment, = sealed_segments(keep) if seal else open_segments(keep)
        flip(segment, segment.stat().st_size // 3)
        keep.verify(code=popkeep.DAMAGED)
        dry = keep.json('salvage', '-n', code=popkeep.PARTLY)
        equal(len(keep.messages()), len(MAIL), 'messages after a dry run')
        result = keep.json('salvage', code=popkeep.PARTLY)
        equal(len(dry.of_type('lost')), len(result.of_type('lost')), 'what was said before')
        lost = check_salvaged(keep, result, len(MAIL))
        kept_aside, = (keep.archive / 'segments').glob('*.damaged')
        equal(kept_aside.name[:6], segment.name[:6], 'the damaged file')
        check(not segment.exists(), 'its old name is gone')
        check_rebuilt(keep)
        line = keep.fetch_account('anna')
        equal((line['new'], line['archived'], line['pending']), (len(lost), len(MAIL), 0),
              'what is fetched again')
        check_kept(keep, MAIL)
        for message in keep.messages():
            equal(client.digest(keep.raw(message['id'])), message['digest'], 'bytes')
        check_rebuilt(keep)
        keep.run('seal')
        check_rebuilt(keep)
        equal(keep.json('salvage').summary['damaged'], 0, 'nothing is damaged any more')


@case
def lost_messages_of_an_open_segment_are_fetched_again(folder):
    salvage_and_fetch_again(folder, seal=False)


@case
def lost_messages_of_a_sealed_segment_are_fetched_again(folder):
    salvage_and_fetch_again(folder, seal=True)


@case
def what_the_server_lists_no_more_has_vanished(folder):
    with scripted.Server(MAIL[:20]) as server:
        keep = Keep(folder)
        keep.account('anna', server.port, timeout='10s')
        keep.fetch()
        segment, = open_segments(keep)
        flip(segment, 40)
        keep.json('salvage', code=popkeep.PARTLY)
        del server.messages[:5]
        keep.fetch(code=None)
    account = keep.status('anna')
    check_sums(account)
    equal((account['archived'], account['pending'], account['vanished']), (15, 0, 5), 'sums')
    check_rebuilt(keep)


@case
def without_damage_nothing_is_changed(folder):
    with scripted.Server(MAIL[:5]) as server:
        keep = Keep(folder)
        keep.account('anna', server.port, timeout='10s')
        keep.fetch()
    before = [p.read_bytes() for p in open_segments(keep)]
    result = keep.json('salvage')
    equal((result.summary['segments'], result.summary['damaged']), (1, 0), 'summary')
    equal([p.read_bytes() for p in open_segments(keep)] == before, True, 'the segment')
    keep.run('salvage', '7', code=popkeep.NOTHING)
    keep.run('salvage', 'x', code=popkeep.USAGE)


@case
def a_missing_segment_is_given_up_only_when_it_is_named(folder):
    with scripted.Server(MAIL[:5]) as server:
        keep = Keep(folder)
        keep.account('anna', server.port, timeout='10s')
        keep.fetch()
        keep.run('seal')
        segment, = sealed_segments(keep)
        segment.unlink()
        result = keep.json('salvage', code=popkeep.DAMAGED)
        equal((result.summary['absent'], result.summary['lost']), (5, 0), 'without its number')
        result = keep.json('salvage', str(int(segment.name[:6])), code=popkeep.PARTLY)
        equal(result.summary['lost'], 5, 'with its number')
        equal(keep.fetch_account('anna')['new'], 5, 'fetched again')
    check_kept(keep, MAIL[:5])
    check_rebuilt(keep)


if __name__ == '__main__':
    main()
