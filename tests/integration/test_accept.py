"""What cannot be archived is acknowledged, and status tells what needs somebody, and no more."""
import os
import sqlite3
import threading
import time

import mailgen
import popkeep
from fixture import scripted_account
from popkeep import NOTHING, PARTLY, USAGE, check_sums, sums
from scripted import Message, Server, Session
from tap import case, check, equal, main
from terminal import on_terminal

ODD = b'odd\x80\\uidl'
ODD_SHOWN = 'odd\\x80\\\\uidl'
BECAUSE = ('--reason', 'the server cannot read it')


class Refusing(Session):
    def retr(self, number, message):
        if message.uidl in self.server.refused:
            self.err('[SYS/PERM] no')
        else:
            super().retr(number, message)


def server_of(*refused):
    mail = mailgen.mailbox('accept', 8, size=400)
    uidls = [*refused, *(b'u%d' % n for n in range(len(mail) - len(refused)))]
    server = Server([Message(m, u) for m, u in zip(mail, uidls)], Refusing)
    server.refused = set(refused)
    return server


def attention(keep, name='anna'):
    return keep.status(name)['attention']


@case
def an_accepted_refusal_needs_no_attention_any_more(folder):
    with server_of(b'bad') as server:
        keep = scripted_account(folder, server)
        keep.fetch(code=None)
        told = keep.run('status', code=PARTLY).out.decode()
        check('UIDL bad: retr-failed' in told and 'account accept anna UIDL' in told, told)
        equal(keep.status('anna')['unaccepted'], 1, 'unaccepted')
        out = keep.json('account', 'accept', 'anna', 'bad', *BECAUSE)
        equal(out.of_type('accept'), [{'type': 'accept', 'account': 'anna', 'uidl': 'bad',
                                       'outcome': 'accepted'}], 'line')
        equal(out.summary['accepted'], 1, 'summary')
        keep.run('status')
        line = keep.status('anna')
        check_sums(line)
        equal((line['refused'], line['unaccepted'], line['attention']), (1, 0, False), 'status')
        again = keep.json('account', 'accept', 'anna', 'bad', *BECAUSE)
        equal(again.of_type('accept')[0]['outcome'], 'already', 'outcome of a second time')
        keep.fetch(code=None)
        keep.run('status')
        log = keep.run('log').out.decode()
        check('accepted that it is refused: UIDL bad: the server cannot read it' in log, log)
    keep.run('rebuild')
    keep.run('status')
    keep.verify()


@case
def an_accepted_refusal_comes_when_the_server_is_mended(folder):
    with server_of(b'bad') as server:
        keep = scripted_account(folder, server)
        keep.fetch(code=None)
        keep.run('account', 'accept', 'anna', 'bad', *BECAUSE)
        server.refused.clear()
        catalog = sqlite3.connect(keep.archive / 'catalog.db')
        catalog.execute('UPDATE unkept SET next_try = 1')   # a quarter of an hour goes by
        catalog.commit()
        catalog.close()
        line = keep.fetch_account('anna')
        equal((line['archived'], line['refused'], line['new']), (8, 0, 1), 'sums')


@case
def accepting_what_vanished_lowers_its_sum_for_good(folder):
    with server_of(b'bad', b'worse') as server:
        keep = scripted_account(folder, server)
        keep.fetch(code=None)
        del server.messages[:2]
        equal(keep.fetch_account('anna', code=None)['vanished'], 2, 'vanished')
        told = keep.run('status', code=PARTLY).out.decode()
        check('2 vanished' in told and 'UIDL worse' in told, told)
        keep.run('account', 'accept', 'anna', 'bad', *BECAUSE)
        equal(keep.status('anna')['vanished'], 1, 'vanished')
        equal(keep.fetch_account('anna')['vanished'], 1, 'vanished after a poll')
        keep.run('rebuild')
        equal(keep.status('anna')['vanished'], 1, 'vanished after rebuild')
        keep.run('account', 'accept', 'anna', 'worse', *BECAUSE)
        server.messages.append(Message(b'Subject: new\r\n\r\nnew\r\n', b'new'))
        equal(sums(keep.fetch_account('anna')),
              {'listed': 7, 'archived': 7, 'pending': 0, 'refused': 0, 'vanished': 0}, 'sums')
        keep.run('status')
        keep.run('rebuild')
        equal(keep.status('anna')['vanished'], 0, 'vanished at the end')
        keep.verify()


