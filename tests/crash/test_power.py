"""Every state that a power cut can leave, as far as they can be sampled."""
import concurrent.futures
import hashlib
import itertools
import os
import shutil
import tempfile
import pathlib

from driving import ALL, Broken, GROUPS, QUIET, RECORDER, check, fast_folder, run, told, told_in_all, work
import states
from tap import case, check as expect, comment, main

QUICK_STATES = 90


def record(folder, *runs, stop=0):
    """The log of these runs of the driver on one archive, folder/root/new/archive. stop: the first
    run ends after so many records."""
    root = folder / 'root'
    root.mkdir()
    archive = root / 'new' / 'archive'   # a folder above it is new, too
    log = folder / 'log'
    env = {**QUIET, 'LD_PRELOAD': RECORDER, 'CRASH_LOG': str(log)}
    texts = []
    for n, args in enumerate(runs):
        stops = stop and n == 0
        done = run(args[0], archive, *args[1:], env={**env, 'CRASH_STOP': str(stop)} if stops else env)
        expect(done.returncode == 0 or stops, f'the run itself failed: {done.text[-500:]} {done.errors[-500:]}')
        texts.append(done.text)
    records = states.read_log(log)
    log.unlink()
    return records, root.stat().st_ino, told_in_all(texts)


def survivals(seed):
    """In which ways each point is cut."""
    yield states.Survival(seed, names=False, files=states.nothing)
    yield states.Survival(seed, names=True, files=states.everything)
    yield states.Survival(seed, names=True, files=states.nothing)
    yield states.Survival(seed, names=False, files=states.everything)
    yield states.Survival(seed, names=True, files=states.zeros)
    yield states.Survival(seed, names=True)
    yield states.Survival(seed, names=True, files=states.any_blocks)
    yield states.Survival(seed, names=True, files=states.some_first)
    yield states.Survival(seed)


def cuts(records, root, chosen=None):
    """(files, acknowledged, where) for each different state, at each record or the chosen ones."""
    disk = states.Disk(root)
    seen = set()
    for n, record in enumerate(records, 1):
        disk.apply(record)
        if chosen is not None and n not in chosen:
            continue
        for way, survival in enumerate(survivals(n)):
            files = states.tree(disk.root, survival)
            told_now = ''.join(disk.acknowledged)
            name = hashlib.sha256(repr(sorted((path, content and hashlib.sha256(content).digest())
                for path, content in files.items())).encode() + told_now.encode()).digest()
            if name not in seen:
                seen.add(name)
                yield files, told_in_all(disk.acknowledged), f'record {n} of {len(records)}, way {way}'


