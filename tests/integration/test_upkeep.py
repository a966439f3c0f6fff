"""The service seals by itself, tells how that went, and hands files to the seal-command."""
import contextlib
import os
import pathlib
import shutil
import signal
import struct
import subprocess
import time

import mailgen
import popkeep
from fixture import a_dovecot, check_kept, fetched_archive
from scripted import Message, Server
from service import BUILD, CLOCK, Service, preload
from tap import Skip, case, check, equal, main, wait_until

WORKER = BUILD / 'daemon' / 'popkeep-worker'
MAIL = mailgen.mailbox('upkeep', 150, size=10000)
LATER = mailgen.mailbox('later', 10, size=500)
LOOK_SECONDS = 90   # it looks once a minute


def sealed(keep):
    return sorted(p.name for p in (keep.archive / 'segments').glob('*.tar.zst')
                  if '.open.' not in p.name)


def unsealed(keep):
    return sorted(p.name for p in (keep.archive / 'segments').glob('*.open.tar.zst'))


def upkeep(keep, job, code=(popkeep.DONE, popkeep.PARTLY)):
    lines = keep.json('status', code=code).of_type('upkeep')
    return next(line for line in lines if line['job'] == job)


def count(service, text):
    return sum(text in line for line in list(service.lines))


def due_archive(folder, mail=MAIL, **keys):
    """One whose open segment is due, with no service yet."""
    keep = fetched_archive(folder, mail)
    keep.globals |= {'seal-size': '1M'} | {k.replace('_', '-'): v for k, v in keys.items()}
    keep.write_config()
    return keep


@contextlib.contextmanager
def a_server_for(keep, mail):
    """In the place of the one that the archive was fetched from."""
    with Server(mail) as server:
        keep.accounts['anna']['server'] = f'pop3://127.0.0.1:{server.port}'
        keep.write_config()
        yield server


def processes(name, of):
    """Those of this name below process `of`."""
    found = []
    for path in pathlib.Path('/proc').glob('[0-9]*/stat'):
        try:
            text = path.read_text()
        except OSError:
            continue
        pid, rest = int(path.parent.name), text.rpartition(')')
        if rest[0].partition('(')[2] == name and is_below(pid, of):
            found.append(pid)
    return found


def is_below(pid, ancestor):
    while pid > 1:
        if pid == ancestor:
            return True
        try:
            pid = int(pathlib.Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[1])
        except OSError:
            return False
    return False


# ---- Sealing by itself ----------------------------------------------------------------------------

@case
def it_seals_by_itself_while_mail_arrives(folder):
    with a_dovecot(folder, {'anna': MAIL}) as server:
        keep = popkeep.Popkeep(folder)
        keep.account('anna', server.plain, interval='10s')
        keep.globals |= {'seal-size': '1M', 'metrics-file': str(folder / 'm' / 'popkeep.prom')}
        (folder / 'm').mkdir()
        with Service(keep) as service:
            arrived = list(MAIL)
            deadline = time.monotonic() + LOOK_SECONDS + 60
            while not count(service, 'sealed segment'):
                check(time.monotonic() < deadline, f'nothing is sealed:\n{service.log}')
                more = mailgen.mailbox(len(arrived), 5, size=2000)
                server.deliver('anna', more)
                arrived += more
                time.sleep(3)
            line = keep.fetch_account('anna')
            equal(line['archived'], line['listed'], 'archived')
            check(len(sealed(keep)) >= 1, 'a sealed segment')
            last = upkeep(keep, 'seal', popkeep.DONE)
            check(last['succeeded'] and not last['failed'], str(last))
            text = keep.run('status').out.decode()
            check('popkeep-worker' in text, f'its sandbox is told: {text}')
            wait_until(lambda: 'popkeep_sealed_segments_total' in (
                folder / 'm' / 'popkeep.prom').read_text(), 60, 'metrics')
        check_kept(keep, arrived)


@case
def what_is_old_enough_is_sealed(folder):
    if not CLOCK.exists():
        raise Skip('clock.so is not built')
    said = folder / 'clock'
    said.write_bytes(struct.pack('=q', 29 * 86400))
    keep = due_archive(folder, seal_size='1G', seal_age='30d')
    with a_server_for(keep, MAIL), \
            Service(keep, environment={'LD_PRELOAD': preload(CLOCK),
                                       'POPKEEP_TEST_CLOCK': str(said)}) as service:
        wait_until(lambda: count(service, 'ready'), 30, 'ready')
        equal(sealed(keep), [], 'sealed before it is due')
        with said.open('r+b') as f:
            f.write(struct.pack('=q', 31 * 86400))
        service.reload()
        service.wait_for('sealed segment', LOOK_SECONDS)
    check_kept(keep, MAIL)


