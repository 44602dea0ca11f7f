"""A worker of plumpy as it is. Says that it is ready, and ends when its standard input does."""

import argparse
import asyncio
import json
import os
import sys
import threading
import time

import kiwipy.rmq
import plumpy

# How long it may take to end: a step may block the loop.
GRACE = 3


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument('--amqp', required=True)
    parser.add_argument('--message-exchange', required=True)
    parser.add_argument('--task-exchange', required=True)
    parser.add_argument('--task-queue', required=True)
    parser.add_argument('--checkpoints', required=True, help='a folder')
    parser.add_argument('--processes', choices=['bare', 'wrapped'], default='bare', help='their communicator')
    parser.add_argument('--tick', type=float, default=0.02, help='how long its loop sleeps at most, in seconds')
    parser.add_argument('--echo', help='an identifier whose calls are answered with what they ask')
    return parser.parse_args()


async def main():
    told = arguments()
    loop = asyncio.get_running_loop()
    communicator = kiwipy.rmq.RmqThreadCommunicator.connect(
        told.amqp,
        message_exchange=told.message_exchange,
        task_exchange=told.task_exchange,
        task_queue=told.task_queue,
    )
    wrapped = plumpy.wrap_communicator(communicator, loop)
    of_processes = communicator if told.processes == 'bare' else wrapped
    launcher = plumpy.ProcessLauncher(
        loop=loop,
        persister=plumpy.PicklePersister(told.checkpoints),
        load_context=plumpy.LoadSaveContext(communicator=of_processes, loop=loop),
    )
    wrapped.add_task_subscriber(launcher)
    if told.echo:
        communicator.add_rpc_subscriber(lambda _communicator, message: message, identifier=told.echo)
    print(json.dumps({'ready': True}), flush=True)

    ended = asyncio.Event()

    def wait_for_the_end():
        sys.stdin.read()
        loop.call_soon_threadsafe(ended.set)
        time.sleep(GRACE)
        os._exit(0)

    threading.Thread(target=wait_for_the_end, daemon=True).start()
    # plumpy adds callbacks from the communicator's thread without waking the loop: it wakes by itself.
    while not ended.is_set():
        await asyncio.sleep(told.tick)
    communicator.close()


asyncio.run(main())
