"""Adds up single test cases: count.py TESTLOG.json [TAP-FILE…]

Reads Meson's log of a run, one JSON object for each test program, and what the program printed if
that is TAP. A program that failed without a failed case (it crashed, ran too long, or promised
more cases than it ran) counts as one that failed. The last line printed is the sum.
"""
import json
import re
import sys

LINE = re.compile(r'^(ok|not ok)\b(.*)$')
PLAN = re.compile(r'^1\.\.(\d+)')
SKIP = re.compile(r'#\s*skip\b', re.IGNORECASE)


def count_tap(text):
    """(passed, failed, skipped names, planned or None)"""
    passed = failed = 0
    skipped = []
    planned = None
    for line in text.splitlines():
        if m := PLAN.match(line):
            planned = int(m[1])
        if not (m := LINE.match(line)):
            continue
        if m[1] == 'not ok':
            failed += 1
        elif SKIP.search(m[2]):
            skipped.append(m[2].strip(' -'))
        else:
            passed += 1
    return passed, failed, skipped, planned


def count_program(run):
    text = run.get('stdout') or ''
    passed, failed, skipped, planned = count_tap(text)
    good = run['result'] in ('OK', 'EXPECTEDFAIL')
    if planned is None and passed + failed == 0:
        if run['result'] == 'SKIP':
            return 0, 0, [run['name']]
        return (1, 0, []) if good else (0, 1, [])
    if failed == 0 and not good and run['result'] != 'SKIP':
        failed = 1
    if failed == 0 and planned is not None and planned != passed + len(skipped):
        failed = 1
    return passed, failed, skipped


def main(log, *taps):
    passed = failed = 0
    skipped = []
    bad = []
    try:
        with open(log, encoding='utf-8') as lines:
            runs = [json.loads(line) for line in lines]
    except OSError as e:
        print(f'no log of the tests: {e}', file=sys.stderr)
        runs = []
    for run in runs:
        p, f, s = count_program(run)
        passed, failed, skipped = passed + p, failed + f, skipped + s
        if f:
            bad.append(f"{run['name']}: {f} failed ({run['result']})")
    for tap in taps:
        with open(tap, encoding='utf-8') as file:
            text = file.read()
        p, f, s, _ = count_tap(text)
        passed, failed, skipped = passed + p, failed + f, skipped + s
        bad += [line for line in text.splitlines() if line.startswith('not ok')]
    for name in skipped:
        print(f'skipped: {name}')
    for name in bad:
        print(name)
    print(f'{passed} passed, {failed} failed')
    return 0 if passed and not failed else 1


if __name__ == '__main__':
    sys.exit(main(*sys.argv[1:]))
