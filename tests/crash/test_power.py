"""Every state that a power cut can leave, as far as they can be sampled."""
import shutil

from cutting import cuts, inodes, is_seen, none_breaks, record, try_states, without_syncs_of
from driving import ALL, GROUPS
from tap import case, check as expect, comment, main


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
