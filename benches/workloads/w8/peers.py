"""Items a second from a sender to a receiver in Python: a queue of asyncio, or two sockets of pyzmq."""

import asyncio
import sys
import threading
import time

BYTES = 100
WARM_UP = 200
CAPACITY = 1024


async def through_queue(items):
    queue = asyncio.Queue(CAPACITY)

    async def send():
        for number in range(items):
            await queue.put(number)

    sending = asyncio.create_task(send())
    start = time.perf_counter()
    total = 0
    for _ in range(items):
        total += await queue.get()
    took = time.perf_counter() - start
    await sending
    assert total == items * (items - 1) // 2
    return items / took


def through_sockets(items):
    import zmq

    context = zmq.Context()
    pull = context.socket(zmq.PULL)
    pull.set_hwm(CAPACITY)
    port = pull.bind_to_random_port("tcp://127.0.0.1")

    def send():
        push = context.socket(zmq.PUSH)
        push.set_hwm(CAPACITY)
        push.connect(f"tcp://127.0.0.1:{port}")
        for number in range(WARM_UP + items):
            push.send(b"%0*d" % (BYTES, number))
        push.close()

    thread = threading.Thread(target=send)
    thread.start()
    for number in range(WARM_UP + items):
        if number == WARM_UP:
            start = time.perf_counter()
        assert int(pull.recv()) == number
    took = time.perf_counter() - start
    thread.join()
    pull.close()
    context.term()
    return items / took


def main():
    what, items = sys.argv[1], int(sys.argv[2])
    print(asyncio.run(through_queue(items)) if what == "asyncio" else through_sockets(items))


main()
