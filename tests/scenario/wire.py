"""The wire of docs/protocol, written a second time from its description and not from the daemon's sources."""

import datetime
import hashlib
import hmac
import json
import re
import socket
import uuid

REQUEST = b"luminous-healing/2 request\n"
RESPONSE = b"luminous-healing/2 response\n"
EVENT = b"luminous-healing/2 event\n"
MAX_FRAME = 65536

# Members in their order; those in brackets of the description may be absent.
RESPONSE_MEMBERS = ["request_id", "success", "output", "error", "duration_ms", "code", "verdict", "audit_seq",
                    "retry_after_ms", "output_truncated", "result", "replayed"]
ALWAYS = RESPONSE_MEMBERS[:9]
UNPROVEN = {"bad_request", "bad_signature", "unknown_caller", "busy"}  # the only codes that may come without a MAC
UNREAD = UNPROVEN | {"peer_not_allowed"}  # refused before the request's members were read, its id too

ENVELOPE = re.compile(rb'\{"v":2,"mac":(?:null|"([0-9a-f]{64})"),"(response|event)":(\{.*\})\}', re.DOTALL)


class WireError(AssertionError):
    """What came from the daemon is not what the protocol promises."""


def mac_of(key, prefix, *parts):
    return hmac.new(key.encode(), prefix + b"\n".join(parts), hashlib.sha256).hexdigest()


def timestamp(offset_s=0.0):
    time = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=offset_s)
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Request:
    """A signed request: its bytes, and what is needed to check the answers to it."""

    def __init__(self, key, caller, action, parameters=None, raw=None, **members):
        self.key, self.caller = key, caller
        if raw is None:
            body = {"id": members.pop("id", None) or str(uuid.uuid4()), "action": action}
            if parameters is not None:
                body["parameters"] = parameters
            body["timestamp"] = members.pop("timestamp", None) or timestamp()
            body.update(members)
            raw = json.dumps(body, separators=(",", ":")).encode()
        self.raw = raw
        try:
            self.id = json.loads(raw)["id"]
        except (ValueError, KeyError, TypeError, RecursionError):
            self.id = "unknown"
        self.mac = mac_of(key, REQUEST, raw)

    @property
    def bare(self):
        """The frame without the customary newline."""
        return b'{"v":2,"caller":%s,"mac":"%s","request":%s}' % (
            json.dumps(self.caller).encode(), self.mac.encode(), self.raw)

    @property
    def frame(self):
        return self.bare + b"\n"


class Answer:
    """One line from the daemon, its MAC checked when the request is known."""

    def __init__(self, line, request=None):
        self.line = line
        if len(line) > MAX_FRAME + 1:
            raise WireError(f"an answer of {len(line)} bytes")
        if not line.endswith(b"\n"):
            raise WireError(f"an answer without its newline: {line[-80:]!r}")
        found = ENVELOPE.fullmatch(line[:-1])
        if not found:
            raise WireError(f"not an answer: {line[:200]!r}")
        mac, kind, self.raw = found.groups()
        self.mac = mac.decode() if mac else None
        self.kind = kind.decode()
        self.value = json.loads(self.raw)
        if json.loads(line)[self.kind] != self.value:
            raise WireError("the raw value and the parsed one differ")
        if self.kind == "response":
            self._check_members()
        if request is not None:
            self.check_mac(request)

    def _check_members(self):
        names = list(self.value)
        if names[:len(ALWAYS)] != ALWAYS or names != [n for n in RESPONSE_MEMBERS if n in names]:
            raise WireError(f"members or their order: {names}")

    def check_mac(self, request):
        if self.mac is None:
            if self.kind == "event" or self.value["code"] not in UNPROVEN:
                raise WireError(f"no MAC: {self.line!r}")
            return
        prefix = RESPONSE if self.kind == "response" else EVENT
        if self.mac != mac_of(request.key, prefix, request.mac.encode(), self.raw):
            raise WireError(f"wrong MAC: {self.line!r}")

    def __getitem__(self, name):
        return self.value[name]

    def get(self, name, otherwise=None):
        return self.value.get(name, otherwise)

    def __repr__(self):
        return f"Answer({self.line!r})"


class Connection:
    """A client's end. Reads block until the daemon has said something; the socket's timeout only ends a hung test."""

    def __init__(self, sock):
        self.sock = sock
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    def send(self, data):
        self.sock.sendall(data)

    def end_of_requests(self):
        self.sock.shutdown(socket.SHUT_WR)

    def _more(self):
        try:
            data = self.sock.recv(65536)
        except ConnectionResetError:  # closed by the daemon with bytes of ours unread
            data = b""
        self.buffer += data
        return bool(data)

    def line(self):
        """The next line with its newline; what is left at the end of the stream; b"" after that."""
        while b"\n" not in self.buffer:
            if not self._more():
                rest, self.buffer = self.buffer, b""
                return rest
        line, _, self.buffer = self.buffer.partition(b"\n")
        return line + b"\n"

    def rest(self):
        """Everything until the daemon closes."""
        while self._more():
            pass
        rest, self.buffer = self.buffer, b""
        return rest

    def answer(self, request=None):
        line = self.line()
        if not line:
            raise WireError("the daemon closed the connection instead of answering")
        return Answer(line, request)

    def response(self, request):
        """The response to this request, events before it skipped but checked."""
        return self.stream(request)[1]

    def stream(self, request):
        """(events, response)"""
        events = []
        while True:
            answer = self.answer(request)
            unread = answer.get("code") in UNREAD and answer["request_id"] == "unknown"
            if answer["request_id"] != request.id and not unread:
                raise WireError(f"an answer for {answer['request_id']}, not for {request.id}: {answer}")
            if answer.kind == "response":
                return events, answer
            events.append(answer)

    def ask(self, request):
        self.send(request.frame)
        return self.response(request)
