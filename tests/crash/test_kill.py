"""A driver that is killed, or whose calls fail, at every system call that changes a file."""
import shutil

from driving import told, work
from failing import none_breaks
from tap import case, check as expect, main


@case
def whoever_is_killed_at_any_call_loses_nothing_acknowledged(folder):
    none_breaks(folder, 'signal=KILL')


@case
def a_call_that_fails_with_an_io_error_loses_nothing_acknowledged(folder):
    none_breaks(folder, 'error=EIO')


@case
def a_full_disk_at_any_call_loses_nothing_acknowledged(folder):
    none_breaks(folder, 'error=ENOSPC')


def left_behind(folder):
    """An archive whose catalog lost its last transactions, with torn ends, and what it holds."""
    base = folder / 'base'
    begun = work(base, 0, 3)
    shutil.copy(base / 'catalog.db', folder / 'catalog.db')
    gone_on = work(base)
    expect(begun.returncode == gone_on.returncode == 0, gone_on.text[-300:])
    for path in [*(base / 'segments').iterdir(), max((base / 'ledger').iterdir())]:
        with path.open('ab') as file:
            file.write(b'v=1 event=torn')
    shutil.copy(folder / 'catalog.db', base / 'catalog.db')
    return base, told(gone_on.text)


@case
def whoever_is_killed_while_mending_loses_nothing_acknowledged(folder):
    none_breaks(folder, 'signal=KILL', *left_behind(folder))


@case
def a_full_disk_while_mending_loses_nothing_acknowledged(folder):
    none_breaks(folder, 'error=ENOSPC', *left_behind(folder))


if __name__ == '__main__':
    main()
