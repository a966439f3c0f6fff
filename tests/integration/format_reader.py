"""Reads an archive as archive/FORMAT.md says, written from that page alone; shares no code with
popkeep. zstd is the command of that name; everything else is Python.

    format_reader.py ARCHIVE      lists digest, size, accounts and UIDLs
"""
import hashlib
import io
import pathlib
import re
import subprocess
import sys
import tarfile
import urllib.parse

KNOWN_FEATURES = set()
SKIPPABLE = range(0x184D2A50, 0x184D2A60)
ZSTD = 0xFD2FB528


class Damaged(Exception):
    pass


def sha256(data):
    return hashlib.sha256(data).digest()


# POPKEEP

def read_description(folder):
    """{key: value}"""
    described = {}
    for line in (folder / 'POPKEEP').read_text().splitlines():
        if not line:
            break
        key, _, value = line.partition('=')
        described[key] = value
    if described['format'] != '1':
        raise Damaged(f"format {described['format']} is unknown")
    unknown = set(described.get('features-required', '').split()) - KNOWN_FEATURES
    if unknown:
        raise Damaged(f'features are unknown: {unknown}')
    return described


# The tree

def leaf_hash(line):
    return sha256(b'\0' + line)


def join(left, right):
    return sha256(b'\1' + left + right)


def root_of(leaves):
    """Straight from RFC 6962 section 2.1."""
    if not leaves:
        return sha256(b'')
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return join(root_of(leaves[:split]), root_of(leaves[split:]))


class Tree:
    """The same, growing: perfect subtrees from the largest to the smallest."""

    def __init__(self):
        self.size = 0
        self.subtrees = []

    def add(self, line):
        node, bits = leaf_hash(line), self.size
        while bits & 1:
            node = join(self.subtrees.pop(), node)
            bits >>= 1
        self.subtrees.append(node)
        self.size += 1

    def root(self):
        if not self.subtrees:
            return sha256(b'')
        *rest, root = self.subtrees
        for node in reversed(rest):
            root = join(node, root)
        return root


# The ledger

def parse_line(line):
    """{key: bytes}"""
    fields = {}
    for field in line.split(b' '):
        key, equals, value = field.partition(b'=')
        if not equals or not re.fullmatch(rb'(?:[\x21-\x24\x26-\x7e]|%[0-9A-F]{2})*', value):
            raise Damaged(f'a malformed line: {line[:200]}')
        fields[key.decode()] = urllib.parse.unquote_to_bytes(value)
    if list(fields)[:3] != ['v', 'event', 't'] or fields['v'] != b'1':
        raise Damaged(f'a line without v, event, t: {line[:200]}')
    return fields


def numbered(folder, pattern):
    """Files whose name begins with a number, by that number."""
    found = [(int(m[1]), path) for path in folder.iterdir()
             if (m := re.fullmatch(pattern, path.name))]
    return [path for _, path in sorted(found)]


def read_ledger(folder, archive_id):
    """The committed events as (number, fields), and the root of the tree over all of them."""
    tree, committed, group, previous = Tree(), [], [], None
    root = tree.root()
    files = numbered(folder / 'ledger', r'(\d{6,})\.log')
    for path in files:
        data = path.read_bytes()
        *lines, rest = data.split(b'\n')
        for position, line in enumerate(lines):
            number, fields = tree.size, parse_line(line)
            if position == 0:
                check_begin(fields, number, previous, archive_id)
            if fields['event'] == b'commit':
                if int(fields['size']) != number or bytes.fromhex(
                        fields['root'].decode()) != tree.root():
                    raise Damaged(f'{path.name}: the commit of line {number} does not fit')
            group.append((number, fields))
            tree.add(line)
            if fields['event'] == b'commit':
                committed += group
                group, root = [], tree.root()
        if path != files[-1] and (rest or group):
            raise Damaged(f'{path.name}: an unfinished group is not at the end of the ledger')
        previous = sha256(data)
    return committed, root


def check_begin(fields, number, previous, archive_id):
    if fields['event'] != b'begin' or int(fields['leaf']) != number:
        raise Damaged(f'line {number} does not begin a file')
    if fields['archive'].decode() != archive_id:
        raise Damaged(f'line {number} is of another archive')
    if previous is not None and bytes.fromhex(fields['previous'].decode()) != previous:
        raise Damaged(f'line {number}: the file before has changed')


