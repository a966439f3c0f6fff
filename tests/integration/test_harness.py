"""The servers that the other tests rest on, asked by the independent client."""
import client
import dovecot
import fixture
import imap_client
import mailgen
import scripted
import tap
from tap import case, check, equal

MAIL = mailgen.mailbox('harness', 5) + list(mailgen.nasty().values())
FOR_DOVECOT = [m for m in MAIL if not m.startswith(dovecot.NOT_STUFFED)]


@case
def the_private_dovecot_gives_what_was_delivered_over_all_three_ports(folder):
    try:
        server = dovecot.Dovecot(folder / 'dovecot', {'anna': 'secret'})
    except dovecot.Missing as e:
        raise tap.MissingServer(e)
    server.deliver('anna', FOR_DOVECOT)
    with server:
        for port, tls in ((server.plain, None), (server.plain, 'starttls'),
                          (server.tls, 'implicit')):
            got = client.fetch_all(port, 'anna', 'secret', tls, server.ca)
            equal(sorted(client.digest(data) for _, data in got),
                  sorted(map(client.digest, FOR_DOVECOT)), f'digests over {tls}')


@case
def the_private_dovecot_takes_mail_by_imap_over_all_three_ports(folder):
    whens = [1_600_000_000 + n for n in range(len(MAIL))]
    with fixture.a_dovecot(folder, {'anna': []}, imap=True) as server:
        for port, tls in ((server.imap, None), (server.imap, 'starttls'), (server.imaps, 'implicit')):
            with imap_client.Client(port, 'anna', 'secret', tls, server.ca) as mailbox:
                name = f'Über & "{tls}"'
                mailbox.create(name)
                check(name in mailbox.folders(), f'{name} in {mailbox.folders()}')
                for data, when in zip(MAIL, whens):
                    mailbox.append(name, data, [r'\Flagged', 'Own'], when)
                got = mailbox.fetch(name)
                equal([m.data for m in got], list(map(dovecot.as_appended, MAIL)), f'messages over {tls}')
                equal([m.when for m in got], whens, 'dates')
                equal({m.flags for m in got}, {frozenset({r'\Flagged', 'Own'})}, 'flags')


@case
def the_private_dovecot_refuses_what_it_is_told_to_refuse(folder):
    with fixture.a_dovecot(folder, {'anna': []}, imap=True, quota='messages=2', location='mbox',
                           acl={'Frozen': 'lrs'}, masters={'boss': 'whip'}) as server, \
            imap_client.Client(server.imap, 'anna*boss', 'whip') as mailbox:
        mailbox.create('Frozen')
        refused(mailbox, 'Frozen', 'NOPERM')
        mailbox.append('INBOX', MAIL[0])
        mailbox.append('INBOX', MAIL[1])
        refused(mailbox, 'INBOX', 'OVERQUOTA')
        equal(mailbox.count('INBOX'), 2, 'messages')
        check((server.base / 'mail/anna/inbox').read_bytes().startswith(b'From '), 'an mbox')


def refused(mailbox, name, why):
    try:
        mailbox.append(name, MAIL[0])
    except imap_client.ImapError as e:
        check(why in str(e), f'{why} in {e}')
    else:
        raise AssertionError(f'no refusal by {name}')


@case
def the_scripted_server_gives_what_it_holds(folder):
    with scripted.Server(MAIL) as server:
        got = client.fetch_all(server.port, 'anna', 'secret')
    equal([data for _, data in got], MAIL, 'messages')
    equal(server.sessions[0].ended, 'quit', 'end of the session')


if __name__ == '__main__':
    tap.main()
