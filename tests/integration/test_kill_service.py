"""The service is killed again and again while it fetches from a real server and seals: nothing is
lost, nothing is there twice, and the archive is sound each time.

POPKEEP_KILL_SECONDS=n goes on for so long (default 25).
"""
import os
import random
import re
import signal
import time

import client
import mailgen
import sealing
import tap
from fixture import a_dovecot
from popkeep import Popkeep
from service import Service
from tap import case, check, equal, main

SECONDS = float(os.environ.get('POPKEEP_KILL_SECONDS', '25'))
SEED = os.environ.get('POPKEEP_SEED', '1')
SHARED = [mailgen.attachment_of(n, 150_000) for n in range(4)]


def new_mail(round_):
    """Some of it with attachments that came before."""
    mail = mailgen.mailbox(f'kill {round_}', 25, size=4000)
    body = SHARED[round_ % len(SHARED)].split(b'\r\n\r\n', 1)
    return mail + [b'X-Round: %d.%d\r\n' % (round_, n) + b'\r\n\r\n'.join(body) for n in range(4)]


def all_below(pid):
    """A process and what it started, and so on."""
    found = [pid]
    for child in sealing.children(pid):
        found += all_below(child)
    return found


def wait_for_a_moment(service, dice):
    """Any, or one in which a worker is at work, if it comes to that: the moment is what is tried."""
    end = time.monotonic() + dice.uniform(0.1, 2.5)
    if dice.random() < 0.5:
        while time.monotonic() < end and not any(sealing.program(p) == 'popkeep-worker' for p in all_below(service.process.pid)):
            time.sleep(0.005)
        end = min(end, time.monotonic() + dice.uniform(0, 0.2))
    time.sleep(max(0, end - time.monotonic()))


def kill_hard(service, dice):
    """The service alone, all that it started, or one of these; whether a worker was at work."""
    pids = all_below(service.process.pid)
    working = any(sealing.program(p) == 'popkeep-worker' for p in pids)
    victims = dice.choice((pids[:1], pids[1:], [dice.choice(pids)]))
    for pid in victims:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    service.kill()
    # What outlived it ends by itself, or finishes what it was at.
    tap.wait_until(lambda: not any(sealing.program(p) in ('popkeepd', 'popkeep-worker') for p in pids[1:]), 60,
                   'the end of what the service had started')
    return working


def kept_digests(keep):
    return [m[1] for path in sorted((keep.archive / 'ledger').glob('*.log'))
            for m in re.finditer(r' event=keep [^\n]*\bdigest=([0-9a-f]{64})', path.read_text())]


def check_sound(keep, sent):
    keep.verify()
    digests = [m['digest'] for m in keep.messages()]
    keeps = kept_digests(keep)
    equal(len(digests), len(set(digests)), 'each digest once')
    check(set(digests) <= sent, 'nothing is kept that was not sent')
    equal(len(keeps), len(set(keeps)), 'each keep line once')
    return set(digests)


@case
def a_service_killed_again_and_again_while_it_fetches_and_seals_loses_nothing(folder):
    dice = random.Random(SEED)
    sent = {'anna': new_mail(0), 'bert': new_mail(1)}
    with a_dovecot(folder, sent) as server:
        keep = Popkeep(folder)
        for name in sent:
            keep.account(name, server.plain)
        keep.globals |= {'interval': '10s', 'seal-size': '1M'}
        keep.init()
        kills, working, before, end = 0, 0, set(), time.monotonic() + SECONDS
        while time.monotonic() < end:
            more = new_mail(kills + 2)
            name = dice.choice(list(sent))
            server.deliver(name, more)
            sent[name] = sent[name] + more
            wanted = {client.digest(m) for mail in sent.values() for m in mail}
            service = Service(keep, ready=False).start()
            try:
                wait_for_a_moment(service, dice)
            finally:
                working += kill_hard(service, dice)
            kills += 1
            now = check_sound(keep, wanted)
            check(before <= now, f'{len(before - now)} messages are gone')
            before = now
            if kills % 4 == 0:
                keep.run('repack')
        tap.comment(f'{kills} kills, {working} of them while a worker was at work; {len(before)} of {len(wanted)} messages kept')
        with Service(keep):
            tap.wait_until(lambda: set(keep.digests()) == wanted, 60, 'all mail')
        keep.run('seal')
        equal(check_sound(keep, wanted), wanted, 'what is kept at the end')
        check(sealing.sealed_segments(keep) and not sealing.open_segments(keep), 'all is sealed at the end')
        keep.run('verify', '--full')
        for name, mail in sent.items():
            line = keep.status(name)
            equal((line['listed'], line['archived'], line['pending'], line['refused']), (len(mail), len(mail), 0, 0),
                  f'sums of {name}')


if __name__ == '__main__':
    main()
