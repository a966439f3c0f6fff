"""Letters for measuring how mail is moved: many, quickly made, different from each other.

    for data in letters(100000): …      10 KB in the mean, 2.5 KB in the median; one in 25 has an
                                        attachment in base64; CRLF line ends. The same every time

    write_files(folder, count)          a file each
    write_mbox(path, count)             mboxrd with LF line ends, as programs on Unix write it
    write_maildir(folder, count)

Each returns the bytes of mail that it wrote.
"""
import base64
import math
import random
import re
import time

import mailgen

EPOCH = mailgen.EPOCH
POOL_TEXT, POOL_BLOB = 8_000_000, 6_000_000
MEDIAN, SIGMA, LARGEST = 1800, 1.05, 200_000
WITH_FILE, FILE_MEDIAN, FILE_SIGMA, FILE_LARGEST = 0.04, 115_000, 0.8, 2_000_000
FROM_LINE = re.compile(rb'^(>*From )', re.M)


def pools():
    rng = random.Random('letters')
    page = mailgen.paragraphs(rng, 2_000_000).encode()
    lines = page.split(b'\r\n')
    text = bytearray()
    while len(text) < POOL_TEXT:
        rng.shuffle(lines)
        text += b'\r\n'.join(lines) + b'\r\n'
    blob = base64.encodebytes(rng.randbytes(POOL_BLOB)).replace(b'\n', b'\r\n')
    return bytes(text), blob


def piece(rng, pool, size):
    """Whole lines of pool, about size bytes of them."""
    at = pool.index(b'\r\n', rng.randrange(len(pool) - size - 200)) + 2
    return pool[at:pool.index(b'\r\n', at + size) + 2]


def letters(count):
    text, blob = pools()
    rng = random.Random('letter')
    for number in range(count):
        head = mailgen.header(rng, number).encode()
        body = piece(rng, text, int(min(LARGEST, rng.lognormvariate(math.log(MEDIAN), SIGMA))))
        plain = b'Content-Type: text/plain; charset=utf-8\r\n\r\n' + body
        if rng.random() >= WITH_FILE:
            yield head + plain
            continue
        size = int(min(FILE_LARGEST, rng.lognormvariate(math.log(FILE_MEDIAN), FILE_SIGMA)))
        edge = b'=_%x' % rng.getrandbits(64)
        yield (head + b'Content-Type: multipart/mixed; boundary="%b"\r\n\r\n--%b\r\n' % (edge, edge) + plain
               + b'--%b\r\nContent-Type: application/pdf; name="a.pdf"\r\nContent-Transfer-Encoding: base64\r\n'
               b'Content-Disposition: attachment; filename="a.pdf"\r\n\r\n' % edge
               + piece(rng, blob, size) + b'--%b--\r\n' % edge)


def write_files(folder, count):
    folder.mkdir(parents=True)
    total = 0
    for number, data in enumerate(letters(count)):
        (folder / f'{number:06}.eml').write_bytes(data)
        total += len(data)
    return total


def write_mbox(path, count):
    total = 0
    with open(path, 'wb') as out:
        for number, data in enumerate(letters(count)):
            when = time.asctime(time.gmtime(EPOCH + number * 977)).encode()
            data = FROM_LINE.sub(rb'>\1', data.replace(b'\r\n', b'\n'))
            out.write(b'From somebody@example.org ' + when + b'\n' + data + b'\n')
            total += len(data)
    return total


def write_maildir(folder, count):
    for part in ('cur', 'new', 'tmp'):
        (folder / part).mkdir(parents=True)
    total = 0
    for number, data in enumerate(letters(count)):
        (folder / 'cur' / f'{EPOCH + number}.M{number:06}P1.test:2,S').write_bytes(data)
        total += len(data)
    return total