@case
def accepting_works_in_the_middle_of_a_fetch(folder):
    class Slow(Refusing):
        def retr(self, number, message):
            if message.uidl == b'slow':
                self.flush()
                self.server.asked.set()
                self.server.go_on.wait(30)
            super().retr(number, message)

    with server_of(b'bad', b'worse') as server:
        server.asked, server.go_on = threading.Event(), threading.Event()
        keep = scripted_account(folder, server)
        keep.fetch(code=None)
        del server.messages[0]                  # bad vanishes
        equal(keep.fetch_account('anna', code=None)['vanished'], 1, 'vanished')
        server.session = Slow
        server.messages.append(Message(b'Subject: slow\r\n\r\nslow\r\n', b'slow'))
        running = keep.start('--json', 'fetch')
        check(server.asked.wait(30), 'the fetch is under way')
        keep.run('account', 'accept', 'anna', '--refused', '--vanished', *BECAUSE)
        server.go_on.set()
        keep.finish(running)
        line = keep.status('anna')
        equal((line['archived'], line['vanished'], line['unaccepted']), (7, 0, 0), 'status')
        keep.run('status')
        keep.run('rebuild')
        equal(keep.status('anna')['vanished'], 0, 'vanished after rebuild')
        keep.verify()


@case
def all_of_a_kind_are_accepted_at_once(folder):
    with server_of(b'bad', b'worse', b'gone') as server:
        keep = scripted_account(folder, server)
        keep.fetch(code=None)
        del server.messages[2]
        keep.fetch(code=None)
        keep.run('account', 'accept', 'anna', '--vanished', '--reason', 'old')
        equal(keep.status('anna')['unaccepted'], 2, 'unaccepted')
        out = keep.json('account', 'accept', 'anna', '--refused', '--reason', 'old')
        equal((out.summary['accepted'], out.summary['refused']), (2, 2), 'summary')
        keep.run('status')
        keep.run('account', 'accept', 'anna', '--refused', '--vanished', '--reason', 'old',
                 code=NOTHING)


@case
def a_uidl_is_taken_as_it_is_or_as_status_shows_it(folder):
    with server_of(ODD, b'other\xff') as server:
        keep = scripted_account(folder, server)
        keep.fetch(code=None)
        told = keep.run('status', code=PARTLY).out.decode()
        check(f'UIDL {ODD_SHOWN}: ' in told, told)
        keep.run('account', 'accept', 'anna', ODD_SHOWN, *BECAUSE)
        keep.run('account', 'accept', 'anna', os.fsdecode(b'other\xff'), *BECAUSE)
        keep.run('status')


@case
def what_cannot_be_accepted_is_told_with_the_nearest(folder):
    with server_of(b'refused-0001') as server:
        keep = scripted_account(folder, server)
        keep.fetch(code=None)

    def says(*arguments, code=NOTHING):
        return keep.run('account', 'accept', *arguments, code=code).err
    check('did you mean "refused-0001"' in says('anna', 'refused-0010', *BECAUSE), 'the nearest')
    check('is archived' in says('anna', 'u1', *BECAUSE), 'one that is kept')
    check('status lists them' in says('anna', 'entirely different', *BECAUSE), 'none near')
    check('did you mean "anna"' in says('ana', 'u1', *BECAUSE), 'the nearest account')
    check('--reason' in says('anna', 'refused-0001', code=USAGE), 'no reason')
    check('empty' in says('anna', 'refused-0001', '--reason', '', code=USAGE), 'empty reason')
    check('255' in says('anna', 'refused-0001', '--reason', 'x' * 256, code=USAGE), 'long reason')
    says('anna', *BECAUSE, code=USAGE)
    says('anna', 'u1', '--refused', *BECAUSE, code=USAGE)
    says(code=USAGE)
    keep.run('status', code=PARTLY)


# ---- How polls go ----------------------------------------------------------------------------

def set_health(keep, account, state, seconds, text='[AUTH] \\x1b no'):
    """As the poller leaves it: failing for so long."""
    now = int(time.time() * 1000)
    catalog = sqlite3.connect(keep.archive / 'catalog.db')
    catalog.execute('INSERT OR REPLACE INTO health (account, state, since, tried, next, failures,'
                    ' code, text) VALUES (?, ?, ?, ?, ?, 3, 10, ?)',
                    (account, state, now - 1000 * seconds, now, now + 60000, text))
    catalog.commit()
    catalog.close()


