"""An IMAP client that shares nothing with popkeep: what is in a mailbox, and putting more there.

    with Client(server.imap, 'anna', 'secret', 'starttls', server.ca) as mailbox:
        mailbox.create('Archive/Übung')
        mailbox.append('Archive/Übung', b'Subject: x\\r\\n\\r\\n', flags=['\\\\Seen'], when=1600000000)
        for mail in mailbox.fetch('Archive/Übung'):
            mail.digest, mail.flags, mail.when
"""
import base64
import calendar
import dataclasses
import hashlib
import imaplib
import re
import ssl
import time

BATCH = 500


class ImapError(Exception):
    pass


@dataclasses.dataclass
class Mail:
    uid: int
    flags: frozenset      # without \Recent
    when: int             # INTERNALDATE, as seconds since 1970
    size: int             # RFC822.SIZE
    data: bytes

    @property
    def digest(self):
        return hashlib.sha256(self.data).hexdigest()


def encode_name(name):
    """RFC 3501 5.1.3: modified UTF-7."""
    def shift(match):
        if match[0] == '&':
            return '&-'
        packed = base64.b64encode(match[0].encode('utf-16-be')).rstrip(b'=')
        return '&' + packed.replace(b'/', b',').decode() + '-'
    return re.sub(r'&|[^ -~]+', shift, name)


def decode_name(name):
    def unshift(match):
        if not match[1]:
            return '&'
        packed = match[1].replace(',', '/')
        return base64.b64decode(packed + '=' * (-len(packed) % 4)).decode('utf-16-be')
    return re.sub(r'&([^-]*)-', unshift, name)


def quoted(name):
    return '"' + encode_name(name).replace('\\', '\\\\').replace('"', '\\"') + '"'


def unquoted(word):
    word = word.decode()
    if word.startswith('"'):
        word = re.sub(r'\\(.)', r'\1', word[1:-1])
    return decode_name(word)


def seconds(text):
    """Of an INTERNALDATE: ' 7-Jul-1996 02:44:25 -0700'."""
    local = calendar.timegm(time.strptime(text[:20].strip(), '%d-%b-%Y %H:%M:%S'))
    zone = int(text[22:24]) * 3600 + int(text[24:26]) * 60
    return local + zone if text[21] == '-' else local - zone


def internaldate(when):
    # Not imaplib's Time2Internaldate: that one gives the zone of this machine.
    return time.strftime('"%d-%b-%Y %H:%M:%S +0000"', time.gmtime(when))


class Client:
    def __init__(self, port, user, password, tls=None, ca=None, host='127.0.0.1', timeout=60):
        """tls: None, 'starttls' or 'implicit'."""
        context = None
        if tls:
            context = ssl.create_default_context(cafile=str(ca))
            context.check_hostname = False   # the certificate has the name localhost
        if tls == 'implicit':
            self.imap = imaplib.IMAP4_SSL(host, port, ssl_context=context, timeout=timeout)
        else:
            self.imap = imaplib.IMAP4(host, port, timeout=timeout)
        if tls == 'starttls':
            self.imap.starttls(context)
        self.said(self.imap.login(user, password))

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        try:
            self.imap.logout()
        except OSError:
            pass
        except imaplib.IMAP4.error:
            pass

    @staticmethod
    def said(answer):
        status, data = answer
        if status != 'OK':
            text = b' '.join(d for d in data if isinstance(d, bytes))
            raise ImapError(text.decode('utf-8', 'replace'))
        return data

    def folders(self):
        """{name: flags}, as the server names them."""
        found = {}
        for entry in self.said(self.imap.list()):
            if entry is None:
                continue
            name = None
            if isinstance(entry, tuple):   # a name that came as a literal
                entry, name = entry
            match = re.match(rb'\(([^)]*)\) (NIL|"(?:\\.|[^"\\])*") ?(.*)$', entry, re.S)
            self.separator = None if match[2] == b'NIL' else unquoted(match[2])
            name = decode_name(name.decode()) if name else unquoted(match[3])
            found[name] = match[1].decode().split()
        return found

    def create(self, name):
        self.said(self.imap.create(quoted(name)))

    def append(self, folder, data, flags=(), when=None):
        # Not imaplib's append: that one mends line ends.
        self.imap.literal = data
        words = [quoted(folder), '(' + ' '.join(flags) + ')']
        words += [] if when is None else [internaldate(when)]
        self.said(self.imap._simple_command('APPEND', *words))

    def count(self, folder):
        answer = self.said(self.imap.status(quoted(folder), '(MESSAGES)'))
        return int(re.search(rb'MESSAGES (\d+)', answer[-1])[1])

    def uids(self, folder):
        self.said(self.imap.select(quoted(folder), readonly=True))
        return [int(uid) for uid in self.said(self.imap.uid('SEARCH', 'ALL'))[0].split()]

    def fetch(self, folder):
        """All of a folder's mail, by UID, with no flag changed."""
        uids, found = self.uids(folder), []
        for at in range(0, len(uids), BATCH):
            wanted = ','.join(map(str, uids[at:at + BATCH]))
            answer = self.said(self.imap.uid(
                'FETCH', wanted, '(UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])'))
            found += [self.mail(*pair) for pair in answer if isinstance(pair, tuple)]
        return found

    @staticmethod
    def mail(head, data):
        flags = re.search(rb'FLAGS \(([^)]*)\)', head)[1].decode().split()
        return Mail(
            uid=int(re.search(rb'UID (\d+)', head)[1]),
            flags=frozenset(f for f in flags if f != r'\Recent'),
            when=seconds(re.search(rb'INTERNALDATE "([^"]*)"', head)[1].decode()),
            size=int(re.search(rb'RFC822.SIZE (\d+)', head)[1]), data=data)

    def digests(self, folder):
        return sorted(mail.digest for mail in self.fetch(folder))
