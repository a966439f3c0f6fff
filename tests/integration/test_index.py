"""The index of headers: what is in it, what happens when its worker or its writer does not do well,
and what the service does about it."""
import contextlib
import os
import signal
import sqlite3
import time

import mailgen
import popkeep
from fixture import fetched_archive
from scripted import Server
from sealing import Keep, children, is_gone, program, worker_of
from service import Service
from tap import case, check, equal, main, wait_until

MAIL = mailgen.mailbox('index', 60) + [mailgen.attachment_of(n, 50_000) for n in range(3)]
KNOWN = (b'Received: from a by b; Mon, 2 Feb 2026 10:00:00 +0100\r\n'
         b'From: =?utf-8?Q?J=C3=B8rn?= <jorn@example.com>\r\nTo: anna@example.com\r\n'
         b'Date: Sun, 1 Feb 2026 23:00:00 -0100\r\nMessage-ID: <known@example.com>\r\n'
         b'Subject: =?iso-2022-jp?B?GyRCRnxLXBsoQg==?= and =?koi8-r?B?79TexdQ=?=\r\n'
         b'Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nhello\r\n--b\r\n'
         b"Content-Disposition: attachment; filename*=big5''%A4%A4.pdf\r\n\r\nx\r\n--b--\r\n")


def filled(folder, mail=None):
    keep = fetched_archive(folder, MAIL if mail is None else mail)
    other = Keep(folder)
    other.accounts, other.globals = keep.accounts, keep.globals
    return other


def database(keep):
    return keep.archive / 'search' / 'search.db'


def rows(keep, query='SELECT count(*) FROM header'):
    with contextlib.closing(sqlite3.connect(database(keep))) as db:
        return db.execute(query).fetchall()


def index(keep, indexed, *options, **more):
    result = keep.json('index', *options, **more)
    equal(result.summary['indexed'], indexed, f'indexed\n{result}')
    return result


def lag(keep):
    lines = keep.json('status', code=(popkeep.DONE, popkeep.PARTLY)).of_type('upkeep')
    return next(line for line in lines if line['job'] == 'index')


def check_whole(keep, mail):
    n = len(set(mail))
    equal(rows(keep), [(n,)], 'rows')
    with contextlib.closing(sqlite3.connect(database(keep))) as db:
        db.execute("INSERT INTO words (words, rank) VALUES ('integrity-check', 1)")
        equal(db.execute('PRAGMA integrity_check').fetchall(), [('ok',)], 'integrity')
    equal(lag(keep)['not_indexed'], 0, 'not indexed')


def a_worker(folder, text):
    """A program that takes the worker's place."""
    path = folder / 'worker.sh'
    path.write_text(f'#!/bin/sh\n{text}\n')
    path.chmod(0o755)
    return path


GREETING = "echo 'popkeep-worker 1 complete none' >&3"


@case
def headers_are_read_in_the_sandbox_with_their_charsets(folder):
    keep = filled(folder, MAIL + [KNOWN])
    result = index(keep, len(set(MAIL)) + 1)
    equal(result.summary['not_indexed'], 0, result)
    row = rows(keep, 'SELECT sender, subject, date, received, attachments, names, message_id '
                     "FROM header WHERE message_id = 'known@example.com'")
    equal(row, [('Jørn <jorn@example.com>', '日本 and Отчет', 1769990400000, 1770022800000, 1,
                 '中.pdf\n', 'known@example.com')], 'row')
    check_whole(keep, MAIL + [KNOWN])
    index(keep, 0)
    keep.run('seal')
    index(keep, len(set(MAIL)) + 1, '--rebuild')
    check_whole(keep, MAIL + [KNOWN])


@case
def a_worker_that_is_killed_hangs_or_lies_leaves_an_index_that_can_go_on(folder):
    keep = filled(folder)
    for text, words in (('exit 0', 'without saying'),
                        (f'{GREETING}; kill -9 $$', 'signal 9'),
                        (f'{GREETING}; exec sleep 100', 'no sign of life'),
                        (f"{GREETING}; echo 'done' >&3", 'left out messages'),
                        (f"{GREETING}; head -c 1000000 /dev/zero; echo 'done' >&3", 'lies')):
        keep.variables = {'POPKEEP_WORKER': a_worker(folder, text),
                          'POPKEEP_WORKER_TIMEOUT': '2s'}
        result = keep.json('index', code=popkeep.FAILED)
        check(words in result.err, f'"{words}" is said\n{result}')
        check(lag(keep)['failed'], 'status tells it')
        equal(rows(keep), [(0,)], 'rows')
    keep.variables = {}
    index(keep, len(set(MAIL)))
    check(not lag(keep)['failed'], 'it is forgotten')
    check_whole(keep, MAIL)


