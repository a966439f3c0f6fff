"""Runs imap_put (daemon/imap_session.h), and mail for it."""
import os
import pathlib
import subprocess

PUT = pathlib.Path(os.environ['POPKEEP_BUILD']) / 'tests/integration/imap_put'


def mail(number, size=600):
    head = f'From: a@example.com\r\nMessage-ID: <{number}@example.com>\r\n\r\n'.encode()
    return head + b'line of a message\r\n' * ((size - len(head)) // 19 + 1)


def put(url, *files, password='geheim', options=(), check=True):
    """The lines that it says; the last but one tells of a failure."""
    done = subprocess.run([PUT, *options, url, *files], text=True, errors='surrogateescape',
                          env=dict(os.environ, PASSWORD=password), stdout=subprocess.PIPE,
                          timeout=120)
    lines = done.stdout.splitlines()
    if check:
            assert done.returncode == 0, lines[-3:]
    return lines


def files(folder, mails):
    paths = []
    for number, data in enumerate(mails):
        path = folder / f'{number:05}.eml'
        path.write_bytes(data)
        paths.append(path)
    return paths


def of(lines, word):
    return [line for line in lines if line.startswith(word + ' ')]
