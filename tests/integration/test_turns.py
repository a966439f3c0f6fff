"""Several processes on one archive."""
import threading

import client
import mailgen
import popkeep
from fixture import a_dovecot, check_kept, scripted_account
from popkeep import Popkeep
from scripted import Server, Session
from tap import case, check, equal, main, wait_until

MAIL = mailgen.mailbox('turns', 10, size=900)


class Gate(Session):
    """Waits inside the fourth message until the test opens."""
    reached = threading.Event()
    opened = threading.Event()

    def retr(self, number, message):
        if number == 4:
            # What follows a message is what shows that it was whole.
            self.ok()
            self.flush()
            self.reached.set()
            self.opened.wait(60)
            self.body(message.data)
            return
        super().retr(number, message)


def gate():
    class Fresh(Gate):
        reached = threading.Event()
        opened = threading.Event()
    return Fresh


@case
def a_second_fetch_of_the_same_account_is_exit_6_and_the_first_goes_on(folder):
    session = gate()
    with Server(MAIL, session) as server:
        keep = scripted_account(folder, server, timeout='60s')
        first = keep.start('--json', 'fetch')
        check(session.reached.wait(30), 'the first is at work')
        result = keep.fetch(code=popkeep.BUSY)
        check('anna' in result.err, f'the account is named\n{result}')
        session.opened.set()
        equal(keep.finish(first).code, popkeep.DONE, 'exit status of the first')
        equal(len(server.sessions), 1, 'sessions')
        check_kept(keep, MAIL)


@case
def reading_goes_on_while_a_fetch_is_at_work(folder):
    session = gate()
    with Server(MAIL, session) as server:
        keep = scripted_account(folder, server, timeout='60s')
        first = keep.start('--json', 'fetch')
        check(session.reached.wait(30), 'the fetch is at work')
        wait_until(lambda: len(keep.messages()) == 3, 20, 'what came is seen')
        keep.verify()
        keep.run('status', '--all', code=None)
        equal(client.digest(keep.raw(keep.messages()[0]['id'])), keep.messages()[0]['digest'],
              'what is shown')
        session.opened.set()
        equal(keep.finish(first).code, popkeep.DONE, 'exit status of the fetch')


@case
def fetches_of_different_accounts_share_an_archive(folder):
    mail = {f'user{n}': mailgen.mailbox(f'turns {n}', 150) for n in range(4)}
    both = mailgen.mailbox('turns, all', 50)
    with a_dovecot(folder, {u: m + both for u, m in mail.items()}) as server:
        keep = Popkeep(folder)
        for user in mail:
            keep.account(user, server.plain)
        processes = [keep.start('--json', 'fetch', user) for user in mail]
        results = [keep.finish(p) for p in processes]
        for result in results:
            equal(result.code, popkeep.DONE, f'exit status\n{result}')
            equal(result.of_type('account')[0]['archived'], 200, 'archived')
        lines = [r.of_type('account')[0] for r in results]
        equal(sum(line['new'] for line in lines), 650, 'new, all together')
        equal(sum(line['duplicate'] for line in lines), 150, 'duplicate, all together')
        check_kept(keep, [m for box in mail.values() for m in box] + both)


@case
def two_processes_may_make_the_archive_at_once(folder):
    with Server(MAIL) as one, Server(mailgen.mailbox('other', 10)) as two:
        keep = scripted_account(folder, one, name='one')
        keep.account('two', two.port)
        for process in [keep.start('init') for _ in range(4)]:
            result = keep.finish(process)
            equal(result.code, popkeep.DONE, f'exit status\n{result}')
        processes = [keep.start('--json', 'fetch', name) for name in ('one', 'two')]
        for process in processes:
            result = keep.finish(process)
            equal(result.code, popkeep.DONE, f'exit status\n{result}')
        check_kept(keep, MAIL + mailgen.mailbox('other', 10))


if __name__ == '__main__':
    main()
