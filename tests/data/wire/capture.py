"""Writes the messages beside it, as plumpy 0.26.1 and kiwipy 0.9.0 make them.

Run it with their Python where the wire format of a later version is to be compared: a file that changes shows how.
Those whose name begins with `old_` are as plumpy before 0.24 or 0.25 made them, and stay.
"""

import collections
import datetime
import enum
import pathlib
import uuid

import kiwipy.rmq.messages as kiwi
import plumpy
import yaml
from kiwipy.rmq import defaults, utils
from plumpy import process_comms

HERE = pathlib.Path(__file__).parent
PID = uuid.UUID("5ce11889-4c3c-4070-b141-6a751fc498b9")
HOST = {"host": {"hostname": "vm", "pid": 16234}}


class AddProcess(plumpy.Process):
    pass


AddProcess.__module__ = "plumpy_worker"


class Loader(plumpy.DefaultObjectLoader):
    def identify_object(self, obj):
        return f"plumpy_worker:{obj.__name__}"


class Colour(enum.Enum):
    RED = 1


Point = collections.namedtuple("Point", "x y")


def task(payload, no_reply=False):
    return (payload, no_reply)


def broadcast(body, sender=None, subject=None, correlation_id=None):
    return kiwi.BroadcastMessage.create(body, sender, subject, correlation_id)


inputs = {"inputs": {"a": 2, "b": 3}}
launch = dict(process_class=AddProcess, loader=Loader())
shared = {"shared": [1, 2]}
build = process_comms.MessageBuilder
long_text = "a text of many words that is folded where the line gets longer than eighty columns, " * 3

MESSAGES = {
    "task_launch": task(process_comms.create_launch_body(**launch, init_kwargs=inputs, nowait=False)),
    "task_launch_nowait": task(process_comms.create_launch_body(**launch, init_args=[{"a": 2}], nowait=True), True),
    "task_create": task(process_comms.create_create_body(**launch, init_kwargs=inputs, persist=True)),
    "task_continue": task(process_comms.create_continue_body(PID)),
    "task_continue_tag": task(process_comms.create_continue_body(12, tag="before", nowait=True)),
    "task_tuple": task({"any": (1, (2.5, None))}),
    "reply_pending_task": {**utils.pending_response(), **HOST},
    "reply_result_task": {**utils.result_response({"sum": 5}), **HOST},
    "reply_created": {**utils.result_response(PID), **HOST},
    "reply_exception_task": {**utils.exception_response(RuntimeError("Great scott!")), **HOST},
    "reply_exception_folded": {
        **utils.exception_response(
            ValueError(
                "Error occurred validating port 'inputs.a': value 'a' is not of the right type. "
                "Got '<class 'str'>', expected '<class 'int'>'"
            )
        ),
        **HOST,
    },
    "reply_exception_lines": utils.exception_response(
        RuntimeError("Error invoking callback 'kill' at processes.py.\nException: ValueError: bad\n\nFull Traceback:\n  line")
    ),
    "reply_exception_empty": utils.exception_response(plumpy.KilledError("")),
    "reply_pending": utils.pending_response(),
    "reply_true": utils.result_response(True),
    "reply_cancelled": utils.cancelled_response(),
    "reply_cancelled_text": utils.cancelled_response("enough"),
    "reply_unknown_intent": utils.exception_response(RuntimeError("Unknown intent")),
    "reply_no_intent": utils.exception_response(KeyError("intent")),
    "reply_status": utils.result_response(
        {
            "ctime": 1795196633.3077917,
            "paused": False,
            "process_string": "<WaitChain> (ProcessState.WAITING)",
            "state": str(plumpy.ProcessState.WAITING),
        }
    ),
    "rpc_play": build.play(),
    "rpc_pause": build.pause("hold it"),
    "rpc_pause_no_text": build.pause(),
    "rpc_kill": build.kill("enough"),
    "rpc_kill_force": build.kill("now", force_kill=True),
    "rpc_status": build.status(),
    "broadcast_created": broadcast(None, PID, "state_changed.None.created"),
    "broadcast_running": broadcast(None, PID, "state_changed.created.running"),
    "broadcast_integer_pid": broadcast(None, 1234, "state_changed.running.finished"),
    "broadcast_pause_all": broadcast(build.pause("everybody freeze"), subject="pause"),
    "broadcast_play_all": broadcast(None, subject="play"),
    "broadcast_kill_all": broadcast(build.kill("bang"), subject="kill"),
    "value_same_object": {"a": PID, "b": PID, "c": shared, "d": [shared, shared]},
    "value_types": {
        "binary": bytes(range(100)),
        "complex": [1 + 2j, 3j],
        "date": datetime.date(2026, 1, 2),
        "floats": [1.5, 1e-07, 1e16, float("inf"), -float("inf"), float("nan"), 0.1 + 0.2],
        "integers": [0, -1, 2**63, 2**127, -(2**127), 2**128 + 1, 10**40],
        "set": {"a"},
        "time": datetime.datetime(2026, 1, 2, 3, 4, 5, 6),
        "time_utc": datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc),
        "tuple": (1, ("a",)),
    },
    "value_texts": {
        "escaped": "\xe9 \U0001f600 \x85\u2028\x07\x1b\t tab",
        "folded": long_text,
        "folded_quotes": "it's: " + long_text,
        "folded_escapes": "\xe9 " + long_text,
        "lines": "bad\n\n  line two",
        "looks_like": ["yes", "1:30", "017", "0x1F", "1_000", "~", "", "=", "<<", "2026-01-02", "1.0e+16", "null", "on"],
        "no_number": ["1e16", "1.5e3", "5e-324", "0o17", "y", "n"],
    },
    "value_keys": {1: "integer", None: "null", True: "or 1", (1, "a"): "tuple", "k" * 200: "long", 1.5: "float", "": ""},
    "value_empty": {"list": [], "mapping": {}, "nothing": None, "text": "", "tuple": (), "nested": [[], [{}]]},
    "value_objects": {
        "enum": Colour.RED,
        "error": ValueError("bad"),
        "function": plumpy.get_object_loader,
        "module": yaml,
        "named": Point(1, 2),
        "path": pathlib.PurePosixPath("/a"),
        "ordered": collections.OrderedDict([("b", 1), ("a", 2)]),
        "class": AddProcess,
    },
    "value_bundle": plumpy.Bundle.__new__(plumpy.Bundle),
    "value_scalar": "finished",
    "value_integer": 5,
}
dict.update(MESSAGES["value_bundle"], {"_state": {"outputs": {}}, "pid": PID, "!!meta": {"class_name": "plumpy:Bundle"}})

for name, message in MESSAGES.items():
    (HERE / f"{name}.yaml").write_bytes(defaults.ENCODER(message))
