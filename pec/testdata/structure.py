"""What Python's email package sees in messages, in the terms of package pec.

Reads file names from standard input, one a line, and prints for each a line of
JSON: [name, kind, shown, inside]. shown are the files of the message a person
wrote, by the rules of docs/formats.md; inside are all files that are listed when
the whole message is attached to another. A file is [part, media type, size,
SHA-256, name]; the size is -1 where Python keeps no bytes (of a message). shown
is null where Python cannot tell: it does not read CMS.

It knows nothing of the code it is compared with.
"""

import email
import email.header
import hashlib
import json
import re
import sys

SIGNATURES = {"application/pkcs7-signature", "application/x-pkcs7-signature", "application/pgp-signature"}
OPAQUE = {"application/pkcs7-mime", "application/x-pkcs7-mime"}
NAMESPACES = re.compile(rb"xmlns[^=]*=\s*[\"']http://uri\.etsi\.org/(19522/v1|02640/v2)#")


def name_of(part):
    raw = part.get_filename()
    if not raw:
        return ""
    if any(0xDC80 <= ord(c) <= 0xDCFF for c in raw):
        octets = raw.encode("utf-8", "surrogateescape")
        try:
            raw = octets.decode("utf-8")
        except UnicodeDecodeError:
            raw = octets.decode("windows-1252", "replace")
    try:
        return str(email.header.make_header(email.header.decode_header(raw)))
    except (LookupError, UnicodeError, email.errors.HeaderParseError):
        return raw


def is_file(part):
    return part.get_content_disposition() == "attachment" or bool(part.get_filename())


def encoded(part):
    return str(part.get("Content-Transfer-Encoding", "")).strip().lower() in ("base64", "quoted-printable")


def bytes_of(part):
    """The decoded content, or None where Python has parsed it into parts."""
    if part.is_multipart() and part.get_content_maintype() == "message":
        if part.get_content_type() == "message/rfc822" and encoded(part):
            inner = part.get_payload(0)
            inner["Content-Transfer-Encoding"] = part["Content-Transfer-Encoding"]
            return inner.get_payload(decode=True)
        return None
    return part.get_payload(decode=True)


def message_in(part):
    """The message that a part is, if it is one."""
    media = part.get_content_type()
    if media == "message/rfc822" and part.is_multipart() and not encoded(part):
        return part.get_payload(0)
    if media in ("message/rfc822", "message/global") or name_of(part).lower().endswith((".eml", ".m7m")):
        content = bytes_of(part)
        return email.message_from_bytes(content) if content is not None else None
    return None


def leaves(root, path="", nested=False, inside=True):
    """Yields (part, path, nested, is a signature), as IMAP counts parts."""

    def walk(part, path, nested, signature):
        if part.get_content_maintype() == "multipart" and part.is_multipart():
            for i, child in enumerate(part.get_payload(), 1):
                below = f"{path}.{i}" if path else str(i)
                yield from walk(child, below, nested, i == 2 and part.get_content_type() == "multipart/signed")
            return
        yield part, path, nested, signature
        if inside:
            message = message_in(part)
            if message is not None:
                yield from top(message, path, True)

    def top(message, path, nested):
        if not (message.get_content_maintype() == "multipart" and message.is_multipart()):
            path = f"{path}.1" if path else "1"
        yield from walk(message, path, nested, False)

    yield from top(root, path, nested)


def files(root, path="", nested=False):
    plain = page = None
    if not nested:
        for part, _, _, _ in leaves(root, inside=False):
            if is_file(part):
                continue
            if part.get_content_type() == "text/plain" and plain is None:
                plain = part
            if part.get_content_type() == "text/html" and page is None:
                page = part
    listed = []
    for part, where, deep, signature in leaves(root, path, nested):
        media = part.get_content_type()
        if part is plain or part is page or signature and media in SIGNATURES:
            continue
        if deep and media.startswith("text/") and not is_file(part):
            continue
        content = bytes_of(part)
        size, digest = (-1, "") if content is None else (len(content), hashlib.sha256(content).hexdigest())
        listed.append([where, media, size, digest, name_of(part)])
    return listed


def shown(message):
    if message.get_content_type() in OPAQUE:
        return "", None
    if message.get_content_type() != "multipart/signed" or not message.is_multipart():
        return "email", files(message)
    content = message.get_payload(0)
    parts = content.get_payload() if content.get_content_maintype() == "multipart" and content.is_multipart() else []
    originals = [p for p in parts if p.get_content_type() == "message/rfc822" or name_of(p).lower() == "postacert.eml"]
    originals = [p for p in originals if name_of(p).lower() == "postacert.eml"] or originals
    certificates = [p for p in parts if name_of(p).lower() in ("daticert.xml", "certdata.xml")]
    evidence = [p for p in parts if p.get_content_type().endswith("/xml") and p not in certificates and NAMESPACES.search(bytes_of(p) or b"")]
    transport = str(message.get("X-Trasporto", "")).strip().lower()
    if transport == "posta-certificata":
        kind = "pec-transport"
    elif transport == "errore":
        kind = "pec-anomaly"
    elif "X-Ricevuta" in message:
        kind = "pec-receipt"
    elif evidence:
        kind = "rem"
    elif len(certificates) == 1:
        kind = "pec-transport" if b'tipo="posta-certificata"' in bytes_of(certificates[0]) else "pec-receipt"
    else:
        return "email", files(message)
    if len(originals) != 1:
        return kind, []
    original = message_in(originals[0])
    if original is None:
        original = email.message_from_bytes(bytes_of(originals[0]))
    if original.get_content_type() in OPAQUE:
        return kind, None
    return kind, files(original)


for line in sys.stdin:
    line = line.strip()
    with open(line, "rb") as f:
        raw = f.read()
    kind, listed = shown(email.message_from_bytes(raw))
    inside = files(email.message_from_bytes(raw), "1", True)
    print(json.dumps([line, kind, listed, inside]))
