"""Builds every state that a power cut can leave of a recorded run, as far as they can be sampled, and
checks each."""
import concurrent.futures
import hashlib
import itertools
import os
import pathlib
import shutil
import tempfile

from driving import (ALL, Broken, GROUPS, QUIET, RECORDER, check, fast_folder, rebuild, run, told,
    told_in_all, work)
import states
from tap import check as expect, comment

QUICK_STATES = 90


class Records(list):
    """Of several runs; bounds: how many there were after each."""
    bounds = []


def record(folder, *runs, stop=0, stopped=0):
    """The log of these runs of the driver on one archive, folder/root/new/archive; its copies go to
    folder/root/new/copy. stop: the run of number `stopped` ends after so many records."""
    root = folder / 'root'
    root.mkdir()
    archive = root / 'new' / 'archive'   # a folder above it is new, too
    log = folder / 'log'
    env = {**QUIET, 'LD_PRELOAD': RECORDER, 'CRASH_LOG': str(log)}
    texts, bounds = [], []
    for n, args in enumerate(runs):
        stops = stop and n == stopped
        more = [archive.parent / 'copy'] if args[0] == 'copy' else args[1:]
        done = run(args[0], archive, *more, env={**env, 'CRASH_STOP': str(stop)} if stops else env)
        expect(done.returncode == 0 or stops, f'the run itself failed: {done.text[-500:]} {done.errors[-500:]}')
        texts.append(done.text)
        bounds.append(len(states.read_log(log)))
    records = Records(states.read_log(log))
    records.bounds = bounds
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
                yield files, list(disk.acknowledged), f'record {n} of {len(records)}, way {way}'


def judge_copy(copy, files, texts, possible):
    """What was acknowledged when it began last is in the copy; databases are not."""
    done = [n for n, text in enumerate(texts) if text.startswith('copied ')]
    if 'new/copy/POPKEEP' not in files:
        if done:
            raise Broken('the copy is gone')
        return
    again = rebuild(copy)
    if again.returncode != 0:
        raise Broken(f'the copy cannot be rebuilt: {again.text[-300:]} {again.errors[-1000:]}')
    try:
        check(copy, told_in_all(texts[:done[-1]] if done else []), possible, strays=True)
    except Broken as e:
        raise Broken(f'in the copy: {e}')


def judge(files, texts, possible, where):
    """Builds the state and checks it; what is wrong, or None."""
    acknowledged = told_in_all(texts)
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
        judge_copy(archive.parent / 'copy', files, texts, possible)
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


def points(records, states_wanted, first=0):
    """All points behind the first so many, or those after an acknowledgement and before a sync and
    some between."""
    if ALL:
        return set(range(first + 1, len(records) + 1))
    telling = [n for n, record in enumerate(records, 1) if record[0] in 'AR' and n > first]
    syncs = [n - 1 for n, record in enumerate(records, 1) if record[0] == 'S' and n > first]
    step = max(1, (len(records) - first) // 7)
    chosen = telling[::4] + syncs[::5] + list(range(first + 1, len(records), step))
    return set(sorted(chosen)[:: max(1, len(chosen) * 7 // states_wanted)]) | {len(records)}


def none_breaks(folder, *runs, wanted=QUICK_STATES, behind=0):
    """behind: so many runs are only what the others find."""
    records, root, possible = record(folder, *runs)
    first = records.bounds[behind - 1] if behind else 0
    tried, wrong = try_states(cuts(records, root, points(records, wanted, first)), possible)
    comment(f'{tried} states of {len(records) - first} records')
    expect(not wrong, f'{len(wrong)} of {tried} states:\n' + '\n\n'.join(wrong[:8]))


# ---- The test must see what it looks for ------------------------------------------------------

def inodes(records, kind, ends):
    return {r[3] for r in records if r[0] == kind and r[2].endswith(ends)}


def is_seen(folder, plant, *runs, within=0, last=0):
    """What `plant` makes of the records breaks a promise at some acknowledgement, or within so many
    records from where they are changed, or at the last so many."""
    records, root, possible = record(folder, *(runs or [('work', 0, GROUPS)]))
    planted = plant(records)
    expect(planted != list(records), 'nothing was planted')
    where = {n for n, one in enumerate(planted, 1) if one[0] == 'A'}
    if within:
        changed = next(n for n, one in enumerate(planted) if one != records[n])
        where = set(range(changed, changed + within))
    if last:
        where = set(range(len(planted) + 1 - last, len(planted) + 1))
    tried, wrong = try_states(cuts(planted, root, where), possible, first_only=True)
    expect(wrong, f'not seen in {tried} states')
    comment(f'state {tried}: {wrong[0][:150]!r}')


def without_syncs_of(kind, ends):
    def plant(records):
        gone = inodes(records, kind, ends)
        return [one for one in records if not (one[0] == 'S' and one[1] in gone)]
    return plant
