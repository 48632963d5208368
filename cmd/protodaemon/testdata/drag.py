"""Drags messages of a mailbox as a mail program does, with Python's imaplib.

usage: drag.py HOST PORT CA_FILE USER PASSWORD FROM TO
Copies the first message of FROM to TO, then moves the second one (now the
first) there, and prints the subject of each.
"""
import email
import email.header
import imaplib
import ssl
import sys

host, port, ca, user, password, source, target = sys.argv[1:]
imap = imaplib.IMAP4_SSL(host, int(port), ssl_context=ssl.create_default_context(cafile=ca))
imap.login(user, password)
names = [line.decode().rsplit(' ', 1)[-1].strip('"') for line in imap.lsub()[1]]
assert target in names, names
imap.select(source)
uids = imap.uid('SEARCH', None, 'ALL')[1][0].split()
for verb, uid in (('COPY', uids[0]), ('MOVE', uids[1])):
    raw = imap.uid('FETCH', uid, '(BODY.PEEK[HEADER])')[1][0][1]
    print(verb, email.message_from_bytes(raw)['Message-ID'])
    status, data = imap.uid(verb, uid, target)
    assert status == 'OK', (verb, status, data)
left = imap.uid('SEARCH', None, 'ALL')[1][0].split()
assert uids[0] in left and uids[1] not in left, left
imap.logout()
