"""Files that somebody made to be in the way: what reads them ends, and soon."""
import fcntl
import io
import os
import resource
import tarfile

import fixture
import popkeep
import tap
from popkeep import DAMAGED, PARTLY
from tap import case, check, equal

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


def labelled(number, labels):
    return b'From a Mon Jan  1 00:00:00 2024\nX-Gmail-Labels: %s\nSubject: %d\n\nx\n\n' % (
        labels, number)


def imported(folder, mail):
    (folder / 'in.mbox').write_bytes(mail)
    keep = popkeep.Popkeep(folder)
    keep.init()
    keep.write_config()
    keep.run('import', '--account', 'a', folder / 'in.mbox')
    keep.run('index')
    return keep


def files_of(maildir):
    return sorted(p for p in maildir.rglob('*') if p.is_file() and p.parent.name in ('cur', 'new'))


@case
def folders_that_come_out_as_the_same_in_a_maildir_get_a_message_once(folder):
    keep = imported(folder, labelled(1, b'a.b,a_b,x,INBOX/x'))
    result = keep.run('restore', '--to', f'maildir:{folder}/to')
    check(b'all 2 messages are at the target' in result.out, result)
    equal([p.parent.parent.name for p in files_of(folder / 'to')], ['.a_b', '.x'], 'folders')
    check(b'2 there already' in keep.run('restore', '--to', f'maildir:{folder}/to').out, 'again')


@case
def a_maildir_may_have_more_folders_than_files_may_be_open(folder):
    keep = imported(folder, b''.join(labelled(n, b'f%d' % n) for n in range(280)))
    options = {'preexec_fn': lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))}
    result = keep.run('restore', '--to', f'maildir:{folder}/to', **options)
    check(b'all 280 messages are at the target' in result.out, result)
    equal(len(files_of(folder / 'to')), 280, 'files')


@case
def nothing_is_written_through_links_that_lie_in_a_maildir(folder):
    keep = imported(folder, labelled(1, b'x') + labelled(2, b'y') + labelled(3, b'z'))
    (folder / 'elsewhere').mkdir()
    (folder / 'to' / '.y').mkdir(parents=True)
    (folder / 'to' / '.x').symlink_to(folder / 'elsewhere')
    (folder / 'to' / '.y' / 'new').symlink_to(folder / 'elsewhere')
    result = keep.run('restore', '--to', f'maildir:{folder}/to', code=PARTLY)
    check(b'1 of 3 messages are at the target' in result.out, result)
    check('symbolic link' in result.err, result)
    equal(list((folder / 'elsewhere').iterdir()), [], 'elsewhere')


@case
def two_restores_to_one_maildir_do_not_run_at_once(folder):
    keep = imported(folder, labelled(1, b'x'))
    (folder / 'to').mkdir()
    held = os.open(folder / 'to', os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    result = keep.run('restore', '--to', f'maildir:{folder}/to', code=None)
    check(result.code != 0 and 'another restore' in result.err, result)
    os.close(held)
    keep.run('restore', '--to', f'maildir:{folder}/to')


@case
def a_file_in_a_maildir_that_was_cut_is_no_message_that_is_there(folder):
    keep = imported(folder, labelled(1, b'x'))
    keep.run('restore', '--to', f'maildir:{folder}/to')
    [file] = files_of(folder / 'to')
    whole = file.read_bytes()
    file.write_bytes(b'')
    check(b'1 sent now' in keep.run('restore', '--to', f'maildir:{folder}/to').out, 'again')
    equal([p.read_bytes() for p in files_of(folder / 'to')], [whole], 'what is there')


if __name__ == '__main__':
    tap.main()
