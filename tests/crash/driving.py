"""Runs the driver and judges what it says of an archive.

The promises: what was acknowledged is there, once, and reads; nothing is there that was never
committed; verify finds nothing; the next run goes on; rebuild makes the same catalog.
"""
import collections
import os
import pathlib
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / 'integration'))

DRIVER = os.environ.get('CRASH_DRIVER', '')
RECORDER = os.environ.get('CRASH_RECORDER', '')
ALL = bool(os.environ.get('POPKEEP_CRASH_ALL'))
GROUPS = 12
WRITE_FAILED = 74

# Under strace there is no leak checker; before the recorder there is no sanitizer.
SANITIZER = os.environ.get('ASAN_OPTIONS', '')
QUIET = {'ASAN_OPTIONS': ':'.join(filter(None, [SANITIZER, 'detect_leaks=0', 'verify_asan_link_order=0']))}


class Broken(AssertionError):
    """A promise that was not kept."""


def fast_folder():
    """Where syncs cost nothing: what is durable is not asked of the disk here."""
    shm = pathlib.Path('/dev/shm')
    return str(shm) if shm.is_dir() and os.access(shm, os.W_OK) else tempfile.gettempdir()


def run(*args, env=None, before=()):
    done = subprocess.run([*before, DRIVER, *map(str, args)], env={**os.environ, **(env or {})},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120)
    done.text = done.stdout.decode('ascii', 'backslashreplace')
    done.errors = done.stderr.decode('ascii', 'backslashreplace')
    return done


def work(archive, begin=0, end=GROUPS, **options):
    return run('work', archive, begin, end, **options)


def rebuild(archive, **options):
    return run('rebuild', archive, **options)


def told(text):
    """What lines of the driver acknowledge: (word, digest, maildrop, uidl) -> how often; of what was
    sealed (word, -, segment, messages)."""
    return collections.Counter(tuple(line.split()) for line in text.splitlines()
        if line.startswith(('kept ', 'refused ', 'sealed ')) and len(line.split()) == 4)


def told_in_all(texts):
    """What is acknowledged again after a crash is not there twice."""
    together = collections.Counter()
    for text in texts:
        together |= told(text)
    return together


class Content:
    """What `driver check` found before it went on."""

    def __init__(self, text):
        self.messages = collections.Counter()
        self.known = {}
        self.keeps = collections.Counter()
        self.sealed, self.replaced = set(), set()   # segments that the ledger names
        self.notices = []
        self.wrong = []
        self.fault = ''
        for line in text.splitlines():
            word, _, rest = line.partition(' ')
            if word == 'message':
                self.messages[rest.split()[0]] += 1
            elif word == 'known':
                state, drop, uidl, copies = re.match(r'(\d+) (\d+) ([0-9a-f]*) (\d+)$', rest).groups()
                self.known.setdefault((drop, uidl), []).append((int(state), int(copies)))
            elif word == 'line' and ' event=keep ' in line:
                digest = re.search(r' digest=([0-9a-f]+)', line)
                self.keeps[digest[1] if digest else line] += 1
            elif word == 'line' and ' event=seal ' in line:
                self.sealed.add(int(re.search(r' segment=(\d+)', line)[1]))
                self.replaced |= set(map(int, re.search(r' replaces=([\d,]+)', line)[1].split(',')))
            elif word == 'notice':
                self.notices.append(rest)
            elif word == 'WRONG':
                self.wrong.append(rest)
            elif word == 'FAULT':
                self.fault = rest


def judge(content, acknowledged, possible):
    """Raises Broken with all that is not as promised."""
    wrong = list(content.wrong)
    if content.fault:
        wrong.append(f'fault {content.fault}')
    if any('in no segment' in notice for notice in content.notices):
        wrong.append('kept and in no segment')
    for word, digest, drop, uidl in acknowledged:
        states = content.known.get((drop, uidl), [])
        if word == 'kept' and (digest not in content.messages or (0, acknowledged[word, digest, drop, uidl]) not in states):
            wrong.append(f'acknowledged and not there: {digest} {drop} {uidl[:40]}')
        if word == 'refused' and not any(state == 2 for state, _ in states):
            wrong.append(f'refusal forgotten: {drop} {uidl}')
        if word == 'sealed' and int(drop) not in content.sealed:
            wrong.append(f'acknowledged and not sealed: {drop}')
    digests = {key[1] for key in possible}
    for digest, times in (content.messages + content.keeps).items():
        if digest not in digests:
            wrong.append(f'never committed: {digest}')
    for digest, times in content.keeps.items():
        if times != 1 or content.messages[digest] != 1:
            wrong.append(f'kept {times} times, listed {content.messages[digest]} times: {digest}')
    if wrong:
        raise Broken('\n'.join(wrong[:12]))


def check(archive, acknowledged, possible, tag=1, strays=False, **options):
    """strays: files that no line of the ledger leads to may be left."""
    done = run('check', archive, tag, **options)
    content = Content(done.text)
    judge(content, acknowledged, possible)
    if done.returncode != 0:
        raise Broken(f'check ended with {done.returncode}: {done.text[-300:]} {done.errors[-2000:]}')
    left = [] if strays else stray_files(archive, content)
    if left:
        raise Broken(f'left behind in segments/: {left}')
    return content


def stray_files(archive, content):
    """What jobs that died left, and tidying did not remove."""
    strays = []
    for path in sorted((archive / 'segments').iterdir()):
        number = re.match(r'(\d+)(\.open)?\.tar\.zst$', path.name)
        is_whole = number and (number[2] or int(number[1]) in content.sealed)
        if not is_whole or int(number[1]) in content.replaced:
            strays.append(path.name)
    return strays


def file_numbers(archive):
    """Highest numbers of segment and ledger files."""
    def highest(folder):
        numbers = [int(path.name.split('.')[0]) for path in (archive / folder).glob('[0-9]*')]
        return max(numbers, default=0)
    return highest('segments'), highest('ledger')