def judge(files, acknowledged, possible, where):
    """Builds the state and checks it; what is wrong, or None."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix='popkeep-cut-', dir=fast_folder()))
    archive = folder / 'root' / 'new' / 'archive'
    try:
        states.build(files, folder / 'root')
        if 'new/archive/POPKEEP' not in files:
            if acknowledged:
                raise Broken('the archive is gone')
            done = work(archive, 0, 2)   # making it begins again
            if done.returncode != 0:
                raise Broken(f'cannot be made again: {done.text[-300:]}')
            acknowledged = told(done.text)
        check(archive, acknowledged, possible)
        return None
    except Broken as e:
        return f'{where}: {e}'
    finally:
        if not os.environ.get('KEEP'):
            shutil.rmtree(folder, ignore_errors=True)


def try_states(all_cuts, possible, first_only=False):
    """How many states were tried, and what was wrong."""
    tried, wrong = 0, []
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        cuts_left = iter(all_cuts)
        while batch := list(itertools.islice(cuts_left, 8 if first_only else 64)):
            found = pool.map(lambda cut: judge(cut[0], cut[1], possible, cut[2]), batch)
            wrong += [one for one in found if one]
            tried += len(batch)
            if wrong and (first_only or len(wrong) > 20):
                break
    return tried, wrong


def points(records, states_wanted):
    """All points, or those after an acknowledgement and before a sync and some between."""
    if ALL:
        return None
    telling = [n for n, record in enumerate(records, 1) if record[0] in 'AR']
    syncs = [n - 1 for n, record in enumerate(records, 1) if record[0] == 'S']
    step = max(1, len(records) // 7)
    chosen = telling[::4] + syncs[::5] + list(range(1, len(records), step))
    return set(sorted(chosen)[:: max(1, len(chosen) * 7 // states_wanted)]) | {len(records)}


def none_breaks(folder, *runs):
    records, root, possible = record(folder, *runs)
    tried, wrong = try_states(cuts(records, root, points(records, QUICK_STATES)), possible)
    comment(f'{tried} states of {len(records)} records')
    expect(not wrong, f'{len(wrong)} of {tried} states:\n' + '\n\n'.join(wrong[:8]))


@case
def a_power_cut_while_committing_loses_nothing_acknowledged(folder):
    none_breaks(folder, ('work', 0, GROUPS))


@case
def a_power_cut_while_going_on_and_rebuilding_loses_nothing_acknowledged(folder):
    none_breaks(folder, ('work', 0, 4), ('check', 1), ('work', 4, 9))


@case
def a_power_cut_after_a_kill_and_a_rebuild_loses_nothing_acknowledged(folder):
    whole = folder / 'whole'
    whole.mkdir()
    records, _, possible = record(whole, ('work', 0, 6))
    made = next(n for n, r in enumerate(records) if r[0] == 'R') + 2
    tried, wrong = 0, []
    for stop in range(made, len(records), 1 if ALL else len(records) // 20):
        part = folder / str(stop)
        part.mkdir()
        some, root, _ = record(part, ('work', 0, 6), ('rebuild',), stop=stop)
        n, found = try_states(cuts(some, root, {len(some)}), possible)
        tried, wrong = tried + n, wrong + [f'killed at {stop}: {one}' for one in found]
        shutil.rmtree(part)
    comment(f'{tried} states')
    expect(not wrong, f'{len(wrong)} of {tried} states:\n' + '\n\n'.join(wrong[:8]))


@case
def a_power_cut_while_a_kill_is_being_mended_loses_nothing_acknowledged(folder):
    whole = folder / 'whole'
    whole.mkdir()
    records, _, possible = record(whole, ('work', 0, 6))
    made = next(n for n, r in enumerate(records) if r[0] == 'R') + 2
    tried, wrong = 0, []
    for stop in range(made, len(records), 5 if ALL else len(records) // 6):
        part = folder / str(stop)
        part.mkdir()
        some, root, more = record(part, ('work', 0, 6), ('work', 0, 2), stop=stop)
        # The second run replays before anything else.
        end = len(some) if ALL else min(len(some), stop + 40)
        n, found = try_states(cuts(some, root, set(range(stop + 1, end, 3 if ALL else 13))), possible | more)
        tried, wrong = tried + n, wrong + [f'killed at {stop}: {one}' for one in found]
        shutil.rmtree(part)
    comment(f'{tried} states')
    expect(not wrong, f'{len(wrong)} of {tried} states:\n' + '\n\n'.join(wrong[:8]))


# ---- The test must see what it looks for ------------------------------------------------------

def inodes(records, kind, ends):
    return {r[3] for r in records if r[0] == kind and r[2].endswith(ends)}


def is_seen(folder, plant):
    """What `plant` makes of the records breaks a promise at some acknowledgement."""
    records, root, possible = record(folder, ('work', 0, GROUPS))
    planted = plant(records)
    expect(planted != records, 'nothing was planted')
    telling = {n for n, one in enumerate(planted, 1) if one[0] == 'A'}
    tried, wrong = try_states(cuts(planted, root, telling), possible, first_only=True)
    expect(wrong, f'not seen in {tried} states')


def without_syncs_of(kind, ends):
    def plant(records):
        gone = inodes(records, kind, ends)
        return [one for one in records if not (one[0] == 'S' and one[1] in gone)]
    return plant


@case
def a_missing_sync_of_segments_is_seen(folder):
    is_seen(folder, without_syncs_of('O', '.tar.zst'))


@case
def a_missing_sync_of_the_ledger_is_seen(folder):
    is_seen(folder, without_syncs_of('O', '.log'))


@case
def a_missing_sync_of_the_segments_folder_is_seen(folder):
    is_seen(folder, without_syncs_of('M', 'segments'))


@case
def a_missing_sync_of_the_ledgers_folder_is_seen(folder):
    is_seen(folder, without_syncs_of('M', 'ledger'))


@case
def a_missing_sync_of_a_folder_above_is_seen(folder):
    is_seen(folder, without_syncs_of('M', 'new'))


@case
def an_acknowledgement_before_the_ledger_is_durable_is_seen(folder):
    def plant(records):
        logs = inodes(records, 'O', '.log')
        out = []
        for one in records:
            if one[0] == 'A':
                place = max(n for n, before in enumerate(out) if before[0] == 'S' and before[1] in logs)
                out.insert(place, one)
            else:
                out.append(one)
        return out
    is_seen(folder, plant)


if __name__ == '__main__':
    main()