# Segments

def little(data, at, size):
    return int.from_bytes(data[at:at + size], 'little')


def frame_end(data, at):
    """Where the zstd frame that begins at `at` ends (RFC 8878 section 3.1); None: torn."""
    magic = little(data, at, 4)
    if magic in SKIPPABLE:
        end = at + 8 + little(data, at + 4, 4)
        return end if end <= len(data) else None
    if magic != ZSTD or at + 5 > len(data):
        return None
    descriptor = data[at + 4]
    single = descriptor >> 5 & 1
    size_field = (1 if single else 0, 2, 4, 8)[descriptor >> 6]
    at += 5 + (0 if single else 1) + (0, 1, 2, 4)[descriptor & 3] + size_field
    while at + 3 <= len(data):
        block = little(data, at, 3)
        at += 3 + (1 if block >> 1 & 3 == 1 else block >> 3)
        if block & 1:
            at += 4 if descriptor >> 2 & 1 else 0
            return at if at <= len(data) else None
    return None


def decode(data):
    done = subprocess.run(['zstd', '-dc', '-q'], input=data, capture_output=True)
    if done.returncode != 0:
        raise Damaged(done.stderr.decode(errors='replace'))
    return done.stdout


def read_segment(path):
    """Yields (name, data) of each entry. A last frame that does not decode never happened."""
    data = path.read_bytes()
    ends, at = [], 0
    while at < len(data) and (end := frame_end(data, at)) is not None:
        ends.append(end)
        at = end
    try:
        text = decode(data[:at]) if ends else b''
    except Damaged:
        start = ends[-2] if len(ends) > 1 else 0
        text = decode(data[:start]) if start else b''
    with tarfile.open(fileobj=io.BytesIO(text), mode='r:', ignore_zeros=False) as tar:
        while (entry := tar.next()) is not None:
            if entry.isreg():
                yield entry.name, tar.extractfile(entry).read()


# The archive

class Archive:
    """description, root, messages {digest: {size, class, archived, at [(maildrop, uidl)]}},
    maildrops {number: (name, server, user)}, data(digest)"""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.description = read_description(self.folder)
        self.events, self.root = read_ledger(self.folder, self.description['id'])
        self.maildrops, self.messages = {}, {}
        for number, fields in self.events:
            self.apply(number, fields)

    def apply(self, number, fields):
        event = fields['event'].decode()
        if event == 'account':
            self.maildrops[int(fields['maildrop'])] = (
                fields['name'], fields['server'], fields['user'])
        elif event == 'lost':
            self.messages.pop(fields['digest'].decode(), None)
        elif event in ('keep', 'see'):
            digest = fields['digest'].decode()
            if event == 'keep':
                self.messages.setdefault(digest, {
                    'row': number, 'size': int(fields['size']),
                    'class': fields['class'].decode(), 'archived': fields['t'].decode(),
                    'at': []})
            place = (int(fields['maildrop']), fields['uidl'])
            if place not in self.messages[digest]['at']:
                self.messages[digest]['at'].append(place)

    def accounts(self, digest):
        """Names, the first first, each once."""
        names = [self.maildrops[drop][0].decode() for drop, _ in self.messages[digest]['at']]
        return list(dict.fromkeys(names))

    def read(self):
        """{digest: data} of all kept messages; every one digested."""
        found = {}
        for path in numbered(self.folder / 'segments', r'(\d{6,})(?:\.open)?\.tar\.zst'):
            for name, data in read_segment(path):
                m = re.fullmatch(r'mail/([0-9a-f]{64})\.eml', name)
                if not m or m[1] not in self.messages or m[1] in found:
                    continue
                if sha256(data).hex() != m[1]:
                    raise Damaged(f'{path.name}: {name} holds other bytes')
                found[m[1]] = data
        missing = set(self.messages) - set(found)
        if missing:
            raise Damaged(f'in no segment: {sorted(missing)}')
        return found


def main():
    archive = Archive(sys.argv[1])
    archive.read()
    for digest, message in archive.messages.items():
        uidls = ' '.join(f'{drop}:{uidl!r}' for drop, uidl in message['at'])
        print(digest, message['size'], ','.join(archive.accounts(digest)), uidls)
    print(f'{len(archive.messages)} messages, {len(archive.events)} lines, '
          f'root {archive.root.hex()}')


if __name__ == '__main__':
    main()
