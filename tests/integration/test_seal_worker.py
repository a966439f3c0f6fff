"""A worker that dies, hangs, lies or is missing: the open segment stays, and it is said why."""
import os
import signal
import time

import mailgen
import popkeep
import tap
from fixture import fetched_archive
from sealing import (Keep, Stopped, check_whole, is_gone, open_segments, sealed_segments, stored,
                     worker_of)
from tap import case, check, equal, main

MAIL = mailgen.mailbox('worker', 40) + [mailgen.attachment_of(n, 400_000) for n in range(8)]


def filled(folder, mail=None):
    """Without any server: what was archived is copied into a keep with variables."""
    mail = MAIL if mail is None else mail
    keep = fetched_archive(folder, mail)
    other = Keep(folder)
    other.accounts, other.globals = keep.accounts, keep.globals
    return other


def check_unchanged(keep, before, mail=None):
    equal(stored(keep), before, 'segments')
    check_whole(keep, MAIL if mail is None else mail)


def check_can_be_sealed(keep, mail=None):
    keep.variables.clear()
    result = keep.json('seal')
    equal(result.summary['segments'], 1, 'segments sealed afterwards')
    equal((len(open_segments(keep)), len(sealed_segments(keep))), (0, 1), 'segments')
    left = sorted(p.name for p in (keep.archive / 'segments').iterdir())
    equal(left, [sealed_segments(keep)[0].name], 'files in segments/')
    check_whole(keep, MAIL if mail is None else mail)


def fails(keep, *words, code=popkeep.FAILED, timeout=60):
    before = stored(keep)
    begin = time.monotonic()
    result = keep.json('seal', code=code, timeout=timeout)
    tap.comment(f'{result.err.strip()} ({time.monotonic() - begin:.1f} s)')
    for word in words:
        check(word in result.err, f'"{word}" is said\n{result}')
    check_unchanged(keep, before)
    return result


@case
def Ctrl_C_ends_it_at_once_and_leaves_all_as_it_was(folder):
    keep = filled(folder)
    before = stored(keep)
    with Stopped(keep) as job:
        begin = time.monotonic()
        job.process.send_signal(signal.SIGINT)
        result = job.finish(timeout=30)
        tap.comment(f'{time.monotonic() - begin:.1f} s')
        equal(result.code, popkeep.FAILED, result)
        check(is_gone(job.worker), 'the worker is gone')
    check_unchanged(keep, before)
    check_can_be_sealed(keep)


@case
def a_second_Ctrl_C_kills_it_and_its_worker(folder):
    keep = filled(folder)
    before = stored(keep)
    with Stopped(keep) as job:
        job.process.send_signal(signal.SIGINT)
        job.process.send_signal(signal.SIGINT)
        job.process.communicate(timeout=30)
        tap.wait_until(lambda: is_gone(job.worker), 20, 'the worker is gone')
    check_unchanged(keep, before)
    check_can_be_sealed(keep)


@case
def a_worker_that_is_killed_is_told(folder):
    keep = filled(folder)
    before = stored(keep)
    with Stopped(keep) as job:
        os.kill(job.worker, signal.SIGKILL)
        result = job.finish(timeout=30)
    equal(result.code, popkeep.FAILED, result)
    check('signal 9' in result.err, f'it is said\n{result}')
    check_unchanged(keep, before)
    check_can_be_sealed(keep)


@case
def a_worker_that_hangs_is_given_up(folder):
    keep = filled(folder)
    keep.variables['POPKEEP_WORKER_TIMEOUT'] = '2s'
    before = stored(keep)
    with Stopped(keep) as job:
        result = job.finish(timeout=60)
        check(is_gone(job.worker), 'the worker is gone')
    equal(result.code, popkeep.FAILED, result)
    tap.comment(result.err)
    check_unchanged(keep, before)
    check_can_be_sealed(keep)


@case
def when_seal_is_killed_its_worker_goes_with_it(folder):
    keep = filled(folder)
    for _ in range(3):
        process = keep.start('--json', 'seal')
        worker = worker_of(process)
        process.kill()
        process.communicate()
        tap.wait_until(lambda pid=worker: is_gone(pid), 20, 'the worker is gone')
        check_whole(keep, MAIL)
    check_can_be_sealed(keep)


@case
def a_missing_program_is_named(folder):
    keep = filled(folder)
    keep.variables['POPKEEP_WORKER'] = '/nowhere/popkeep-worker'
    fails(keep, '/nowhere/popkeep-worker', 'No such file')
    check_can_be_sealed(keep)


@case
def programs_that_are_no_worker_are_refused(folder):
    keep = filled(folder)
    keep.variables['POPKEEP_WORKER_TIMEOUT'] = '2s'
    for program in ('/bin/true', '/bin/false', '/bin/cat', '/usr/bin/yes', popkeep.BINARY,
                    '/etc/passwd', '/tmp'):
        keep.variables['POPKEEP_WORKER'] = program
        fails(keep, program)
    check_can_be_sealed(keep)


@case
def a_wrong_timeout_is_told(folder):
    keep = filled(folder)
    keep.variables['POPKEEP_WORKER_TIMEOUT'] = 'soon'
    fails(keep, 'POPKEEP_WORKER_TIMEOUT', 'soon', code=popkeep.USAGE)


GREETING = 'echo popkeep-worker 1 complete nothing at all >&3\n'
LIARS = {
    'says that it is done and gives nothing': 'echo done >&3',
    'gives rubbish': 'head -c 3000000 /dev/urandom; echo done >&3',
    'gives the source itself': 'cat <&6; echo done >&3',
    'gives no end': 'cat /dev/zero',
    'ends badly after good words': 'cat <&6; echo done >&3; exit 3',
    'dies': 'kill -SEGV $$',
    'does not end': 'cat <&6; echo done >&3; exec >/dev/null; sleep 1000',
    'complains with escapes': r"printf 'failed \033[31mno\n' >&3; exit 1",
    'says rubbish': 'head -c 100000 /dev/urandom >&3; sleep 1000',
    'says nothing': 'exec sleep 1000',
    'is not heard': 'exec >/dev/null 3>&-; sleep 1000',
}


@case
def a_worker_that_lies_changes_nothing(folder):
    keep = filled(folder)
    script = folder / 'worker'
    keep.variables |= {'POPKEEP_WORKER': script, 'POPKEEP_WORKER_TIMEOUT': '2s'}
    folder.chmod(0o755)
    for what, text in LIARS.items():
        tap.comment(what)
        script.write_text('#!/bin/sh\n' + GREETING + text + '\n')
        script.chmod(0o755)
        result = fails(keep)
        check('\033' not in result.err, 'nothing from outside reaches the terminal')
    check_can_be_sealed(keep)


@case
def with_sandbox_required_a_worker_that_has_none_is_refused(folder):
    keep = filled(folder)
    keep.globals['sandbox'] = 'required'
    keep.write_config()
    script = folder / 'worker'
    folder.chmod(0o755)
    keep.variables['POPKEEP_WORKER'] = script
    script.write_text('#!/bin/sh\necho popkeep-worker 1 incomplete no Landlock >&3\nsleep 1000\n')
    script.chmod(0o755)
    fails(keep, 'incomplete')
    script.write_text('#!/bin/sh\necho failed there is no Landlock >&3\n')
    fails(keep, 'no Landlock')


if __name__ == '__main__':
    main()
