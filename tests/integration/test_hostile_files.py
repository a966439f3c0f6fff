"""Files that somebody made to be in the way: what reads them ends, and soon."""
import io
import os
import tarfile

import fixture
import tap
from popkeep import DAMAGED
from tap import case, check

MAIL = [b'Subject: one\r\n\r\none\r\n']


@case
def a_tar_with_one_name_very_often_is_verified_in_time(folder):
    with tarfile.open(folder / 'same.tar', 'w') as tar:
        for _ in range(20000):
            entry = tarfile.TarInfo('e/a.eml')
            entry.size = 2
            tar.addfile(entry, io.BytesIO(b'a\n'))
    keep = fixture.fetched_archive(folder, MAIL)
    keep.run('verify', folder / 'same.tar', code=DAMAGED, timeout=30)


@case
def a_fifo_in_place_of_a_manifest_holds_nobody_up(folder):
    keep = fixture.fetched_archive(folder, MAIL)
    (folder / 'out').mkdir()
    os.mkfifo(folder / 'out' / 'manifest.jsonl')
    keep.run('verify', folder / 'out', code=DAMAGED, timeout=10)
    (folder / 'x.mbox').write_bytes(b'From a Mon Jan  1 00:00:00 2024\nSubject: x\n\nx\n\n')
    os.mkfifo(folder / 'x.mbox.manifest.jsonl')
    result = keep.run('import', '--account', 'b', folder / 'x.mbox', timeout=10)
    check(b'1 found = 1 kept' in result.out, result)


if __name__ == '__main__':
    tap.main()
