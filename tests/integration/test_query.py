"""Queries over real mail and the real index: what is found, what is not, what cannot be known yet,
and how a mistake is shown."""
import atexit
import hashlib
import pathlib
import shutil
import tempfile

import dovecot
import popkeep
import tap
from popkeep import DONE, NOTHING, PARTLY, USAGE
from tap import case, check, equal


def mail(number, *lines):
    head = [f'Message-ID: <m{number}@query.example>', *lines]
    return ('\r\n'.join(head) + f'\r\n\r\nThe text of message {number}.\r\n').encode()


ATTACHED = ('MIME-Version: 1.0', 'Content-Type: multipart/mixed; boundary=b', '', '--b',
            'Content-Type: application/pdf; name="Bilanz 2026.pdf"',
            'Content-Disposition: attachment; filename="Bilanz 2026.pdf"', '', 'x', '--b--')
MAIL = {
    'mueller': mail(1, 'From: =?ISO-8859-1?Q?Anna_M=FCller?= <anna@one.example>',
                    'To: bob@one.example', 'Subject: Quarterly report',
                    'Date: Sat, 31 Jan 2026 23:30:00 -0500'),
    'bob': mail(2, 'From: Bob <bob@one.example>', 'To: Anna <anna@one.example>',
                'Cc: carol@two.example', 'Subject: Re: report, quarterly',
                'Date: Sun, 01 Feb 2026 00:30:00 +0100'),
    'attached': mail(3, 'From: carol@two.example', 'To: list@two.example',
                     'Subject: =?UTF-8?B?w5ZmZm51bmdzemVpdGVu?=', 'Date: 1 Mar 2026 12:00:00 GMT',
                     *ATTACHED),
    'undated': mail(4, 'From: dave@two.example', 'Subject: invoice NEAR AND "quoted"',
                    'Date: one day'),
}


class Keep(popkeep.Popkeep):
    zone = 'UTC'
    worker = None

    def environment(self):
        env = super().environment() | {'TZ': self.zone}
        return env | ({'POPKEEP_WORKER': self.worker} if self.worker else {})

    def found(self, *query, code=(DONE, NOTHING)):
        """The names of what a query finds."""
        names = {hashlib.sha256(text).hexdigest(): name for name, text in MAIL.items()}
        lines = self.json('search', *query, code=code).of_type('message')
        return sorted(names[line['digest']] for line in lines)


class Shared:
    keep = None


def import_all(keep, folder, account='anna'):
    source = folder / 'source'
    source.mkdir()
    for name, text in MAIL.items():
        (source / f'{name}.eml').write_bytes(text)
    keep.run('import', source, '--account', account)


def shared():
    """An archive of all of MAIL, which no case changes."""
    if Shared.keep is None:
        folder = pathlib.Path(tempfile.mkdtemp(prefix='popkeep-test-'))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        keep = Keep(folder)
        keep.write_config()
        keep.init()
        import_all(keep, folder)
        Shared.keep = keep
    Shared.keep.zone = 'UTC'
    return Shared.keep


def fresh(folder):
    keep = Keep(folder)
    keep.write_config()
    keep.init()
    import_all(keep, folder)
    return keep


@case
def words_are_found_whatever_their_case_and_accents(folder):
    keep = shared()
    equal(keep.found('from:MULLER'), ['mueller'], 'without the umlaut')
    equal(keep.found('from:müller'), ['mueller'], 'with it')
    equal(keep.found('subject:offnungszeiten'), ['attached'], 'an encoded subject')
    equal(keep.found('anna@one.example'), ['bob', 'mueller'], 'an address in any field')
    equal(keep.found('to:anna'), ['bob'], 'in one')
    equal(keep.found('cc:carol'), ['bob'], 'in Cc')
    equal(keep.found('bilanz'), ['attached'], 'the name of an attachment')
    equal(keep.found('invoi*'), ['undated'], 'a beginning')
    equal(keep.found('message'), [], 'not the text')


