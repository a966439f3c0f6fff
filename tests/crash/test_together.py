"""Several processes on one archive: two commit, one is killed again and again, one rebuilds the
catalog, one reads."""
import random
import signal
import subprocess
import tempfile
import pathlib
import shutil
import time

from driving import ALL, DRIVER, check, run, told, work
from tap import case, check as expect, comment, main

ROUNDS = 12 if ALL else 1
GROUPS_EACH = 150


def start(*args):
    return subprocess.Popen([DRIVER, *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def kill_again_and_again(archive, writers, dice, beside):
    """Until the writers are done; what was acknowledged in between, and how often it was killed."""
    kills, known = 0, told('')
    while any(writer.poll() is None for writer in writers):
        victim = start('work', archive, 20, 20 + GROUPS_EACH)
        time.sleep(dice.uniform(0.002, 0.1))   # not a wait for anything: the moment is what is tried
        if victim.poll() is None:
            victim.send_signal(signal.SIGKILL)
            kills += 1
        known |= told(victim.communicate()[0].decode('ascii', 'replace'))
        if beside:
            done = run(beside, archive)
            expect(done.returncode == 0, f'{beside} ended with {done.returncode}: {done.text[-500:]} {done.errors[-1000:]}')
    return known, kills


def one_round(seed, beside):
    folder = pathlib.Path(tempfile.mkdtemp(prefix='popkeep-together-'))   # a disk: syncs take their time
    archive = folder / 'archive'
    acknowledged = told(work(archive).text)
    writers = [start('work', archive, n * GROUPS_EACH + 20, (n + 1) * GROUPS_EACH + 20) for n in (1, 2)]
    try:
        more, kills = kill_again_and_again(archive, writers, random.Random(seed), beside)
        acknowledged |= more
        for writer in writers:
            text = writer.communicate()[0].decode('ascii', 'replace')
            expect(writer.returncode == 0, f'a writer ended with {writer.returncode}: {text[-600:]}')
            acknowledged |= told(text)
        last = work(archive, 20, 20 + GROUPS_EACH)
        expect(last.returncode == 0, f'going on: {last.text[-600:]}')
        acknowledged |= told(last.text)
        content = check(archive, acknowledged, acknowledged)
        return kills, len(content.messages)
    finally:
        for writer in writers:
            writer.kill()
        shutil.rmtree(folder, ignore_errors=True)


def rounds(beside=None):
    for seed in range(ROUNDS):
        kills, messages = one_round(seed, beside)
        comment(f'{kills} kills, {messages} messages')


@case
def two_commit_while_a_third_is_killed_again_and_again(folder):
    rounds()


@case
def a_catalog_is_rebuilt_while_others_commit_and_die(folder):
    rounds('rebuild')


@case
def messages_are_read_while_others_commit_and_die(folder):
    rounds('read')


if __name__ == '__main__':
    main()
