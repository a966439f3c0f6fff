"""What a power cut can leave of a recorded run.

The disk as a strict reading of POSIX has it: a file's bytes and size are there when the file was
synced, a name when its folder was, and of all that was not synced since, any part may be there:
each file and each name for itself, writes torn at sectors or pages, in any order, or as zeros.
"""
import os
import random

SECTOR, PAGE = 512, 4096


def read_log(path):
    """Records as tuples: (kind, fields..., bytes or None)."""
    data = path.read_bytes()
    records, at = [], 0
    while at < len(data):
        end = data.index(b'\n', at)
        fields = data[at:end].decode().split(' ')
        at = end + 1
        body = None
        if fields[0] in 'WA':
            size = int(fields[-1])
            body = data[at:at + size]
            at += size
        records.append((fields[0], *fields[1:], body))
    return records


class File:
    def __init__(self):
        self.durable = b''
        self.pending = []   # ('W', offset, bytes) or ('T', size)


class Folder:
    def __init__(self):
        self.durable = {}   # name -> node
        self.pending = []   # [(name, node or None)], each applied as a whole
        self.now = {}


class Disk:
    """Follows a log."""

    def __init__(self, root):
        self.root = Folder()
        self.nodes = {str(root): self.root}   # by inode, as long as it has a name
        self.acknowledged = []

    def apply(self, record):
        kind = record[0]
        getattr(self, 'do_' + kind)(*record[1:])

    def do_W(self, ino, offset, _, body):
        if ino in self.nodes:
            self.nodes[ino].pending.append(('W', int(offset), body))

    def do_T(self, ino, size, _):
        if ino in self.nodes:
            self.nodes[ino].pending.append(('T', int(size)))

    def do_S(self, ino, _):
        node = self.nodes.get(ino)
        if isinstance(node, Folder):
            node.durable = dict(node.now)
            node.pending = []
        elif node:
            node.durable = apply_writes(node.durable, node.pending)
            node.pending = []

    def do_O(self, folder, name, ino, _):
        parent = self.nodes.get(folder)
        if parent is None or name in parent.now:
            return
        self.nodes[ino] = File()
        self.enter(parent, [(name, self.nodes[ino])])

    def do_M(self, folder, name, ino, _):
        parent = self.nodes.get(folder)
        if parent is not None:
            self.nodes[ino] = Folder()
            self.enter(parent, [(name, self.nodes[ino])])

    def do_U(self, folder, name, _):
        parent = self.nodes.get(folder)
        if parent is not None and name in parent.now:
            self.enter(parent, [(name, None)])

    def do_R(self, folder, name, new_folder, new_name, _):
        parent = self.nodes.get(folder)
        assert folder == new_folder, 'no rename between folders is made'
        if parent is not None:
            self.enter(parent, [(new_name, parent.now[name]), (name, None)])

    def do_A(self, _, body):
        self.acknowledged.append(body.decode())

    @staticmethod
    def enter(parent, change):
        parent.pending.append(change)
        for name, node in change:
            put_name(parent.now, name, node)


def put_name(names, name, node):
    if node is None:
        names.pop(name, None)
    else:
        names[name] = node


def apply_writes(base, writes):
    data = bytearray(base)
    for write in writes:
        if write[0] == 'T':
            size = write[1]
            del data[size:]
            data.extend(bytes(size - len(data)))
        else:
            _, offset, body = write
            if offset > len(data):
                data.extend(bytes(offset - len(data)))
            data[offset:offset + len(body)] = body
    return bytes(data)


# ---- What survives --------------------------------------------------------------------------

def nothing(file, dice):
    return file.durable


def everything(file, dice):
    return apply_writes(file.durable, file.pending)


def some_first(file, dice):
    """The first writes, the last of them torn."""
    writes = list(file.pending[:dice.randint(0, len(file.pending))])
    if writes and writes[-1][0] == 'W':
        _, offset, body = writes[-1]
        unit = dice.choice((SECTOR, PAGE))
        cut = (offset + dice.randint(0, len(body))) // unit * unit - offset
        writes[-1] = ('W', offset, body[:max(cut, 0)])
    return apply_writes(file.durable, writes)


def zeros(file, dice):
    """The size is there, the bytes are not."""
    full = everything(file, dice)
    return file.durable[:len(full)] + bytes(max(0, len(full) - len(file.durable)))


def any_blocks(file, dice):
    """Each sector or page for itself: new, or old (zeros where there was nothing)."""
    full, old = everything(file, dice), file.durable
    unit = dice.choice((SECTOR, PAGE))
    old = old.ljust(len(full), b'\0')
    keep = dice.choice((0.1, 0.5, 0.9))
    blocks = [(full if dice.random() < keep else old)[at:at + unit] for at in range(0, len(full), unit)]
    return b''.join(blocks)


WAYS = [nothing, everything, some_first, zeros, any_blocks]


class Survival:
    """names, files: what survives of names and of bytes; None: rolled for each."""

    def __init__(self, seed, names=None, files=None):
        self.dice = random.Random(seed)
        self.names, self.files = names, files

    def keeps_name(self):
        return self.dice.random() < 0.5 if self.names is None else self.names

    def content(self, file):
        if not file.pending:
            return file.durable
        return (self.files or self.dice.choice(WAYS))(file, self.dice)


def entries(folder, survival):
    names = dict(folder.durable)
    for change in folder.pending:
        if survival.keeps_name():
            for name, node in change:
                put_name(names, name, node)
    return names


def tree(folder, survival, path=''):
    """{path: bytes, or None for a folder}. The WAL's index is no file, but memory."""
    found = {}
    for name, node in entries(folder, survival).items():
        if name.endswith('-shm'):
            continue
        if isinstance(node, Folder):
            found[path + name] = None
            found.update(tree(node, survival, path + name + '/'))
        else:
            found[path + name] = survival.content(node)
    return found


def build(files, root):
    os.makedirs(root)
    for path, content in files.items():
        target = os.path.join(root, path)
        if content is None:
            os.makedirs(target, mode=0o700, exist_ok=True)
        else:
            with open(target, 'wb') as file:
                file.write(content)
            os.chmod(target, 0o600)
    for path in files:
        if path.count('/') == 0 and files[path] is None:
            os.chmod(os.path.join(root, path), 0o700)