@case
def kill_9_in_the_middle_and_it_goes_on(folder):
    keep = filled(folder)
    for i in range(6):
        process = keep.start('index', '--rebuild')
        worker = worker_of(process)
        time.sleep(0.002 * i)
        process.kill()
        process.communicate()
        wait_until(lambda: is_gone(worker), 20, 'the worker is gone')
    keep.json('index')
    check_whole(keep, MAIL)


@case
def a_damaged_or_missing_database_begins_anew(folder):
    keep = filled(folder)
    n = len(set(MAIL))
    index(keep, n)
    size = database(keep).stat().st_size
    for damage in (lambda f: f.truncate(size // 2), lambda f: (f.seek(0), f.write(b'x' * 4096)),
                   lambda f: (f.seek(4096), f.write(os.urandom(size - 4096))),
                   lambda f: f.truncate(0)):
        with database(keep).open('r+b') as file:
            damage(file)
        keep.json('status', code=(popkeep.DONE, popkeep.PARTLY))
        keep.json('index')
        check_whole(keep, MAIL)
    for path in (keep.archive / 'search').iterdir():
        path.unlink()
    (keep.archive / 'search').rmdir()
    index(keep, n)
    check_whole(keep, MAIL)


@case
def it_lies_in_cache_dir_where_there_is_one(folder):
    keep = filled(folder)
    (folder / 'cache').mkdir()
    keep.globals['cache-dir'] = str(folder / 'cache')
    keep.write_config()
    keep.run('rebuild')
    index(keep, len(set(MAIL)))
    check((folder / 'cache' / 'search.db').exists(), 'search.db in cache-dir')
    check(not database(keep).exists(), 'none in the archive')


@case
def who_comes_second_is_told(folder):
    keep = filled(folder)
    slow = a_worker(folder, f'{GREETING}; exec sleep 100')
    keep.variables = {'POPKEEP_WORKER': slow, 'POPKEEP_WORKER_TIMEOUT': '60s'}
    first = keep.start('index')
    try:
        wait_until(lambda: [p for p in children(first.pid) if program(p) == 'sleep'], 20,
                   'it runs')
        keep.variables = {}
        wait_until(lambda: keep.run('index', code=None).code == popkeep.BUSY, 20, 'busy')
        first.send_signal(signal.SIGINT)
    finally:
        _, err = first.communicate(timeout=30)
    equal(first.returncode, popkeep.FAILED, err)
    index(keep, len(set(MAIL)))


@case
def the_service_indexes_what_comes_and_tells_how_far_it_lags(folder):
    with Server(MAIL[:20]) as server:
        keep = Keep(folder)
        keep.account('anna', server.port, interval='10s')
        keep.globals |= {'metrics-file': str(folder / 'm' / 'popkeep.prom')}
        (folder / 'm').mkdir()
        broken = a_worker(folder, 'exit 1')
        with Service(keep, environment={'POPKEEP_WORKER': str(broken)}) as service:
            service.wait_for('indexing failed', 60)
            line = lag(keep)
            equal((line['failed'], line['not_indexed']), (True, line['messages']), str(line))
            text = keep.run('status', code=popkeep.PARTLY).out.decode()
            check('not indexed yet' in text and 'indexing failed' in text, text)
            account = keep.fetch_account('anna')
            equal(account['archived'], account['listed'], 'mail is kept all the same')
        with Service(keep) as service:
            wait_until(lambda: lag(keep)['not_indexed'] == 0, 60, 'all is indexed')
            check(not lag(keep)['failed'], 'it goes well again')
            wait_until(lambda: 'popkeep_not_indexed_messages' in (
                folder / 'm' / 'popkeep.prom').read_text(), 60, 'metrics')
    equal(rows(keep), [(20,)], 'rows')


if __name__ == '__main__':
    main()