@case
def a_reload_changes_when_a_segment_is_due(folder):
    keep = due_archive(folder, seal='never')
    with a_server_for(keep, MAIL), Service(keep) as service:
        keep.globals |= {'seal': 'auto', 'seal-size': '1G'}
        keep.write_config()
        service.reload()
        service.wait_for('configuration read again')
        equal(sealed(keep), [], 'sealed')
        equal(upkeep(keep, 'seal')['tried'], None, 'tried')
        keep.globals['seal-size'] = '1M'
        keep.write_config()
        service.reload()
        service.wait_for('sealed segment')
        wait_until(lambda: not unsealed(keep), 20, 'the open one is gone')
        equal(upkeep(keep, 'seal')['segments'], 0, 'segments that wait')
    check_kept(keep, MAIL)


# ---- Workers that fail ----------------------------------------------------------------------------

def fails_and_then_seals(folder, said, make):
    """make puts what is no worker where the worker should be."""
    worker, events = folder / 'the-worker', folder / 'events'
    make(worker)
    keep = due_archive(folder, alert_command=f'echo $POPKEEP_EVENT >>{events}')
    keep.accounts['anna']['interval'] = '10s'
    with a_server_for(keep, MAIL) as server, \
            Service(keep, environment={'POPKEEP_WORKER': str(worker)}) as service:
        service.wait_for('sealing failed', 60)
        check(said in service.log, f'not "{said}":\n{service.log}')
        server.messages += [Message(m) for m in LATER]
        service.wait_for(f'{len(LATER)} new', 60)
        line = upkeep(keep, 'seal', popkeep.PARTLY)
        check(line['failed'] and said in line['error'], str(line))
        text = keep.run('status', code=popkeep.PARTLY).out.decode()
        check('sealing failed' in text and 'tries again by itself' in text, text)
        service.reload()
        service.wait_for('configuration read again')
        time.sleep(1)
        equal(count(service, 'sealing failed'), 1, 'lines about it')
        equal(sealed(keep), [], 'sealed')
        worker.unlink(missing_ok=True)
        worker.symlink_to(WORKER)
        # Somebody may still wait for the one before.
        deadline = time.monotonic() + 60
        while not count(service, 'sealed segment') and time.monotonic() < deadline:
            service.reload()
            time.sleep(1)
        service.wait_for('sealing goes well again')

        def is_indexed():
            """The index needs a worker too, and may still have waited for the one before."""
            service.reload()
            time.sleep(1)
            return not upkeep(keep, 'index')['failed']
        wait_until(is_indexed, 60, 'it is indexed')
        equal(upkeep(keep, 'seal', popkeep.DONE)['failed'], False, 'failed')
        wait_until(lambda: events.read_text().split() == ['seal-failed', 'seal-ok'], 20, 'alerts')
    check_kept(keep, MAIL + LATER)


def script(text):
    def make(path):
        path.write_text(f'#!/bin/sh\n{text}\n')
        path.chmod(0o755)
    return make


@case
def without_a_worker_polls_go_on_and_status_tells(folder):
    fails_and_then_seals(folder, 'the-worker', lambda path: None)


@case
def a_worker_that_is_killed_leaves_the_open_segment(folder):
    fails_and_then_seals(folder, 'signal 9', script('kill -9 $$'))


@case
def a_worker_that_hangs_is_ended(folder):
    fails_and_then_seals(folder, '', script('exec sleep 600'))


# ---- The seal-command -----------------------------------------------------------------------------

@case
def a_seal_command_that_fails_is_tried_again(folder):
    (folder / 'copied').mkdir()
    keep = due_archive(folder, seal_command=(
        f'test -e {folder}/ready && test $POPKEEP_KIND = segment && '
        f'cp "$POPKEEP_FILE" {folder}/copied'))
    with a_server_for(keep, MAIL), Service(keep) as service:
        service.wait_for('the seal-command failed', 60)
        line = upkeep(keep, 'seal-command', popkeep.PARTLY)
        check('status 1' in line['error'] and 'segments/' in line['error'], str(line))
        equal(upkeep(keep, 'seal')['failed'], False, 'sealing itself')
        text = keep.run('status', code=popkeep.PARTLY).out.decode()
        check('seal-command failed' in text, text)
        (folder / 'ready').touch()
        service.reload()
        service.wait_for('the seal-command goes well again')
        equal(upkeep(keep, 'seal-command', popkeep.DONE)['failed'], False, 'failed')
    for name in sealed(keep):
        equal((folder / 'copied' / name).read_bytes(),
              (keep.archive / 'segments' / name).read_bytes(), name)
    equal(count(service, 'the seal-command has segments/'), len(sealed(keep)), 'lines')


