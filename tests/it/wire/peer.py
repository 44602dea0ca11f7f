"""Reads and writes messages as kiwipy does, for the tests of the encoding.

Frames go both ways: four bytes of length, then as many of content. `load` and a message are answered with the text of
its value, or with `error`; `dump` with a message and the text of its value. Equal texts are equal values.
"""

import base64
import datetime
import random
import struct
import sys
import uuid

import yaml

sys.set_int_max_str_digits(0)

try:
    import plumpy  # noqa: F401  (it teaches yaml the tag `!uuid`)
except ImportError:
    yaml.add_representer(uuid.UUID, lambda dumper, value: dumper.represent_scalar("!uuid", str(value)))
    yaml.add_constructor("!uuid", lambda loader, node: uuid.UUID(loader.construct_scalar(node)), yaml.FullLoader)


def shown(value):
    if value is None:
        return "null"
    if value is True or value is False:
        return str(value).lower()
    if isinstance(value, int):
        return f"i{value}"
    if isinstance(value, float):
        return "fnan" if value != value else "f" + struct.pack(">d", value).hex()
    if isinstance(value, str):
        # Rust has no halves of surrogate pairs.
        whole = "".join("\ufffd" if "\ud800" <= c <= "\udfff" else c for c in value)
        return "s" + whole.encode("utf-8").hex()
    if isinstance(value, bytes):
        return "b" + base64.b64encode(value).decode()
    if isinstance(value, datetime.datetime):
        return "t" + value.isoformat(" ")
    if isinstance(value, datetime.date):
        return "t" + value.isoformat()
    if isinstance(value, uuid.UUID):
        return f"u{value}"
    if isinstance(value, complex):
        return "c" + shown(value.real) + shown(value.imag)
    if isinstance(value, list):
        return "[" + ",".join(map(shown, value)) + "]"
    if isinstance(value, tuple):
        return "(" + ",".join(map(shown, value)) + ")"
    if isinstance(value, (set, frozenset)):
        return "<" + ",".join(sorted(map(shown, value))) + ">"
    if isinstance(value, dict):
        return "{" + ",".join(f"{shown(key)}:{shown(item)}" for key, item in value.items()) + "}"
    return f"?{type(value).__name__}"


WORDS = (
    "|a|yes|No|ON|~|null|true|1e16|1.0e+16|.5|.inf|-.NaN|0o17|017|0x1F|1_000|1:30|190:20:30.15|2026-01-02|"
    "2026-01-02 03:04:05|- a|a: b|a:|#c|a #b|?|? a|-|x\n|\n|\n\nx|x\n\n  y|  lead|tail  |a\tb|\tb|%x|---|...|--- a|"
    "... b|{a|}|[|]|a,b|,|!t|!!int 5|&a|*a|\"q\"|it's|'|@|`|=|<<|> x|\\|\\n|\x00|\x07\x08\x0b\x0c\x1b|\x7f|\x80\x85\x9f|"
    "\u00a0|\u00e9t\u00e9|\u2028|\u2029x|\ufeff|\ufffe\uffff|\ufffd|\U0001f600|\U0010ffff|\r|\r\n|a\r\nb|key|"
    "state_changed.running.waiting|module.path:ClassName|ProcessState.WAITING|<WaitChain> (ProcessState.WAITING)"
).split("|")
ALPHABETS = (
    "ab \n",
    "abc d:'\"#-,?{}[]&*!|>%@`",
    "a\u00e9\U0001f600 b\x85\u2028\u2029\n",
    "\x00\x07\t\x1b\x7f\x80 a\r\n",
    "word and long ",
)


