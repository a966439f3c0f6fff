"""Sealing, repacking and copying: every state that a power cut can leave, as far as they can be
sampled; whoever is killed, and the faults that these tests must see."""
import re
import shutil

from cutting import cuts, inodes, is_seen, none_breaks, record, try_states, without_syncs_of
from driving import ALL
from tap import case, check as expect, comment, main

FILLED = ('work', 0, 8)
SEALED = [FILLED, ('seal', 200)]
# Two generations of sealed segments, and something new in an open one.
TWICE = [FILLED, ('seal', 200), ('work', 8, 12), ('seal', 210)]
COPIED = [FILLED, ('copy',), ('work', 8, 10), ('seal', 200), ('copy',), ('repack', 220), ('copy',)]


@case
def a_power_cut_while_sealing_loses_nothing_acknowledged(folder):
    none_breaks(folder, *SEALED, wanted=50, behind=1)


@case
def a_power_cut_while_repacking_loses_nothing_acknowledged(folder):
    none_breaks(folder, *TWICE, ('repack', 220), wanted=40, behind=4)


@case
def a_power_cut_while_copying_leaves_a_copy_of_this_time_or_the_last(folder):
    none_breaks(folder, *COPIED, behind=1)


def killed(folder, first, job, after, wanted):
    """job is killed at some of its records, then `after` runs, and then the power fails: at its end,
    and at some points in it."""
    whole = folder / 'whole'
    whole.mkdir()
    records, _, possible = record(whole, *first, job)
    length = records.bounds[-1] - records.bounds[-2]
    shutil.rmtree(whole)
    tried, wrong = 0, []
    for stop in range(1, length, 1 if ALL else max(1, length // wanted)):
        part = folder / str(stop)
        part.mkdir()
        some, root, more = record(part, *first, job, *after, stop=stop, stopped=len(first))
        begin = some.bounds[len(first)]
        chosen = set(range(begin + 1, len(some), 5 if ALL else max(1, (len(some) - begin) // 2))) | {len(some)}
        n, found = try_states(cuts(some, root, chosen), possible | more)
        tried, wrong = tried + n, wrong + [f'killed at {stop}: {one}' for one in found]
        shutil.rmtree(part)
        if len(wrong) > 8:
            break
    comment(f'{tried} states')
    expect(not wrong, f'{len(wrong)} of {tried} states:\n' + '\n\n'.join(wrong[:8]))


@case
def a_power_cut_after_a_killed_seal_and_another_one_loses_nothing_acknowledged(folder):
    killed(folder, [FILLED], ('seal', 200), [('seal', 210)], 3)


@case
def a_power_cut_after_a_killed_repack_and_a_rebuild_loses_nothing_acknowledged(folder):
    killed(folder, TWICE, ('repack', 220), [('rebuild',)], 3)


@case
def a_copy_goes_on_where_a_killed_one_stopped(folder):
    killed(folder, SEALED, ('copy',), [('work', 8, 9), ('copy',)], 3)


# ---- The test must see what it looks for ------------------------------------------------------

def name_of(records, at):
    """The new name of a rename, or the removed one."""
    return records[at][4] if records[at][0] == 'R' else records[at][2]


def place_of(records, kind, pattern, first=0):
    return next(n for n in range(first, len(records)) if records[n][0] == kind and re.search(pattern, name_of(records, n)))


def ledger_records(records):
    """Of the ledger's files, those that begin later included."""
    logs = inodes(records, 'O', '.log')
    return {n for n, one in enumerate(records) if one[0] in 'WTS' and one[1] in logs}


def sealing_seen(folder, plant):
    is_seen(folder, plant, *SEALED, within=80)


@case
def a_sealed_file_that_was_not_synced_is_seen(folder):
    sealing_seen(folder, without_syncs_of('O', 'seal.tmp'))


@case
def a_missing_sync_of_the_folder_after_the_sealed_file_got_its_name_is_seen(folder):
    def plant(records):
        at = place_of(records, 'R', r'^\d+\.tar\.zst$')
        gone = next(n for n in range(at, len(records)) if records[n][0] == 'S' and records[n][1] == records[at][1])
        return records[:gone] + records[gone + 1:]
    sealing_seen(folder, plant)


@case
def a_seal_line_before_the_file_has_its_name_is_seen(folder):
    def plant(records):
        at = place_of(records, 'R', r'^\d+\.tar\.zst$')
        durable = next(n for n in sorted(ledger_records(records)) if n > at and records[n][0] == 'S')
        return records[:at] + records[at + 2:durable + 1] + records[at:at + 2] + records[durable + 1:]
    sealing_seen(folder, plant)


@case
def an_open_segment_that_is_removed_before_the_seal_line_is_durable_is_seen(folder):
    def plant(records):
        at = place_of(records, 'R', r'^\d+\.tar\.zst$')
        removed = place_of(records, 'U', r'\.open\.tar\.zst$', at)
        one = records[removed]
        return records[:at + 2] + [one] + records[at + 2:removed] + records[removed + 1:]
    sealing_seen(folder, plant)


@case
def a_catalog_that_is_written_before_the_ledger_is_seen(folder):
    def plant(records):
        at = place_of(records, 'R', r'^\d+\.tar\.zst$')
        removed = place_of(records, 'U', r'\.open\.tar\.zst$', at)
        late = [n for n in sorted(ledger_records(records)) if at < n < removed]
        held = set(late)
        return (records[:at] + [records[n] for n in range(at, removed) if n not in held] + [records[n] for n in late]
                + records[removed:])
    sealing_seen(folder, plant)


def told_early(word, pattern):
    """The first acknowledgement of this kind stands before the last sync of files with such a name
    that came before it."""
    def plant(records):
        names = {r[3] for r in records if r[0] in 'OM' and re.search(pattern, r[2])}
        at = next(n for n, one in enumerate(records) if one[0] == 'A' and one[-1].startswith(word))
        sync = max(n for n in range(at) if records[n][0] == 'S' and records[n][1] in names)
        return records[:sync] + [records[at]] + records[sync:at] + records[at + 1:]
    return plant


@case
def a_seal_that_is_told_before_its_line_is_durable_is_seen(folder):
    sealing_seen(folder, told_early(b'sealed ', r'\.log$'))


def copying_seen(folder, plant):
    is_seen(folder, plant, *SEALED, ('copy',), last=8)


def without_syncs_behind(kind, pattern):
    """Of files of the copy: those that were made by the last run."""
    def plant(records):
        first = records.bounds[-2]
        gone = {r[3] for r in records[first:] if r[0] == kind and re.search(pattern, r[2])}
        return [one for n, one in enumerate(records) if n < first or one[0] != 'S' or one[1] not in gone]
    return plant


@case
def a_copy_whose_files_were_not_synced_is_seen(folder):
    copying_seen(folder, without_syncs_behind('O', r'.'))


@case
def a_copy_whose_folders_were_not_synced_is_seen(folder):
    copying_seen(folder, without_syncs_behind('M', r'.'))


@case
def a_copy_that_is_told_before_its_last_sync_is_seen(folder):
    copying_seen(folder, told_early(b'copied ', r'^copy$'))


if __name__ == '__main__':
    main()
