"""Makes mail, the same for the same seed: ordinary messages, and some that break parsers.

    mailbox(7, 100)   100 ordinary messages of mixed size
    nasty(7)          what should not be in a mailbox and is: {name: bytes}
    mailgen.py FOLDER COUNT SEED   writes a Maildir
"""
import base64
import math
import os
import pathlib
import random
import sys
import time

EPOCH = 1_600_000_000
VOCABULARY = random.Random('vocabulary')
WORDS = [''.join(VOCABULARY.choice('etaoinshrdlucmfwyp') for _ in range(VOCABULARY.randint(2, 10)))
         for _ in range(4000)]
NAMES = ['Anna Berg', 'Jörg Übel', 'Zoë Ng', 'O. "Dot" Smith', '田中 花子', 'Ms. X']


def encoded_word(text):
    if text.isascii():
        return text
    return f'=?utf-8?B?{base64.b64encode(text.encode()).decode()}?='


def paragraphs(rng, size):
    lines, total = [], 0
    while total < size:
        words = []
        while sum(map(len, words)) + len(words) < 66:
            words.append(WORDS[min(int(rng.paretovariate(0.7)), len(WORDS) - 1)])
        line = ' '.join(words)
        if rng.random() < 0.03:
            line = '.' * rng.randint(1, 3) + line
        if rng.random() < 0.01:
            line = '.'
        if rng.random() < 0.05:
            line = ''
        lines.append(line)
        total += len(line) + 2
    return '\r\n'.join(lines) + '\r\n'


def header(rng, number):
    when = time.strftime('%a, %d %b %Y %H:%M:%S +0000', time.gmtime(EPOCH + number * 977))
    sender = rng.choice(NAMES)
    lines = [
        f'Received: from mx{rng.randrange(9)}.example.org by in.example.net with ESMTPS id '
        f'{rng.getrandbits(48):X};\r\n\t{when}',
        f'From: {encoded_word(sender)} <{rng.choice(WORDS)}@example.org>',
        'To: somebody@example.net',
        'Subject: ' + ' '.join(rng.choice(WORDS) for _ in range(rng.randint(1, 8))),
        f'Date: {when}',
        f'Message-ID: <{rng.getrandbits(80):x}@example.org>',
        'MIME-Version: 1.0',
    ]
    return '\r\n'.join(lines) + '\r\n'


def attachment(rng, size):
    data = rng.randbytes(min(size, 4096)) * (size // 4096 + 1)
    text = base64.encodebytes(data[:size]).decode().replace('\n', '\r\n')
    boundary = f'=_{rng.getrandbits(64):x}'
    return (f'Content-Type: multipart/mixed; boundary="{boundary}"\r\n\r\n'
            f'--{boundary}\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n'
            f'{paragraphs(rng, 400)}'
            f'--{boundary}\r\nContent-Type: application/octet-stream; name="a.bin"\r\n'
            f'Content-Transfer-Encoding: base64\r\n'
            f'Content-Disposition: attachment; filename="a.bin"\r\n\r\n'
            f'{text}--{boundary}--\r\n')


def message(seed, number, size=None):
    """One ordinary message, of about size bytes when that is given."""
    rng = random.Random(f'{seed}/{number}')
    head = header(rng, number)
    if size is None and rng.random() < 0.06:
        rest = attachment(rng, int(min(3e6, max(15000, rng.lognormvariate(math.log(120000), 1)))))
    else:
        if size is None:
            size = int(min(120000, max(120, rng.lognormvariate(math.log(1500), 1.05))))
        rest = 'Content-Type: text/plain; charset=utf-8\r\n\r\n' + paragraphs(rng, size)
    return (head + rest).encode()


def attachment_of(seed, size):
    """A message with an attachment of that many bytes, which do not compress."""
    rng = random.Random(f'attachment/{seed}')
    text = base64.encodebytes(rng.randbytes(size)).decode().replace('\n', '\r\n')
    return (header(rng, 0) + 'Content-Type: application/octet-stream\r\n'
            f'Content-Transfer-Encoding: base64\r\n\r\n{text}').encode()


def mailbox(seed, count, size=None):
    return [message(seed, n, size) for n in range(count)]


def nasty(seed=1):
    rng = random.Random(f'nasty/{seed}')
    head = f'Subject: nasty {seed}\r\nFrom: x@example.org\r\n\r\n'.encode()
    return {
        'only a newline': b'\r\n',
        'one dot as its only line': b'.\r\n',
        'dots at the start of lines': head + b'.\r\n..\r\n...\r\n.x\r\n. \r\n' + b'.' * 2000 + b'\r\n',
        'a dot first of all': b'.Subject: dot\r\n\r\n.\r\n',
        'no body': b'Subject: headers only\r\n',
        'no header': b'\r\njust a body\r\n',
        'header without a colon': b'this is no header\r\nSubject: x\r\n\r\nbody\r\n',
        'NUL': head + b'a\0b\r\n\0\r\n\0\0\0\r\n',
        'bare CR': head + b'a\rb\r\r\nc\r\r\r\n',
        '8 bit in headers': b'Subject: caf\xe9 \xff\xfe\r\nFrom: \x80\x81@example.org\r\n\r\n\xc3\x28\r\n',
        'every byte': head + bytes(b for b in range(256) if b not in (10, 13)) + b'\r\n',
        'escape sequences': b'Subject: \x1b[31mred\x1b[0m\x07\x9b2J\r\n\r\n\x1b]0;title\x07\r\n',
        'a line of a million bytes': head + b'x' * 1_000_000 + b'\r\n',
        'a million dots': head + b'.' * 1_000_000 + b'\r\n',
        'ten thousand header lines': b''.join(b'X-%d: y\r\n' % n for n in range(10000)) + b'\r\n',
        'a folded header without end': b'Subject: a\r\n' + b' b\r\n' * 20000 + b'\r\n',
        'random bytes': head + b'\r\n'.join(
            bytes(b for b in rng.randbytes(200) if b not in (10, 13)) for _ in range(200)) + b'\r\n',
        'looks like mbox': head + b'From nobody Thu Jan  1 00:00:00 1970\r\n>From x\r\n',
        'looks like POP3': head + b'+OK\r\n-ERR\r\n.QUIT\r\n',
        'empty lines at the end': head + b'\r\n' * 500,
        'nested a thousand deep': b'Content-Type: multipart/mixed; boundary=0\r\n\r\n' + b''.join(
            b'--%d\r\nContent-Type: multipart/mixed; boundary=%d\r\n\r\n' % (n, n + 1)
            for n in range(1000)),
    }


def write_maildir(folder, count, seed):
    folder = pathlib.Path(folder)
    for part in ('cur', 'new', 'tmp'):
        (folder / part).mkdir(parents=True, exist_ok=True)
    total = 0
    for number in range(count):
        data = message(seed, number)
        when = EPOCH + number * 977
        path = folder / 'cur' / f'{when}.M{number:06d}P1.gen,S={len(data)},W={len(data)}:2,'
        path.write_bytes(data)
        os.utime(path, (when, when))
        total += len(data)
    return total


if __name__ == '__main__':
    written = write_maildir(sys.argv[1], int(sys.argv[2]), sys.argv[3])
    print(f'{sys.argv[2]} messages, {written} bytes')