class Values:
    """Random values of every kind that travels."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.made = []

    def text(self):
        chance = self.random.random()
        if chance < 0.4:
            return self.random.choice(WORDS)
        if chance < 0.5:
            points = (self.random.randrange(0x110000) for _ in range(self.random.randrange(20)))
            return "".join(chr(p) for p in points if not 0xD800 <= p <= 0xDFFF)
        alphabet = self.random.choice(ALPHABETS)
        longest = self.random.choice((3, 12, 60, 300))
        return "".join(self.random.choice(alphabet) for _ in range(self.random.randrange(longest)))

    def number(self):
        choose = self.random.random()
        if choose < 0.3:
            return self.random.randrange(-100, 1000)
        if choose < 0.5:
            return self.random.randrange(-(2 ** self.random.randrange(1, 200)), 2 ** self.random.randrange(1, 200))
        if choose < 0.7:
            return struct.unpack(">d", self.random.randbytes(8))[0]
        return self.random.choice(
            (0.0, -0.0, 1.5, 1e16, 1e22, 1.5e300, 1e-7, 5e-324, 123456789.123, float("inf"), float("-inf"), float("nan"))
        )

    def other(self):
        choose = self.random.randrange(8)
        if choose == 0:
            return self.random.randbytes(self.random.randrange(200))
        if choose == 1:
            zone = self.random.choice((None, datetime.timezone.utc, datetime.timezone(datetime.timedelta(hours=-5, minutes=-30))))
            micro = self.random.choice((0, 6, 123456))
            return datetime.datetime(2026, 1, self.random.randrange(1, 29), 3, 4, 5, micro, zone)
        if choose == 2:
            return datetime.date(self.random.randrange(1000, 3000), 1, 2)
        if choose == 3:
            return uuid.UUID(int=self.random.getrandbits(128))
        if choose == 4:
            return complex(self.random.choice((0, 1.5, -2)), self.random.choice((0, 2.5, -1)))
        if choose == 5:
            return {self.key() for _ in range(self.random.randrange(4))}
        if choose == 6:
            return tuple(self.plain() for _ in range(self.random.randrange(4)))
        return self.random.choice((None, True, False))

    def plain(self):
        choose = self.random.random()
        if choose < 0.6:
            return self.text()
        return self.number() if choose < 0.8 else self.random.choice((None, True, False))

    def key(self):
        choose = self.random.random()
        if choose < 0.85:
            return self.text()
        if choose < 0.95:
            return self.random.randrange(-5, 100)
        return self.random.choice((None, True, 1.5, (1, "a"), datetime.date(2026, 1, 2), "long " * 40))

    def value(self, depth=0):
        choose = self.random.random()
        if choose < 0.08 and self.made:
            # The same object again: an anchor and an alias.
            return self.random.choice(self.made)
        if depth > 4 or choose < 0.5:
            choose = self.random.random()
            if choose < 0.6:
                return self.text()
            value = self.number() if choose < 0.85 else self.other()
        elif choose < 0.7:
            value = [self.value(depth + 1) for _ in range(self.random.randrange(5))]
        else:
            value = {self.key(): self.value(depth + 1) for _ in range(self.random.randrange(5))}
        self.made.append(value)
        return value

    def next(self):
        self.made = []
        return self.value()




def main():
    values = Values(int(sys.argv[1]))

    def receive():
        head = sys.stdin.buffer.read(4)
        return sys.stdin.buffer.read(struct.unpack(">I", head)[0]) if len(head) == 4 else None

    def send(content):
        sys.stdout.buffer.write(struct.pack(">I", len(content)) + content)
        sys.stdout.buffer.flush()

    while (asked := receive()) is not None:
        if asked == b"dump":
            value = values.next()
            # As kiwipy calls it; in every fourth message as older and other senders might.
            flow = values.random.choice((False, False, False, None, True))
            message = yaml.dump(value, encoding="utf-8", default_flow_style=flow)
            send(message)
            send(shown(yaml.load(message, Loader=yaml.FullLoader)).encode())
        else:
            try:
                send(shown(yaml.load(asked[len("load"):], Loader=yaml.FullLoader)).encode())
            except Exception as error:  # noqa: BLE001  (whatever it is, it is an answer)
                send(f"error {type(error).__name__}: {error}".encode("utf-8", "replace"))


main()
