"""Runs test cases and says what came of them in TAP.

    @case
    def a_second_fetch_gets_nothing_new(folder): ...

    if __name__ == '__main__':
        main()

A case gets a fresh folder (pathlib), which is removed unless it failed and KEEP is set. It fails by
an exception. Names on the command line choose cases. In CI a server that is missing is a failure;
elsewhere it is a skip.
"""
import os
import pathlib
import shutil
import sys
import tempfile
import time
import traceback

CASES = []


class Skip(Exception):
    """What the machine lacks."""


class MissingServer(Skip):
    """A skip on a person's machine, a failure in CI."""


def case(function):
    CASES.append(function)
    return function


def sentence(function):
    return function.__name__.replace('_', ' ')


def comment(text):
    for line in str(text).splitlines():
        # Bytes from servers get in here: they must not become TAP of their own.
        print('# ' + line.encode('ascii', 'backslashreplace').decode(), flush=True)


def run(number, function):
    folder = pathlib.Path(tempfile.mkdtemp(prefix='popkeep-test-'))
    folder.chmod(0o711)   # a Dovecot that root started runs as nobody, below it
    begin = time.monotonic()
    keep = False
    try:
        function(folder)
        print(f'ok {number} - {sentence(function)}', flush=True)
        good = True
    except Skip as e:
        good = not (isinstance(e, MissingServer) and os.environ.get('CI'))
        word = 'ok' if good else 'not ok'
        skip = ' # SKIP' if good else ' #'
        print(f'{word} {number} - {sentence(function)}{skip} {e}', flush=True)
    except Exception:
        good = False
        print(f'not ok {number} - {sentence(function)}', flush=True)
        comment(traceback.format_exc())
        keep = bool(os.environ.get('KEEP'))
    comment(f'{time.monotonic() - begin:.2f} s')
    if keep:
        comment(f'kept: {folder}')
    else:
        shutil.rmtree(folder, ignore_errors=True)
    return good


def main():
    chosen = sys.argv[1:]
    cases = [c for c in CASES if not chosen or c.__name__ in chosen]
    print(f'1..{len(cases)}', flush=True)
    good = all([run(n, c) for n, c in enumerate(cases, 1)])
    sys.exit(0 if good and cases else 1)


def equal(got, wanted, what='value'):
    if got != wanted:
        raise AssertionError(f'{what}: {shorten(got)} instead of {shorten(wanted)}')


def check(condition, what):
    if not condition:
        raise AssertionError(what)


def shorten(value, limit=2000):
    text = repr(value)
    return text if len(text) <= limit else text[:limit] + f'… ({len(text)} characters)'


def wait_until(condition, seconds, what):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError(f'{what}: not within {seconds} s')