@case
def phrases_keep_their_order(folder):
    keep = shared()
    equal(keep.found('subject:"quarterly report"'), ['mueller'], 'in marks')
    equal(keep.found('subject:quarterly report'), ['mueller'], 'the shell took the marks')
    equal(keep.found('quarterly', 'report'), ['bob', 'mueller'], 'two words')
    equal(keep.found('"report quarterly"'), ['bob'], 'the other order')
    equal(keep.found('subject:"NEAR AND \\"quoted\\""'), ['undated'], 'no syntax of FTS5')


@case
def conditions_make_trees(folder):
    keep = shared()
    equal(keep.found('(from:bob OR from:carol) NOT has:attachment'), ['bob'], 'a tree')
    equal(keep.found('NOT from:bob', '--', '-quarterly'), ['attached', 'undated'], 'not')
    equal(keep.found('has:attachment'), ['attached'], 'attachments')
    equal(keep.found('msgid:<m2@query.example>'), ['bob'], 'Message-ID')
    equal(keep.found('account:anna', 'size:<100K', 'from:dave'), ['undated'], 'with the catalog')
    equal(keep.found('account:nobody OR from:dave'), ['undated'], 'or')


@case
def days_are_those_of_the_callers_zone(folder):
    keep = shared()
    # 31 January 23:30 -0500 is 1 February 04:30 UTC; 1 February 00:30 +0100 is 31 January 23:30.
    equal(keep.found('on:2026-01-31'), ['bob'], 'in UTC')
    equal(keep.found('on:2026-02-01'), ['mueller'], 'in UTC, a day later')
    keep.zone = 'EST5'
    equal(keep.found('on:2026-01-31'), ['bob', 'mueller'], 'in New York')
    keep.zone = 'CET-1'
    equal(keep.found('on:2026-02-01'), ['bob', 'mueller'], 'in Berlin')
    equal(keep.found('on:2026-02-01', '--utc'), ['mueller'], 'in Berlin, with --utc')
    equal(keep.found('before:2026-02-01T00:30+01:00'), [], 'before the minute')
    equal(keep.found('after:2026-02-01T00:29+01:00', 'before:2026-02-02'), ['bob', 'mueller'],
          'behind the one before it')


@case
def before_on_and_after_say_nothing_of_what_has_no_date(folder):
    keep = shared()
    dated = ['attached', 'bob', 'mueller']
    equal(keep.found('before:2026-03-01 OR on:2026-03-01 OR after:2026-03-01'), dated, 'all three')
    equal(keep.found('NOT date:>=1000'), ['undated'], 'the rest')
    equal(keep.found('date:2026-01'), ['bob'], 'a month')
    equal(keep.found('after:2025', 'before:2027'), dated, 'years')


@case
def lines_tell_what_the_index_knows(folder):
    keep = shared()
    line = keep.json('search', 'from:muller').of_type('message')[0]
    equal(line['from'], 'Anna Müller <anna@one.example>', 'from')
    equal(line['to'], 'bob@one.example', 'to')
    equal(line['subject'], 'Quarterly report', 'subject')
    equal(line['date'], '2026-02-01T04:30:00.000Z', 'date')
    equal(line['message_id'], 'm1@query.example', 'message_id')
    equal(line['attachments'], 0, 'attachments')
    equal(keep.json('search', 'from:dave').of_type('message')[0]['date'], None, 'no date')
    check('Anna Müller' in keep.run('search', 'from:muller').out.decode(), 'the listing')


@case
def an_account_is_all_that_ever_came_under_its_name(folder):
    folder.chmod(0o711)
    try:
        server = dovecot.Dovecot(folder / 'dovecot', {'anna': 'secret'})
    except dovecot.Missing as e:
        raise tap.MissingServer(e) from e
    with server:
        server.deliver('anna', [MAIL['bob'], MAIL['undated']])
        keep = Keep(folder)
        keep.account('anna', server.tls, tls='implicit', ca=server.ca, host='localhost')
        keep.fetch()
    import_all(keep, folder)
    keep.run('import', folder / 'source' / 'attached.eml', '--account', 'carol')
    equal(keep.found('account:anna'), sorted(MAIL), 'fetched and imported')
    equal(keep.found('account:carol'), ['attached'], 'known already, under another account')
    equal(keep.found('account:anna', 'quarterly'), ['bob', 'mueller'], 'with words')
    equal(keep.found('quarterly', 'NOT account:carol'), ['bob', 'mueller'], 'not')