@case
def a_segment_made_immutable_is_no_reason_to_seal_no_more(folder):
    keep = due_archive(folder)
    if subprocess.run(['chattr', '+i', keep.config], capture_output=True).returncode:
        raise Skip('no file can be made immutable here')
    subprocess.run(['chattr', '-i', keep.config], check=True)
    mail = MAIL + mailgen.mailbox('next', 20, size=10000)
    keep.run('seal')
    first, = sealed(keep)
    with a_server_for(keep, mail):
        keep.fetch(code=None)
    keep.run('seal')
    subprocess.run(['chattr', '+i', keep.archive / 'segments' / first], check=True)
    try:
        result = keep.run('repack')
        check(f'segments/{first} is replaced' in result.err and 'chattr' in result.err, str(result))
        equal(len(sealed(keep)), 2, 'segments: the new one, and the one that stays')
        check_kept(keep, mail)
        keep.run('seal')
        equal(upkeep(keep, 'seal')['failed'], False, 'failed')
    finally:
        subprocess.run(['chattr', '-i', keep.archive / 'segments' / first], check=True)
    keep.run('seal')
    equal(len(sealed(keep)), 1, 'segments')
    check_kept(keep, mail)


@case
def without_a_service_the_command_hands_over(folder):
    keep = due_archive(folder, seal_command=(
        f'test -e {folder}/ready && basename "$POPKEEP_FILE" >>{folder}/copied'))
    result = keep.run('seal', code=popkeep.PARTLY)
    check('seal-command: segments/' in result.err, str(result))
    name, = sealed(keep)
    check(upkeep(keep, 'seal-command', popkeep.PARTLY)['failed'], 'that it failed is shown')
    check(upkeep(keep, 'seal', popkeep.PARTLY)['succeeded'], 'sealing itself went well')
    (folder / 'ready').touch()
    keep.run('seal')
    equal((folder / 'copied').read_text().split(), [name], 'handed over')
    equal(upkeep(keep, 'seal-command', popkeep.DONE)['failed'], False, 'failed')
    keep.run('seal')
    equal((folder / 'copied').read_text().split(), [name], 'handed over once')


# ---- In the middle --------------------------------------------------------------------------------

BIG = mailgen.mailbox('big', 120, size=150000)


def until_it_seals(keep, service):
    wait_until(lambda: processes('popkeep-worker', service.process.pid), 60, 'a worker')
    wait_until(lambda: (keep.archive / 'segments' / 'seal.tmp').exists()
               or sealed(keep), 60, 'a segment that is written')


def nothing_is_left(pids):
    wait_until(lambda: not any(os.path.exists(f'/proc/{p}') for p in pids), 20, 'their end')


@case
def told_to_end_it_gives_up_the_seal_and_seals_later(folder):
    keep = due_archive(folder, BIG, seal_level=19)
    with a_server_for(keep, BIG):
        service = Service(keep).start()
        until_it_seals(keep, service)
        pids = processes('popkeep-worker', service.process.pid) \
            + processes('popkeep-upkeep', service.process.pid)
        began = time.monotonic()
        equal(service.stop(), 0, 'exit status')
        check(time.monotonic() - began < 15, 'it ends soon')
        nothing_is_left(pids)
        if not sealed(keep):
            equal(upkeep(keep, 'seal')['tried'], None, 'nothing is noted of it')
        check_kept(keep, BIG)
        keep.globals['seal-level'] = 1
        with Service(keep) as service:
            wait_until(lambda: sealed(keep) and not unsealed(keep), 60, 'sealed')
        check(not (keep.archive / 'segments' / 'seal.tmp').exists(), 'nothing is left behind')
    check_kept(keep, BIG)


@case
def killed_in_the_middle_it_seals_after_a_new_start(folder):
    keep = due_archive(folder, BIG, seal_level=19)
    with a_server_for(keep, BIG):
        service = Service(keep).start()
        until_it_seals(keep, service)
        pids = processes('popkeep-worker', service.process.pid) \
            + processes('popkeep-upkeep', service.process.pid)
        service.kill()
        nothing_is_left(pids)
        check_kept(keep, BIG)
        keep.globals['seal-level'] = 1
        with Service(keep) as service:
            wait_until(lambda: sealed(keep) and not unsealed(keep), 60, 'sealed')
    check_kept(keep, BIG)


