"""plumpy as it is measured: keeps so many calls in flight, checks each result, and prints the figures.

    caller.py launch|persist|status IN_FLIGHT --warm-up SECONDS --window SECONDS --amqp URL --message-exchange …

Or tells so many broadcasts, which another one hears.

    caller.py hear|tell COUNT --amqp URL --message-exchange …
"""

import argparse
import asyncio
import json
import os
import sys
import time

import kiwipy.rmq
import plumpy
from plumpy import process_comms


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument('call', choices=['launch', 'persist', 'status', 'hear', 'tell'])
    parser.add_argument('count', type=int)
    parser.add_argument('--warm-up', type=float)
    parser.add_argument('--window', type=float)
    parser.add_argument('--amqp', required=True)
    parser.add_argument('--message-exchange', required=True)
    parser.add_argument('--task-exchange', required=True)
    parser.add_argument('--task-queue', required=True)
    return parser.parse_args()


class Names(plumpy.DefaultObjectLoader):
    """Takes names of processes that do not exist here."""

    def identify_object(self, obj):
        return obj


def figures(rate, latencies):
    latencies = sorted(latencies)
    p50, p99 = (latencies[len(latencies) * share // 100] for share in (50, 99))
    print(json.dumps({'value': rate, 'p50': p50, 'p99': p99}), flush=True)
    # Not by way of the threads of the communicator.
    os._exit(0)


def hear(communicator, count):
    latencies = []
    began = None

    def heard(_communicator, body, _sender, _subject, _correlation_id):
        nonlocal began
        now = time.time()
        assert body['number'] == len(latencies), body
        began = began or body['at']
        latencies.append((now - body['at']) * 1e3)
        if len(latencies) == count:
            figures(count / (now - began), latencies)

    communicator.add_broadcast_subscriber(heard)
    print('ready', flush=True)
    sys.stdin.read()
    os._exit(0)


def tell(communicator, count):
    for number in range(count):
        body = {'number': number, 'at': time.time()}
        communicator.broadcast_send(body, subject='state_changed.running.finished')
    os._exit(0)


async def call_often(communicator, told):
    controller = plumpy.RemoteProcessController(communicator)
    pid = None
    if told.call == 'status':
        # Launched processes of plumpy answer nothing; continued ones do.
        created = communicator.task_send(
            process_comms.create_create_body('procession_examples:WaitForever', persist=True)
        )
        pid = await asyncio.wrap_future(await asyncio.wrap_future(created))
        await controller.continue_process(pid, nowait=True)

    async def call(number):
        if told.call == 'status':
            status = await controller.get_status(pid)
            assert status['state'] in ('ProcessState.WAITING', 'ProcessState.RUNNING'), status
        else:
            result = await controller.launch_process(
                'procession_examples:AddProcess',
                init_kwargs={'inputs': {'a': number, 'b': 1}},
                persist=told.call == 'persist',
            )
            assert result == {'sum': number + 1}, result

    begin = time.perf_counter() + told.warm_up
    end = begin + told.window
    asked = 0
    latencies = []

    async def lane():
        nonlocal asked
        while True:
            start = time.perf_counter()
            if start > end:
                return
            asked += 1
            await call(asked)
            now = time.perf_counter()
            if begin < now <= end:
                latencies.append((now - start) * 1e3)

    await asyncio.gather(*[lane() for _ in range(told.count)])
    figures(len(latencies) / told.window, latencies)


def main():
    told = arguments()
    plumpy.set_object_loader(Names())
    communicator = kiwipy.rmq.RmqThreadCommunicator.connect(
        told.amqp,
        message_exchange=told.message_exchange,
        task_exchange=told.task_exchange,
        task_queue=told.task_queue,
    )
    if told.call == 'hear':
        hear(communicator, told.count)
    elif told.call == 'tell':
        tell(communicator, told.count)
    else:
        asyncio.run(call_often(communicator, told))


main()
