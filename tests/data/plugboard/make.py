"""Makes the golden pickles beside this file: `python3 make.py`, with Python 3.8 or later."""

import json
import pathlib
import pickle

shared = ["twice"]
cycle = []
cycle.append(cycle)


class Thing:
    """Something that is not plain data."""

    def __init__(self):
        self.a = 1


# Values that are read, by name. Those of protocol 2 have no bytes, which it makes by a call.
PLAIN = {
    "none": None,
    "true": True,
    "false": False,
    "ints": [0, 1, -1, 255, 256, 65535, 65536, 2**31 - 1, -(2**31), 2**31, 2**63 - 1, -(2**63), 2**63, 2**64 - 1],
    "floats": [0.0, -0.0, 0.1, 1e308, float("inf"), float("-inf"), 5e-324],
    "texts": ["", "a", "ä", "\U0001f600", "x" * 255, "y" * 256, "z" * 70_000],
    "lists": [[], [1], list(range(2000)), [[], [[]]]],
    "tuples": ((), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), ((), [()])),
    "dicts": {"a": 1, 2: "b", None: {}, (1, "x"): [1.5], True: {"deep": {"deeper": ()}}},
    "shared": [shared, shared, (shared, "twice")],
    "close": "__PLUGBOARD_CHAN_CLOSE_MSG__",
}
BYTES = {"bytes": [b"", b"\x00\xff", b"x" * 255, b"y" * 256, b"z" * 70_000]}
# What is refused, by name, with what has to be named: the instruction, or the kind of refusal.
REFUSED = {
    "object": (Thing(), {2: "GLOBAL", 3: "GLOBAL", 4: "STACK_GLOBAL", 5: "STACK_GLOBAL"}),
    "function": (print, {2: "GLOBAL", 3: "GLOBAL", 4: "STACK_GLOBAL", 5: "STACK_GLOBAL"}),
    "complex": (1j, {2: "GLOBAL", 3: "GLOBAL", 4: "STACK_GLOBAL", 5: "STACK_GLOBAL"}),
    "set": ({1}, {2: "GLOBAL", 3: "GLOBAL", 4: "EMPTY_SET", 5: "EMPTY_SET"}),
    "frozenset": (frozenset({1}), {2: "GLOBAL", 3: "GLOBAL", 4: "FROZENSET", 5: "FROZENSET"}),
    "bytearray": (bytearray(b"a"), {2: "GLOBAL", 3: "GLOBAL", 4: "STACK_GLOBAL", 5: "BYTEARRAY8"}),
    "big": (2**64, dict.fromkeys(range(2, 6), "LONG1")),
    "huge": (-(2**4000), dict.fromkeys(range(2, 6), "LONG4")),
    "surrogate": ("\ud800", {2: "BINUNICODE", 3: "BINUNICODE", 4: "SHORT_BINUNICODE", 5: "SHORT_BINUNICODE"}),
    "cycle": (cycle, dict.fromkeys(range(2, 6), "depth")),
}

here = pathlib.Path(__file__).parent
refused = {}
for protocol in range(2, 6):
    folder = here / f"protocol{protocol}"
    folder.mkdir(exist_ok=True)
    for name, value in {**PLAIN, **(BYTES if protocol > 2 else {})}.items():
        (folder / f"{name}.pickle").write_bytes(pickle.dumps(value, protocol))
    for name, (value, named) in REFUSED.items():
        (folder / f"{name}.refused").write_bytes(pickle.dumps(value, protocol))
        refused.setdefault(name, {})[str(protocol)] = named[protocol]
    (folder / "bytes2.refused").write_bytes(pickle.dumps(b"a", 2))
refused["bytes2"] = dict.fromkeys(map(str, range(2, 6)), "GLOBAL")
# The first two protocols are texts, or name none.
(here / "protocol2" / "protocol0.refused").write_bytes(pickle.dumps([1], 0))
refused["protocol0"] = {"2": "protocol"}
(here / "refused.json").write_text(json.dumps(refused, indent=1, sort_keys=True) + "\n")