@case
def a_sealing_process_that_is_killed_is_told_and_noted(folder):
    keep = due_archive(folder, BIG, seal_level=19)
    with a_server_for(keep, BIG), Service(keep) as service:
        until_it_seals(keep, service)
        workers = processes('popkeep-worker', service.process.pid)
        for pid in processes('popkeep-upkeep', service.process.pid):
            os.kill(pid, signal.SIGKILL)
        service.wait_for('sealing failed: the process that does the upkeep was ended by signal 9')
        nothing_is_left(workers)
        wait_until(lambda: upkeep(keep, 'seal')['failed'], 20, 'that it is noted')
        keep.globals['seal-level'] = 1
        keep.write_config()
        service.reload()
        service.wait_for('sealing goes well again', 60)
    check_kept(keep, BIG)


# ---- Writes that fail -----------------------------------------------------------------------------

def a_sync_that_fails(folder, n):
    """The n-th fdatasync() of the process that seals gives EIO. (The others make none: there are
    no accounts.) The service, whose process is not the one that Service knows."""
    if not shutil.which('strace'):
        raise Skip('no strace')
    keep = due_archive(folder, alert_command=f'echo $POPKEEP_EVENT >>{folder}/events')
    keep.accounts.clear()
    return keep, Service(keep, before=[
        'strace', '-f', '-qq', '-o', '/dev/null', '-e', 'trace=fdatasync',
        '-e', f'inject=fdatasync:error=EIO:when={n}'],
        environment={'ASAN_OPTIONS':   # no leaks are looked for under strace
                     f'detect_leaks=0:exitcode={popkeep.SANITIZER_EXIT}'})


def is_told(keep, folder, events):
    wait_until(lambda: (folder / 'events').exists()
               and (folder / 'events').read_text().split() == events, 20, f'alerts {events}')
    line = upkeep(keep, 'seal', popkeep.PARTLY)
    equal((line['failed'], line['status']), (True, popkeep.WRITE), str(line))


@case
def a_failed_write_of_the_sealed_file_is_no_end(folder):
    keep, service = a_sync_that_fails(folder, 3)
    service.start()
    try:
        service.wait_for('sealing failed: cannot sync segments/seal.tmp', 60)
        is_told(keep, folder, ['seal-failed'])
        equal(service.process.poll(), None, 'the service goes on')
    finally:
        strace = service.process.pid
        for pid in processes('popkeepd', strace):
            os.kill(pid, signal.SIGTERM)
        service.wait()
    keep.run('seal')
    check_kept(keep, MAIL)


@case
def a_failed_write_of_the_ledger_ends_the_service(folder):
    keep, service = a_sync_that_fails(folder, 4)
    service.start()
    equal(service.wait(60), popkeep.WRITE, 'exit status')
    check('cannot sync ledger/' in service.log, service.log)
    is_told(keep, folder, ['seal-failed', 'write-failed'])
    keep.run('seal')
    check_kept(keep, MAIL)
    equal(upkeep(keep, 'seal')['failed'], False, 'failed')


# ---- A full disk ----------------------------------------------------------------------------------

@case
def without_room_it_says_so_and_goes_on(folder):
    if os.getuid() != 0:
        raise Skip('only root can mount')
    disk = folder / 'archive'
    disk.mkdir()
    if subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=8M', 'popkeep-test', disk],
                      capture_output=True).returncode:
        raise Skip('no tmpfs can be mounted')
    try:
        mail = MAIL + mailgen.mailbox('more', 250, size=10000)
        keep = due_archive(folder, mail)
        keep.accounts['anna']['interval'] = '10s'
        with a_server_for(keep, mail) as server, Service(keep) as service:
            service.wait_for('too little room to seal', 60)
            server.messages += [Message(m) for m in LATER]
            service.wait_for(f'{len(LATER)} new', 60)
            equal(upkeep(keep, 'seal', popkeep.PARTLY)['status'], popkeep.WRITE, 'status')
            subprocess.run(['mount', '-o', 'remount,size=100M', disk], check=True)
            service.reload()
            service.wait_for('sealed segment', 60)
        check_kept(keep, mail + LATER)
    finally:
        subprocess.run(['umount', '-l', disk], check=True)


if __name__ == '__main__':
    main()
