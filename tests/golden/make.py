"""Makes a golden archive of the format that this popkeep writes: make.py tests/golden/vN

Run once for each format that is released, with POPKEEP=build/cli/popkeep; what it made is never
made again. The mail is generated, the same each time; times and the archive's id are of the day.
expected.json beside the archive says what every later version must find in it.
"""
import json
import pathlib
import shutil
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'integration'))
import client
import mailgen
import popkeep
from fixture import scripted_account
from scripted import Message, Server, Session

# Of what nasty() makes: not the megabytes.
SMALL = 20000


class Refusing(Session):
    def retr(self, number, message):
        if message.uidl in (b'refused', b'vanishes'):
            self.err('[SYS/PERM] cannot')
        else:
            super().retr(number, message)


def tell(keep, server, other):
    """All that a ledger of this version can tell."""
    first = server.messages
    first[2].uidl = b'refused'
    first[3].uidl = b'vanishes'
    first[4].uidl = b'any bytes: \x80\xff  two spaces'
    keep.fetch(code=None)
    del first[3]
    first.append(Message(first[0].data, b'the same bytes again'))
    first += [Message(m, b'one uidl for two') for m in mailgen.mailbox('golden twins', 2, 300)]
    keep.fetch(code=None)
    keep.account('bert', other.port, user='bertram')   # a new UIDL space
    keep.fetch('bert', code=None)


def expected(keep):
    messages = sorted((
        {'digest': m['digest'], 'size': m['size'], 'account': m['account'],
         'archived': m['archived']} for m in keep.messages()), key=lambda m: m['digest'])
    status = keep.json('status', '--all', code=(popkeep.DONE, popkeep.PARTLY))
    accounts = sorted(({'account': a['account'], **popkeep.sums(a)}
                       for a in status.of_type('account')), key=lambda a: a['account'])
    return {'messages': messages, 'accounts': accounts}


def main():
    target = pathlib.Path(sys.argv[1])
    if target.exists():
        sys.exit(f'{target} is there already: a golden archive is never made again')
    mail = mailgen.mailbox('golden', 12, 400) + [
        m for m in mailgen.nasty().values() if len(m) < SMALL]
    with tempfile.TemporaryDirectory() as folder, Server(mail, Refusing) as server, \
            Server(mail[5:9] + mailgen.mailbox('golden bert', 3, 300)) as other:
        folder = pathlib.Path(folder)
        keep = scripted_account(folder, server)
        keep.account('bert', other.port)
        tell(keep, server, other)
        keep.verify()
        wanted = expected(keep)
        assert {client.digest(m.data) for m in server.messages if m.uidl not in (b'refused',)} <= {
            m['digest'] for m in wanted['messages']}
        target.mkdir(parents=True)
        for part in ('POPKEEP', 'ledger', 'segments', 'catalog.db'):
            source = keep.archive / part
            if source.is_dir():
                shutil.copytree(source, target / 'archive' / part)
            else:
                (target / 'archive').mkdir(exist_ok=True)
                shutil.copy(source, target / 'archive' / part)
    (target / 'expected.json').write_text(json.dumps(wanted, indent=1) + '\n')
    print(sum(f.stat().st_size for f in target.rglob('*') if f.is_file()), 'bytes')


if __name__ == '__main__':
    main()
