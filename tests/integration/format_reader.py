"""Reads an archive as archive/FORMAT.md says, written from that page alone; shares no code with
popkeep. zstd is the command of that name; everything else is Python.

    format_reader.py ARCHIVE      lists digest, size, accounts and UIDLs
"""
import base64
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


FRAMES_MAGIC, SEEK_MAGIC = 0x184D2A50, 0x184D2A5E


def check_tables(path, data):
    """The two tables at the end of a sealed segment, and each frame against the first of them."""
    at, sums = 0, []
    while little(data, at, 4) not in SKIPPABLE:
        end = frame_end(data, at)
        if end is None:
            raise Damaged(f'{path.name}: the frame at {at} is torn')
        sums.append((end - at, hashlib.sha256(data[at:end]).digest()))
        at = end
    size = little(data, at + 4, 4)
    table, seek = data[at + 8:at + 8 + size], data[at + 8 + size:]
    if little(data, at, 4) != FRAMES_MAGIC or table[:16] != b'popkeep-frames 1':
        raise Damaged(f'{path.name}: no frame table')
    if sha256(table[:-32]) != table[-32:] or little(table, 16, 8) != len(sums):
        raise Damaged(f'{path.name}: the frame table does not fit')
    for n, (compressed, digest) in enumerate(sums):
        row = table[24 + 40 * n:64 + 40 * n]
        if little(row, 0, 4) != compressed or row[8:] != digest:
            raise Damaged(f'{path.name}: frame {n} is not as its table says')
    if little(seek, 0, 4) != SEEK_MAGIC or 8 + little(seek, 4, 4) != len(seek):
        raise Damaged(f'{path.name}: no seek table at the end')


def take_lines(recipe):
    """The pieces of a recipe as lists of words, and its literal bytes."""
    head, _, literal = recipe.partition(b'\n\n')
    lines = head.decode('ascii').split('\n')
    if lines[0] != 'popkeep-recipe 1' or not lines[1].startswith('size '):
        raise Damaged(f'not a recipe: {lines[:2]}')
    return int(lines[1][5:]), [line.split(' ') for line in lines[2:]], literal


def encode(part, line, end):
    text = base64.b64encode(part)
    if line == 0:
        return text
    return end.join(text[at:at + line] for at in range(0, len(text), line))


def put_together(recipe, parts):
    """The message that a recipe makes."""
    size, pieces, literal = take_lines(recipe)
    made, at = b'', 0
    for kind, *words in pieces:
        if kind == 'literal':
            made += literal[at:at + int(words[0])]
            at += int(words[0])
            continue
        part = parts[words[0]]
        if sha256(part).hex() != words[0] or len(part) != int(words[1]):
            raise Damaged(f'part {words[0]} is not what its name says')
        end = {'crlf': b'\r\n', 'lf': b'\n'}
        made += part if kind == 'raw' else encode(part, int(words[2]), end[words[3]])
    if len(made) != size or at != len(literal):
        raise Damaged('a recipe does not add up')
    return made


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
        self.sealed, self.replaced = {}, set()
        self.lines = {(fields['event'], fields.get('uidl'), fields['t'])
                      for _, fields in self.events}
        for number, fields in self.events:
            self.apply(number, fields)

    def apply(self, number, fields):
        event = fields['event'].decode()
        if event == 'account':
            self.maildrops[int(fields['maildrop'])] = (
                fields['name'], fields['server'], fields['user'])
        elif event == 'lost':
            self.messages.pop(fields['digest'].decode(), None)
        elif event == 'seal':
            self.sealed[int(fields['segment'])] = fields
            self.replaced |= {int(n) for n in fields['replaces'].split(b',')}
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

    def check_sealed(self, path, fields):
        """The file as its `seal` line says, and its LEDGER as the ledger has these lines."""
        data = path.read_bytes()
        if sha256(data).hex() != fields['digest'].decode() or len(data) != int(fields['size']):
            raise Damaged(f'{path.name} is not as the ledger says')
        check_tables(path, data)
        entries = dict(read_segment(path))
        if list(entries)[-2:] != ['LEDGER', 'README']:
            raise Damaged(f'{path.name} ends with {list(entries)[-2:]}')
        held = {name[5:69] for name in entries if name.startswith('mail/')}
        if len(held) != int(fields['messages']):
            raise Damaged(f'{path.name} holds {len(held)} messages')
        for line in entries['LEDGER'].splitlines():
            event = parse_line(line)
            if event['event'] != b'account' and event['digest'].decode() not in held:
                raise Damaged(f'{path.name}: LEDGER has a line of another message')
            held_line = (event['event'], event.get('uidl'), event['t'])
            if held_line not in self.lines:
                raise Damaged(f'{path.name}: LEDGER has a line that the ledger lacks')

    def read(self):
        """{digest: data} of all kept messages; every one digested."""
        found = {}
        for path in numbered(self.folder / 'segments', r'(\d{6,})(?:\.open)?\.tar\.zst'):
            number = int(path.name.split('.')[0])
            if number in self.replaced:
                continue
            if number in self.sealed:
                self.check_sealed(path, self.sealed[number])
            parts = {}
            for name, data in read_segment(path):
                if name.startswith('part/'):
                    parts[name[5:]] = data
                m = re.fullmatch(r'mail/([0-9a-f]{64})\.(eml|recipe)', name)
                if not m or m[1] not in self.messages or m[1] in found:
                    continue
                if m[2] == 'recipe':
                    data = put_together(data, parts)
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
