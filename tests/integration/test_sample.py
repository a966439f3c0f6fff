"""Real and deliberately nasty mail, where the sample lies beside the project (../shared/mail)."""
import pathlib
import glob

import client
import dovecot
import tap
from fixture import a_dovecot, sample_mail
from popkeep import Popkeep
from tap import case, equal, main

def as_served(data):
    """What Dovecot makes of a file: CRLF for each LF, and an end of the last line."""
    data = data.replace(b'\r\n', b'\n').replace(b'\n', b'\r\n')
    return data if not data or data.endswith(b'\r\n') else data + b'\r\n'


@case
def all_of_the_sample_goes_through_a_server_into_the_archive_and_out_byte_for_byte(folder):
    every = sample_mail(folder)
    mail = [m for m in every if not m.startswith(dovecot.NOT_STUFFED)]
    tap.comment(f'{len(every)} files, {sum(map(len, every))} bytes; '
                f'{len(every) - len(mail)} left out, which Dovecot does not serve as they are')
    with a_dovecot(folder, {'anna': mail}) as server:
        got = client.fetch_all(server.plain, 'anna', 'secret')
        keep = Popkeep(folder)
        keep.account('anna', server.plain)
        line = keep.fetch_account('anna', timeout=400)
        equal((line['listed'], line['archived']), (len(mail), len(mail)), 'sums')
    wanted = {client.digest(data) for _, data in got}
    equal(set(keep.digests()), wanted, 'digests kept, against the other client')
    out = folder / 'export'
    keep.run('export', '--format', 'eml', '--output', out, timeout=400)
    exported = [pathlib.Path(f).read_bytes() for f in glob.glob(f'{out}/**/*.eml', recursive=True)]
    equal({client.digest(data) for data in exported}, wanted, 'digests exported')
    files = {client.digest(as_served(data)) for data in mail}
    equal(len(files ^ wanted), 0, 'messages that are not what the files hold')


if __name__ == '__main__':
    main()
