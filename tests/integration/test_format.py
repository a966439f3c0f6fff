"""A reader written from archive/FORMAT.md alone agrees with popkeep."""
import client
import format_reader
import mailgen
from fixture import a_dovecot, a_long_story, fetched_archive, scripted_account
from popkeep import Popkeep
from scripted import Message, Server
from tap import case, check, equal, main


def agree(keep):
    archive = format_reader.Archive(keep.archive)
    found = archive.read()
    messages = {m['digest']: m for m in keep.messages()}
    equal(sorted(found), sorted(messages), 'digests')
    for digest, data in found.items():
        theirs, ours = messages[digest], archive.messages[digest]
        equal((ours['size'], ours['archived']), (theirs['size'], theirs['archived']), 'message')
        equal(archive.accounts(digest)[0], theirs['account'], 'account')
        equal(client.digest(data), digest, 'bytes')
    return archive


@case
def the_reader_finds_what_popkeep_finds(folder):
    mail = mailgen.mailbox('format', 50) + [mailgen.attachment_of(1, 9_000_000)]
    with a_dovecot(folder, {'anna': mail, 'bert': mail[:5]}) as server:
        keep = Popkeep(folder)
        keep.account('anna', server.plain)
        keep.account('bert', server.plain)
        keep.fetch('anna')
        keep.fetch('bert')
    archive = agree(keep)
    equal(archive.accounts(client.digest(mail[0])), ['anna', 'bert'], 'accounts')


@case
def the_reader_finds_uidls_of_any_bytes(folder):
    uidls = [b'', b'a b', b'%41', bytes(range(0x80, 0x100)), b'x' * 1024, b'=']
    mail = mailgen.mailbox('format uidls', len(uidls))
    with Server([Message(m, u) for m, u in zip(mail, uidls)]) as server:
        keep = scripted_account(folder, server)
        keep.fetch()
    archive = agree(keep)
    for message, uidl in zip(mail, uidls):
        equal(archive.messages[client.digest(message)]['at'], [(1, uidl)], 'UIDL')


@case
def the_reader_follows_a_long_story(folder):
    agree(a_long_story(folder))


@case
def the_reader_checks_the_tree(folder):
    keep = fetched_archive(folder, mailgen.mailbox('tree', 9))
    agree(keep)
    archive = format_reader.Archive(keep.archive)
    ledger = keep.archive / 'ledger' / '000001.log'
    text = ledger.read_bytes()
    leaves = [format_reader.leaf_hash(line) for line in text.splitlines()]
    equal(archive.root, format_reader.root_of(leaves), 'root, computed another way')
    at = text.index(b'event=keep') + 30
    ledger.write_bytes(text[:at] + bytes([text[at] ^ 1]) + text[at + 1:])
    try:
        format_reader.Archive(keep.archive)
    except format_reader.Damaged:
        return
    check(False, 'a changed line is found')


@case
def the_reader_passes_over_what_never_happened(folder):
    keep = fetched_archive(folder, mailgen.mailbox('torn', 9))
    with open(keep.archive / 'ledger' / '000001.log', 'ab') as ledger:
        ledger.write(b'v=1 event=keep t=2030-01-01T00:00:00.000Z maildrop=1 uidl=x digest='
                     + b'0' * 64 + b' size=3 class=default source=pop3\nv=1 event=comm')
    with open(keep.archive / 'segments' / '000001.open.tar.zst', 'ab') as segment:
        segment.write(b'\x28\xb5\x2f\xfd torn')
    equal(len(format_reader.Archive(keep.archive).read()), 9, 'messages')


if __name__ == '__main__':
    main()
