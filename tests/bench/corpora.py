"""The mail that archives are compared on, as folders of files, one message each.

    list, mixed   where the project lies beside ../shared: the sample of real mail there. list is
                  bulk/lore-*, four mailing lists; mixed is all the rest with its attachments,
                  people's mail (bulk/enron-skilling, bulk/spamassassin) and the mail that other
                  projects test with (nasty/). Unpacked below the bench's own folder, never copied
                  here
    corp          made up: mailboxes of one house, whose people send each other documents, several
                  recipients each, answer with and without them, and forward them

Line ends are CRLF, as a POP3 server sends them.
"""
import base64
import io
import os
import pathlib
import random
import shutil
import subprocess
import tarfile
import time
import zlib

import mailgen
import popkeep

SAMPLE = popkeep.ROOT.parent / 'shared' / 'mail' / 'sample-mail.tar.zst'
LISTS = 'bulk/lore-'
EPOCH = 1_700_000_000


def crlf(data):
    """What a server makes of a file with bare line feeds."""
    return data if b'\r\n' in data else data.replace(b'\n', b'\r\n')


def write(folder, name, data):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)


def unpack_sample(into):
    """Both corpora of the sample, or False where it is not."""
    if not SAMPLE.exists():
        return False
    raw = subprocess.run(['zstd', '-dcq', '--long=27', str(SAMPLE)], check=True, stdout=subprocess.PIPE).stdout
    with tarfile.open(fileobj=io.BytesIO(raw)) as tar:
        for n, member in enumerate(sorted((m for m in tar if m.isfile()), key=lambda m: m.name)):
            inside = member.name.split('/', 1)[1] if member.name.startswith('sample-mail/') else member.name
            if not inside.startswith(('bulk/', 'nasty/')):
                continue   # its manifest
            kind = 'list' if inside.startswith(LISTS) else 'mixed'
            box = inside.split('/')[1].replace('+', '-')
            write(into / kind / box, f'{n:06}.eml', crlf(tar.extractfile(member).read()))
    return True


# ---- One house --------------------------------------------------------------------------------

def text_document(rng, size):
    """Like an office document or a PDF: compressed inside, some of it not."""
    words = mailgen.paragraphs(rng, size * 2).encode()
    packed = zlib.compress(words, 6)
    return b'%PDF-1.4\n' + words[:size // 10] + packed[:size - size // 10] + b'\n%%EOF\n'


def table(rng, size):
    rows = []
    while sum(map(len, rows)) < size:
        rows.append(f'{rng.randrange(10 ** 6)};{rng.choice(mailgen.WORDS)};{rng.random() * 1000:.2f};EUR\r\n')
    return ''.join(rows).encode()


def picture(rng, size):
    return b'\xff\xd8\xff\xe0\0\x10JFIF\0' + rng.randbytes(size)


def document(rng):
    size = int(min(4e6, max(8000, rng.lognormvariate(11.6, 1.1))))
    kind = rng.choice((text_document, text_document, picture, table))
    return kind(rng, size), f'{rng.choice(mailgen.WORDS)}.{kind.__name__[:3]}'


def encoded(data):
    text = base64.b64encode(data).decode()
    return '\r\n'.join(text[at:at + 76] for at in range(0, len(text), 76))


def received(rng, to, when):
    """Each copy comes its own way."""
    return (f'Return-Path: <{rng.choice(mailgen.WORDS)}@corp.example>\r\nDelivered-To: {to}\r\n'
            f'Received: from mx{rng.randrange(4)}.corp.example (mx.corp.example [192.0.2.{rng.randrange(250)}])\r\n'
            f'\tby imap.corp.example (Postfix) with ESMTPS id {rng.getrandbits(48):X}\r\n\tfor <{to}>; {when}\r\n')


def letter(rng, sender, to, subject, body, files, answered, at):
    """(header and body that all copies share, when)"""
    when = time.strftime('%a, %d %b %Y %H:%M:%S +0000', time.gmtime(at))
    ident = f'<{rng.getrandbits(80):x}@corp.example>'
    head = (f'From: {sender}\r\nTo: {", ".join(to)}\r\nSubject: {subject}\r\nDate: {when}\r\nMessage-ID: {ident}\r\n'
            + (f'In-Reply-To: {answered}\r\nReferences: {answered}\r\n' if answered else '') + 'MIME-Version: 1.0\r\n')
    if not files:
        return head + 'Content-Type: text/plain; charset=utf-8\r\n\r\n' + body, when, ident
    edge = f'=_{rng.getrandbits(64):x}'
    parts = [f'--{edge}\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{body}']
    parts += [f'--{edge}\r\nContent-Type: application/octet-stream; name="{name}"\r\nContent-Transfer-Encoding: base64\r\n'
              f'Content-Disposition: attachment; filename="{name}"\r\n\r\n{data}\r\n' for data, name in files]
    return head + f'Content-Type: multipart/mixed; boundary="{edge}"\r\n\r\n' + ''.join(parts) + f'--{edge}--\r\n', when, ident


def make_house(into, megabytes, boxes=50, seed=1):
    rng = random.Random(f'house/{seed}')
    people = [f'{rng.choice(mailgen.WORDS)}.{n}@corp.example' for n in range(boxes)]
    total, at, past, count = 0, EPOCH, [], 0
    while total < megabytes * 1e6:
        at += rng.randrange(30, 900)
        sender = rng.choice(people)
        old = rng.choice(past[-60:]) if past and rng.random() < 0.45 else None
        subject, body = ' '.join(rng.choices(mailgen.WORDS, k=5)), mailgen.paragraphs(rng, int(rng.lognormvariate(6.8, 0.8)))
        files, answered = [], None
        if old:
            subject, answered = 'Re: ' + old['subject'].removeprefix('Re: '), old['ident']
            body += '\r\n'.join('> ' + line for line in old['body'].split('\r\n')[:60]) + '\r\n'
            files = old['files'] if rng.random() < 0.3 else []
        elif rng.random() < 0.4:
            files = [(encoded(data), name) for data, name in (document(rng) for _ in range(rng.choice((1, 1, 2))))]
        to = rng.sample(people, min(boxes, rng.choice((1, 1, 2, 3, 4, 6, 8, 12))))
        shared, when, ident = letter(rng, sender, to, subject, body, files, answered, at)
        past.append({'subject': subject, 'body': body, 'files': files, 'ident': ident})
        for one in to:
            data = (received(rng, one, when) + shared).encode()
            write(into / f'box{people.index(one):02}', f'{count:06}.eml', data)
            total += len(data)
            count += 1


# ---- For the bench ----------------------------------------------------------------------------

def prepare(folder, megabytes):
    """[(name, folder)], made once and kept for the next time."""
    sample, house = folder / 'sample-mail', folder / f'house-{megabytes}'
    if not (sample / 'complete').exists():
        shutil.rmtree(sample, ignore_errors=True)
        if unpack_sample(sample):
            (sample / 'complete').touch()
        else:
            print('# SKIP list, mixed: there is no sample of real mail beside the project', flush=True)
    if not (house / 'complete').exists():
        shutil.rmtree(house, ignore_errors=True)
        print(f'making {megabytes} MB of mail in {house}', flush=True)
        make_house(house / 'corp', megabytes)
        (house / 'complete').touch()
    found = [(name, sample / name) for name in ('mixed', 'list') if (sample / 'complete').exists()]
    found += [('corp', house / 'corp')]
    if os.environ.get('BENCH_MAIL'):
        own = pathlib.Path(os.environ['BENCH_MAIL'])
        found += [(own.name, own)]
    return found
