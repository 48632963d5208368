"""What Python's email package needs to take messages apart; see gmime.c."""

import email
import json
import resource
import sys


def cpu():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


messages = []
for name in sys.stdin:
    with open(name.rstrip("\n"), "rb") as f:
        messages.append(f.read())
begun = cpu()
for _ in range(int(sys.argv[1])):
    parts = sum(1 for raw in messages for _ in email.message_from_bytes(raw).walk())
print(json.dumps({"bytes": sum(map(len, messages)), "parts": parts, "cpu": cpu() - begun}))
