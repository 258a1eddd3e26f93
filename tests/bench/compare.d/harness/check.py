"""Whether a target does the work at all: what is wrong is not worth measuring."""

import http.client
import json

from harness.processes import Failed
from harness.targets import TOKEN

TIMEOUT_SECONDS = 5

# What is asked of a translator: name, ticket, status, key; status and error code or message wanted.
TRANSLATIONS = [
    ("a call", 10, "resolved", "key-probe", 200, "Status changed to resolved"),
    ("a word that differs", 10, "in-progress", "key-probe", 200, "Status changed to in-progress"),
    ("an unknown status", 10, "melted", "key-probe", 400, None),
    ("an id that the upstream refuses", 99, "resolved", "key-probe", 404, None),
    ("a closed case", 11, "resolved", "key-probe", 400, None),
    ("no key", 10, "resolved", None, 401, None),
    ("a wrong key", 10, "resolved", "key-nobody", 401, None),
]
# Of these, the ones that move a case.
MOVES = 2


def ask(port, method, path, headers, body=None):
    """One request on a connection of its own; the status and the JSON of the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS)
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        text = answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise Failed(f"{method} {path}: {error!r}") from error
    finally:
        connection.close()
    try:
        return answer.status, json.loads(text)
    except ValueError:
        return answer.status, None


def upstream_counts(port):
    """What the upstream has seen so far."""
    return ask(port, "GET", "/counts", {})[1]


def complaints(target, port, upstream_port):
    """What the target does wrong; nothing when it does the work."""
    if target.kind == "translate":
        return translator_complaints(port, upstream_port)
    return forwarder_complaints(port)


def forwarder_complaints(port):
    """A proxy that translates nothing hands on what the upstream says."""
    headers = {"Thalamus-Token": TOKEN, "Thalamus-Touchpoint": "web", "Content-Type": "application/json"}
    found = []
    for case, wanted in ((10, 201), (99, 400)):
        path = f"/api/v4/cases/{case}/transitions"
        status, _body = ask(port, "PUT", path, headers, '{"statusName":"resolved"}')
        if status != wanted:
            found.append(f"case {case}: {status} and not {wanted}")
    return found


def translator_complaints(port, upstream_port):
    """Every translation gets its answer, and the upstream moves a case where it should."""
    before = upstream_counts(upstream_port)["moved"]
    found = [complaint for case in TRANSLATIONS for complaint in translation_complaints(port, *case)]
    moved = upstream_counts(upstream_port)["moved"] - before
    if moved != MOVES:
        found.append(f"the upstream moved a case {moved} times and not {MOVES}")
    return found


def translation_complaints(port, name, ticket, status, key, wanted, message):
    """One call of a Series.hr client."""
    headers = {"Content-Type": "application/json", **({"apikey": key} if key else {})}
    body = json.dumps({"status": status, "staffUserId": 987654321})
    code, answer = ask(port, "POST", f"/tickets/{ticket}/status", headers, body)
    if code == wanted and answer_fits(answer, wanted, message):
        return []
    return [f"{name}: {code} {json.dumps(answer)}, wanted {wanted}"]


def answer_fits(answer, status, message):
    """Whether a body is Series.hr's for the status."""
    if message:
        return answer == {"success": True, "data": {"message": message}}
    return (isinstance(answer, dict) and answer.get("success") is False
            and (answer.get("error") or {}).get("code") == status)