@case
def what_is_not_indexed_is_said_and_not_guessed(folder):
    keep = fresh(folder)
    keep.worker = '/bin/false'
    equal(keep.found('from:bob'), [], 'not known')
    equal(keep.found('NOT from:bob'), [], 'nor the contrary')
    answer = keep.json('search', 'from:bob', code=NOTHING)
    equal(answer.summary['not_indexed'], len(MAIL), 'in JSON')
    check('4 messages are not indexed yet' in answer.err, answer.err)
    answer = keep.run('search', 'size:>0', 'account:anna')
    check('not indexed' not in answer.err, 'the catalog is enough')
    export = ['export', 'account:anna NOT from:bob', '--format', 'eml', '--output', folder / 'out']
    refused = keep.run(*export, code=PARTLY)
    check('4 messages are not indexed yet' in refused.err
          and '--accept-unindexed' in refused.err, refused.err)
    check(not (folder / 'out').exists(), 'nothing was written')
    restore = ['restore', 'from:bob', '--to', f'maildir:{folder / "mail"}']
    refused = keep.run(*restore, code=PARTLY)
    check('4 messages are not indexed yet' in refused.err, refused.err)
    check(not (folder / 'mail').exists(), 'nothing was restored')
    keep.run('export', 'account:anna', '--format', 'eml', '--output', folder / 'all')
    accepted = keep.run(*export, '--accept-unindexed', code=NOTHING)
    check('left out' in accepted.err, accepted.err)
    one = hashlib.sha256(MAIL['bob']).hexdigest()
    some = keep.json('export', f'id:{one} OR from:nobody', '--accept-unindexed', '--format', 'eml',
                     '--output', folder / 'some')
    equal((some.summary['messages'], some.summary['not_indexed']), (1, len(MAIL) - 1), 'left out')
    check('Not indexed:  3 left out by --accept-unindexed' in
          (folder / 'some' / 'summary.txt').read_text(), 'the summary for people')
    keep.worker = None
    equal(keep.found('from:bob'), ['bob'], 'indexed in passing')
    keep.run(*export)
    keep.run(*restore)
    equal([p.read_bytes() for p in (folder / 'mail').rglob('cur/*')], [MAIL['bob']], 'restored')


@case
def a_damaged_index_is_made_again_or_named(folder):
    keep = fresh(folder)
    equal(keep.found('from:bob'), ['bob'], 'indexed')
    search = keep.archive / 'search' / 'search.db'
    for name in ('search.db-wal', 'search.db-shm'):
        (search.parent / name).unlink(missing_ok=True)
    size = search.stat().st_size
    with search.open('r+b') as f:
        f.seek(4096)
        f.write(b'\xa5' * (size - 4096))
    result = keep.json('search', 'from:bob', code=None)
    check(result.code == DONE or 'popkeep index --rebuild' in result.err, str(result))
    keep.run('index', '--rebuild')
    equal(keep.found('from:bob'), ['bob'], 'again')


@case
def a_mistake_is_shown_with_its_place(folder):
    keep = shared()
    wrong = keep.run('search', 'from:bob', 'subjct:report', code=USAGE)
    check('did you mean subject:?' in wrong.err, wrong.err)
    check('\n  from:bob subjct:report\n           ^~~~~~\n' in wrong.err, wrong.err)
    wrong = keep.run('export', 'from:müller (size:>1X)', '--format', 'eml', '--output', folder / 'o',
                     code=USAGE)
    check('\n  from:müller (size:>1X)\n                    ^~~\n' in wrong.err, wrong.err)
    explained = keep.run('search', '--explain', '--utc', 'from:Anna Smith', 'OR', 'on:2026-01-31')
    check(b'From has "Anna Smith"' in explained.out, explained.out)
    line = keep.json('search', '--explain', 'size:>1K').lines[0]
    equal((line['query'], line['uses_index']), ('size:>=1025', False), 'JSON')


tap.main()
