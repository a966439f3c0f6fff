"""Who seals, repacks or copies is killed, or its calls fail, at every system call that changes a
file; disks that are full, and calls that do half of what they were asked."""
import os
import pathlib
import shutil
import subprocess
import tempfile

from driving import QUIET, RECORDER, Broken, check, fast_folder, rebuild, told
from failing import CALLS, none_breaks, perform
from tap import MissingServer, case, check as expect, comment, main

SEAL, REPACK, COPY = ('seal', 200), ('repack', 220), ('copy',)
SEALED_TWICE = [('work', 8, 12), ('seal', 210)]
READS = ['pread64']
SOME = 16


def prepared(folder, *jobs):
    """An archive with something to seal, or what these jobs make of it, and what is acknowledged."""
    base = folder / 'base'
    texts = []
    for job in [('work', 0, 8), *jobs]:
        done = perform(job, base)
        expect(done.returncode == 0, f'{job}: {done.text[-500:]} {done.errors[-500:]}')
        texts.append(done.text)
    return base, told(''.join(texts))


@case
def a_seal_that_is_killed_at_any_call_loses_nothing(folder):
    none_breaks(folder, 'signal=KILL', *prepared(folder), job=SEAL, quick=2 * SOME)


@case
def a_seal_on_a_full_disk_loses_nothing(folder):
    none_breaks(folder, 'error=ENOSPC', *prepared(folder), job=SEAL, quick=SOME)


@case
def a_seal_with_io_errors_loses_nothing(folder):
    none_breaks(folder, 'error=EIO', *prepared(folder), job=SEAL, names=CALLS + READS, quick=SOME)


@case
def a_repack_that_is_killed_at_any_call_loses_nothing(folder):
    none_breaks(folder, 'signal=KILL', *prepared(folder, SEAL, *SEALED_TWICE), job=REPACK, quick=SOME)


@case
def a_repack_with_io_errors_loses_nothing(folder):
    none_breaks(folder, 'error=EIO', *prepared(folder, SEAL, *SEALED_TWICE), job=REPACK, names=CALLS + READS, quick=SOME)


@case
def a_copy_that_is_killed_at_any_call_goes_on_later(folder):
    none_breaks(folder, 'signal=KILL', *prepared(folder, SEAL), job=COPY, quick=SOME)


@case
def a_copy_with_io_errors_goes_on_later(folder):
    none_breaks(folder, 'error=EIO', *prepared(folder, SEAL), job=COPY, names=CALLS + READS, quick=SOME)


@case
def a_copy_to_a_full_disk_goes_on_later(folder):
    none_breaks(folder, 'error=ENOSPC', *prepared(folder, SEAL), job=COPY, quick=SOME)


@case
def reads_and_writes_that_do_half_of_what_they_were_asked_are_gone_on_with(folder):
    archive = folder / 'archive'
    env = {**QUIET, 'LD_PRELOAD': RECORDER, 'CRASH_SHORT': '1'}
    texts = []
    for job in [('work', 0, 8), SEAL, *SEALED_TWICE, REPACK, COPY]:
        done = perform(job, archive, env=env)
        expect(done.returncode == 0, f'{job}: {done.text[-500:]} {done.errors[-500:]}')
        texts.append(done.text)
    acknowledged = told(''.join(texts))
    try:
        check(archive, acknowledged, acknowledged)
        copy = archive.parent / 'copy'
        expect(rebuild(copy).returncode == 0, 'the copy cannot be rebuilt')
        check(copy, acknowledged, acknowledged, strays=True)
    except Broken as e:
        raise AssertionError(str(e)) from e


# ---- A disk that is full -----------------------------------------------------------------------

class SmallDisk:
    """A tmpfs of so many KiB."""

    def __init__(self, size_kib):
        self.path = pathlib.Path(tempfile.mkdtemp(prefix='popkeep-full-'))
        if os.getuid() != 0 or subprocess.run(['mount', '-t', 'tmpfs', '-o', f'size={size_kib}k,mode=700', 'tmpfs',
                                               str(self.path)], capture_output=True).returncode != 0:
            self.path.rmdir()
            raise MissingServer('mounting a tmpfs takes root')

    def __enter__(self):
        return self.path

    def __exit__(self, *unused):
        subprocess.run(['umount', '-l', str(self.path)], check=True)
        self.path.rmdir()


def used_kib(folder):
    return sum(-(-path.stat().st_size // 4096) * 4 for path in folder.rglob('*'))


def goes_on_when_there_is_room(folder, job, base, acknowledged, size_kib):
    """The job with so little room, and again where there is enough; its first exit status."""
    with SmallDisk(size_kib) as disk:
        archive = disk / 'archive'
        shutil.copytree(base, archive)
        done = perform(job, archive)
        expect(done.returncode >= 0, f'{job} died: {done.errors[-1000:]}')
        roomy = pathlib.Path(tempfile.mkdtemp(prefix='popkeep-room-', dir=fast_folder()))
        try:
            shutil.copytree(disk, roomy, dirs_exist_ok=True)
            again = perform(job, roomy / 'archive')
            expect(again.returncode == 0, f'{size_kib} KiB, then again: {again.text[-500:]}')
            acknowledged = acknowledged | told(done.text) | told(again.text)
            check(roomy / 'archive', acknowledged, acknowledged | told(perform(('work', 200, 201), folder / 'more').text))
        except Broken as e:
            raise AssertionError(f'{size_kib} KiB, {done.returncode}: {e}') from e
        finally:
            shutil.rmtree(roomy)
    return done.returncode


def fills(folder, job, *jobs):
    base, acknowledged = prepared(folder, *jobs)
    used = used_kib(base)
    endings = [goes_on_when_there_is_room(folder, job, base, acknowledged, used + more)
               for more in (64, 400, 900, 1500, 2600, 8000)]
    comment(f'{job[0]} ended with {endings}')
    expect(endings[-1] == 0, 'there was never enough room')
    expect(74 in endings, 'the disk was never full')


@case
def a_seal_on_a_small_disk_goes_on_when_there_is_room(folder):
    fills(folder, SEAL)


@case
def a_copy_on_a_small_disk_goes_on_when_there_is_room(folder):
    fills(folder, COPY, SEAL)


if __name__ == '__main__':
    main()
