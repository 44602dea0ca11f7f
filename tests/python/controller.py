"""Drives workers by the controllers of plumpy: a command per line of standard input, a result per line of the output.

A command is `{"id": 1, "on": {"amqp": ..., "message_exchange": ..., ...}, "by": "coroutine", "call": ..., "args": {...}}`.
`by` is a controller, `coroutine` or `thread`, or `communicator`. Its result has the `id` and either `result` or `error`;
by `thread` and `communicator`, also the number of `pendings` that came before it. What a listener hears is a line with
its name as `heard`. Values are described as in `plain`.
"""

import asyncio
import json
import os
import sys
import threading

import kiwipy
import kiwipy.rmq
import plumpy

from plain import build, describe

SILENCE = 60.0


class Names(plumpy.DefaultObjectLoader):
    """Takes names of processes that do not exist here."""

    def identify_object(self, obj):
        return obj


plumpy.set_object_loader(Names())


def say(line):
    # One write per line: listeners speak on threads of their own.
    sys.stdout.write(json.dumps(line) + '\n')
    sys.stdout.flush()


class Peer:
    """A communicator, and the controllers on it."""

    def __init__(self, on):
        self.communicator = kiwipy.rmq.RmqThreadCommunicator.connect(on.pop('amqp'), **on)
        self.by = {
            'coroutine': plumpy.RemoteProcessController(self.communicator),
            'thread': plumpy.RemoteProcessThreadController(self.communicator),
            'communicator': self,
        }

    def rpc_send(self, recipient, msg):
        return self.communicator.rpc_send(recipient, msg)

    def task_send(self, task, no_reply=False):
        return self.communicator.task_send(task, no_reply)

    def broadcast_send(self, body, sender=None, subject=None, correlation_id=None):
        self.communicator.broadcast_send(body, sender, subject, correlation_id)

    def listen(self, name, subject=None, sender=None):
        def hear(_communicator, body, sender, subject, correlation_id):
            said = {'body': body, 'sender': sender, 'subject': subject, 'correlation_id': correlation_id}
            say({'heard': name, **describe(said)})

        self.communicator.add_broadcast_subscriber(kiwipy.BroadcastFilter(hear, subject, sender), identifier=name)

    def close(self):
        self.communicator.close()


PEERS = {}


async def answer(command):
    on = json.dumps(command['on'], sort_keys=True)
    if on not in PEERS:
        PEERS[on] = Peer(dict(command['on']))
    method = getattr(PEERS[on].by[command['by']], command['call'])
    args = build(command.get('args', {}))
    if command['by'] == 'coroutine':
        return {'result': describe(await method(**args))}
    # They block until the broker has confirmed.
    value = await asyncio.to_thread(method, **args)
    levels = 0
    while isinstance(value, kiwipy.Future):
        levels += 1
        value = await asyncio.wrap_future(value)
    return {'result': describe(value), 'pendings': max(levels - 1, 0)}


async def obey(line):
    command = json.loads(line)
    try:
        result = await asyncio.wait_for(answer(command), SILENCE)
    except BaseException as error:
        result = {'error': {'type': type(error).__name__, 'text': str(error)}}
    say({'id': command['id'], **result})


def main():
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    say({'ready': True})
    for line in sys.stdin:
        asyncio.run_coroutine_threadsafe(obey(line), loop)
    # Not by way of the threads of the communicators.
    os._exit(0)


main()