@case
def an_account_that_keeps_failing_needs_attention_and_a_hiccup_does_not(folder):
    with server_of() as server:
        keep = scripted_account(folder, server)
        keep.fetch()
    set_health(keep, 'anna', 1, 60)
    equal(keep.run('status').out.count(b'login refused'), 0, 'a hiccup, told')
    told = keep.run('status', '--all').out.decode()
    check('login refused since' in told and 'by itself' in told, told)
    line = keep.status('anna')
    equal((line['state'], line['attention'], line['failures']), ('failing', False, 3), 'line')
    set_health(keep, 'anna', 1, 3700)
    told = keep.run('status', code=PARTLY).out.decode()
    check('login refused since' in told and '3 tries; next try 20' in told, told)
    check('popkeep fetch anna' in told and '[AUTH] \\x1b no' in told, told)
    set_health(keep, 'anna', 2, 1, 'refused; check the password')
    told = keep.run('status', code=PARTLY).out.decode()
    check('then run popkeep fetch anna' in told and told.count('password') == 1, told)
    set_health(keep, 'anna', 2, 1)
    summary = keep.json('status', code=PARTLY).summary
    equal((summary['attention'], summary['failing'], summary['stale']), (1, 1, 0), 'summary')
    line = keep.status('anna')
    equal((line['state'], line['error'], line['status']),
          ('attention', '[AUTH] \\x1b no', popkeep.LOGIN), 'line')


@case
def a_long_reason_fits_a_narrow_terminal(folder):
    with server_of() as server:
        keep = scripted_account(folder, server)
        keep.fetch()
    set_health(keep, 'anna', 2, 1, 'the server said much ' * 20 + 'x' * 100)
    status, out = on_terminal(keep, 40, 'status')
    equal(status, PARTLY, 'exit status')
    lines = out.decode().replace('\r\n', '\n').splitlines()
    check(all(len(line) <= 40 for line in lines if 'archive ' not in line), '\n'.join(lines))


@case
def an_account_not_polled_for_too_long_is_stale(folder):
    with server_of() as server:
        keep = scripted_account(folder, server)
        keep.fetch()
    keep.run('status', '--max-age', '1d')
    check(not keep.status('anna')['stale'], 'stale without --max-age')
    told = keep.run('status', '--max-age', '1ms', code=PARTLY).out.decode()
    check('stale' in told, told)
    out = keep.json('status', '--max-age', '1ms', code=PARTLY)
    equal((out.summary['stale'], out.of_type('account')[0]['stale']), (1, True), 'stale')
    keep.account('bert', 1)
    equal(keep.json('status', '--max-age', '1d', code=PARTLY).summary['stale'], 1,
          'never polled at all')
    for bad in ('', 'soon', '5 moons'):
        check('--max-age' in keep.run('status', '--max-age', bad, code=USAGE).err, bad)


@case
def a_full_disk_is_told(folder):
    with server_of() as server:
        keep = scripted_account(folder, server)
        keep.fetch()
    keep.globals['min-free'] = '1000000TiB'
    keep.write_config()
    told = keep.run('status', code=PARTLY).out.decode()
    check('disk full: ' in told, told)
    check(keep.json('status', code=PARTLY).summary['disk_full'], 'disk_full')


@case
def ten_thousand_accounts_are_shown_in_a_moment(folder):
    with server_of() as server:
        keep = scripted_account(folder, server)
        keep.fetch()
    catalog = sqlite3.connect(keep.archive / 'catalog.db')
    catalog.executemany(
        'INSERT INTO maildrop (number, name, server, user, polled) VALUES (?, ?, ?, ?, 1)',
        ((n, f'a{n}', f'h{n}', 'u') for n in range(2, 10001)))
    catalog.commit()
    catalog.close()
    for n in range(2, 10001):
        keep.accounts[f'a{n}'] = {'server': f'pop3s://h{n}', 'user': 'u', 'password-command': 'x'}
    del keep.accounts['anna']
    keep.write_config()
    begin = time.monotonic()
    out = keep.json('status', '--all')
    elapsed = time.monotonic() - begin
    equal(out.summary['accounts'], 10000, 'accounts')
    print(f'# {elapsed:.2f} s')


if __name__ == '__main__':
    main()
