"""The servers that the other tests rest on, asked by the independent client."""
import client
import dovecot
import mailgen
import scripted
import tap
from tap import case, equal

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
def the_scripted_server_gives_what_it_holds(folder):
    with scripted.Server(MAIL) as server:
        got = client.fetch_all(server.port, 'anna', 'secret')
    equal([data for _, data in got], MAIL, 'messages')
    equal(server.sessions[0].ended, 'quit', 'end of the session')


if __name__ == '__main__':
    tap.main()
