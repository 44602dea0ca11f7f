"""One end of a channel of plugboard, with pyzmq: `peer.py make | send <address> | receive <address>`.

`make` binds the two sockets of a rendezvous, tells their addresses, and serves them as plugboard does, for one sender. `send`
registers at a rendezvous and sends values until its input ends; `receive` prints what comes until the sender's close.
"""

import json
import pickle
import sys

import zmq

CLOSE = "__PLUGBOARD_CHAN_CLOSE_MSG__"
VALUES = [
    None, True, -1, 2**63 - 1, 2**64 - 1, -(2**63), 0.1, "ä\U0001f600", "x" * 300, b"\x00\xff", [1, [2, []]], (), (1, "a"),
    {"a": {"b": (1.5, None)}, 3: [False]},
]
context = zmq.Context()


def bound(kind):
    socket = context.socket(kind)
    port = socket.bind_to_random_port("tcp://127.0.0.1")
    return socket, f"tcp://127.0.0.1:{port}"


def asked(address, request):
    socket = context.socket(zmq.REQ)
    socket.connect(address)
    socket.send(request)
    answer = socket.recv()
    socket.close()
    return answer


def make():
    senders, at = bound(zmq.REP)
    receivers, asking = bound(zmq.REP)
    print(at, asking, flush=True)
    sender = None
    poller = zmq.Poller()
    poller.register(senders, zmq.POLLIN)
    while True:
        ready = dict(poller.poll())
        if senders in ready:
            request = senders.recv_json()
            senders.send_json({"success": sender is None})
            if sender is None:
                sender = request["sender_address"]
                poller.register(receivers, zmq.POLLIN)
        if receivers in ready:
            receivers.recv()
            receivers.send(sender.encode())


def send(address):
    socket, at = bound(zmq.PUSH)
    answer = json.loads(asked(address, json.dumps({"sender_address": at}).encode()))
    print(json.dumps(answer), flush=True)
    if answer["success"] is True:
        for protocol in (3, 4, 5):
            for value in VALUES:
                socket.send_multipart([b"", pickle.dumps(value, protocol)])
        # What nobody may execute.
        socket.send_multipart([b"", pickle.dumps(print)])
        socket.send_multipart([b"", pickle.dumps("after it")])
        socket.send_multipart([b"", pickle.dumps(CLOSE)])
        socket.close()
        context.term()


def receive(address):
    socket = context.socket(zmq.PULL)
    socket.connect(asked(address, b"").decode())
    while True:
        topic, item = socket.recv_multipart()
        item = pickle.loads(item)
        if item == CLOSE:
            print("closed", flush=True)
            return
        print(topic, ascii(item), flush=True)


{"make": make, "send": send, "receive": receive}[sys.argv[1]](*sys.argv[2:])
