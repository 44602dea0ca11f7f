"""The Python of the transport: a topic is an actor, and the clients' threads call it.

What is here of the actor is sent to the worker by value: no node needs anything but Ray.
"""

import asyncio
import ctypes
import logging

# Here, not by Ray in `connect`: who imports it first has the main thread, for which Ray would set signals.
import threading  # noqa: F401
import time
from collections import deque

VERSION = 1
# How often lost ends are looked for, in seconds.
SWEEP = 1.0


class End:
    """One who sends or receives."""

    def __init__(self, sends, alone, lease):
        self.sends = sends
        # Nobody else receives.
        self.alone = alone
        self.lease = lease
        self.seen = time.monotonic()
        # A sender has not closed, a receiver takes.
        self.present = True
        # Items that were given to it: tag to (again, body).
        self.taken = {}


class Topic:
    """The actor. All of it runs on one event loop, so nothing in it is locked."""

    def __init__(self, capacity, lasting):
        self.capacity = capacity
        self.lasting = lasting
        # (tag, again, body), in the order of their tags.
        self.items = deque()
        self.tags = 0
        self.ends = {}
        # All senders have closed; that was told to somebody; nobody shall come any more.
        self.over = False
        self.told = False
        self.gone = False
        # Counts what changes the order of what is taken.
        self.clock = 0
        self.waiting = []
        self.sweeper = None

    # -- what clients call --------------------------------------------------------------------------------------

    async def attach(self, version, end, sends, alone, capacity, lasting, lease):
        """Another end; gives what speaks against it."""
        if version != VERSION:
            return ("version", f"its actor has version {VERSION}, and this is version {version}")
        if self.gone:
            return ("gone", "")
        if capacity != self.capacity:
            return ("mismatch", f"its capacity is {self.capacity}, not {capacity}")
        if lasting != self.lasting:
            return ("mismatch", "it is lasting" if self.lasting else "it is not lasting")
        if not sends and self.is_occupied(alone):
            return ("occupied", "")
        if sends and self.over:
            if not self.told or any(other.present and not other.sends for other in self.ends.values()):
                return ("ended", "")
            self.over = self.told = False
        if self.sweeper is None:
            self.sweeper = asyncio.get_running_loop().create_task(self.sweep(myself()))
        self.ends[end] = End(sends, alone, lease)
        return ("", "")

    async def put(self, end, bodies, wait):
        """Puts items in as there is room for them; how many went in. -1: the end is not known (any more)."""
        known = self.see(end)
        if known is None:
            return -1
        until, put = time.monotonic() + wait, 0
        while put < len(bodies) and self.ends.get(end) is known:
            room = self.capacity - len(self.items)
            if room > 0:
                for body in bodies[put : put + room]:
                    self.tags += 1
                    self.items.append((self.tags, False, body))
                put += min(room, len(bodies) - put)
                self.wake()
            elif not await self.changed(until):
                break
        return put

    async def take(self, end, acks, releases, unread, most, most_bytes, wait):
        """Settles, then gives items, or the end, or nothing when there was nothing for so long."""
        known = self.settled(end, acks, releases, unread)
        until = time.monotonic() + wait
        while known is not None and self.ends.get(end) is known:
            if self.items and known.present:
                return (self.clock, False, *self.given(known, most, most_bytes))
            others = (other for other in self.ends.values() if other is not known)
            if self.over and not self.items and not any(other.taken for other in others):
                self.told = True
                return (self.clock, True, [], [], [])
            if not known.present or not await self.changed(until):
                return (self.clock, False, [], [], [])
        return None

    async def settle(self, end, acks, releases, unread, leaves):
        """What became of items; also a sign of life. -1: the end is not known (any more)."""
        known = self.settled(end, acks, releases, unread)
        if known is None:
            return -1
        if leaves:
            known.present = False
            self.wake()
        return self.clock

    async def leave(self, end, closes):
        """An end is gone, with what it had given back. Whether the actor is of no use any more."""
        known = self.ends.pop(end, None)
        if known is not None:
            self.lose(known, closes)
        return self.is_spent()

    # -- what they are made of ----------------------------------------------------------------------------------

    def see(self, end):
        known = self.ends.get(end)
        if known is not None:
            known.seen = time.monotonic()
        return known

    def settled(self, end, acks, releases, unread):
        known = self.see(end)
        if known is None:
            return None
        self.clock += 1
        for tag in acks:
            known.taken.pop(tag, None)
        back = [(tag, True) for tag in releases] + [(tag, False) for tag in unread]
        self.restore(known, back)
        if acks or back:
            self.wake()
        return known

    def restore(self, known, back):
        """Puts items back where they were: before what was sent later."""
        found = []
        for tag, again in back:
            item = known.taken.pop(tag, None)
            if item is not None:
                found.append((tag, again or item[0], item[1]))
        found.sort(key=lambda item: item[0])
        if found and self.items and found[-1][0] > self.items[0][0]:
            found = sorted([*found, *self.items], key=lambda item: item[0])
            self.items.clear()
        self.items.extendleft(reversed(found))

    def is_occupied(self, alone):
        """Whether another receives, or has what is not settled, and one of the two wants to be alone."""
        others = [other for other in self.ends.values() if not other.sends]
        if alone:
            return any(other.present or other.taken for other in others)
        return any(other.present and other.alone for other in others)

    def given(self, known, most, most_bytes):
        # Others would wait for what this one does not come to.
        if sum(1 for other in self.ends.values() if other.present and not other.sends) > 1:
            most = 1
        tags, agains, bodies, size = [], [], [], 0
        while self.items and len(tags) < most and (not tags or size + len(self.items[0][2]) <= most_bytes):
            tag, again, body = self.items.popleft()
            known.taken[tag] = (again, body)
            size += len(body)
            tags.append(tag)
            agains.append(again)
            bodies.append(body)
        self.wake()
        return tags, agains, bodies

    def lose(self, known, closes):
        # Whoever is lost had seen the items, or not: that is not known here.
        self.restore(known, [(tag, True) for tag in known.taken])
        if known.sends and closes and not any(other.sends for other in self.ends.values()):
            self.over = True
        self.wake()

    def is_spent(self):
        nobody = not self.ends and not self.items and not self.lasting
        self.gone = self.gone or (nobody and (self.told or not self.over))
        return self.gone

    async def changed(self, until):
        """Waits for any change; whether there was one."""
        left = until - time.monotonic()
        if left <= 0:
            return False
        change = asyncio.get_running_loop().create_future()
        self.waiting.append(change)
        try:
            await asyncio.wait_for(change, left)
            return True
        except asyncio.TimeoutError:
            self.waiting = [other for other in self.waiting if other is not change]
            return False

    def wake(self):
        waiting, self.waiting = self.waiting, []
        for change in waiting:
            if not change.done():
                change.set_result(None)

    async def sweep(self, me):
        """Forgets ends whose process is lost, and ends the actor if nobody did who left it."""
        while True:
            await asyncio.sleep(SWEEP)
            was_gone, now = self.gone, time.monotonic()
            lost = [end for end, known in self.ends.items() if known.seen + known.lease < now]
            for end in lost:
                self.lose(self.ends.pop(end), False)
            if (lost and self.is_spent()) or was_gone:
                import ray

                ray.kill(me)


def myself():
    import ray

    return ray.get_runtime_context().current_actor


# -- the side of the client ---------------------------------------------------------------------------------------


# What Ray knows the class of the actor as, and whether this process is in the cluster.
Client = {"class": None, "joined": False}
# Methods that were called since then.
Called = set()


def connect(address):
    """Joins the cluster at an address; never starts one of its own. Gives where it is."""
    import ray

    logging.getLogger("ray").setLevel(logging.ERROR)
    if not ray.is_initialized():
        ray.cloudpickle.register_pickle_by_value(__import__(__name__))
        ray.init(address=address, log_to_driver=False, configure_logging=False)
        at_exit()
    Client["joined"] = True
    return ray.get_runtime_context().gcs_address


def disconnect():
    import ray

    Client["joined"] = False
    Called.clear()
    ray.shutdown()


@ctypes.CFUNCTYPE(None, ctypes.c_void_p)
def leave_at_exit(_):
    if Client["joined"]:
        disconnect()


def at_exit():
    """Leaves the cluster when the process exits, before what Ray's own threads use is torn down under them.

    The interpreter would do it, but a program in which it is embedded does not end it. What was made last is torn down
    first, and Ray makes some of it when it is first used: this is said again after each first use.
    """
    register = getattr(ctypes.CDLL(None), "__cxa_atexit", None)
    if register is not None:
        register(leave_at_exit, None, None)


def joined():
    """Ray, in the cluster. Asked outside of one, it would start its own."""
    import ray

    if not Client["joined"]:
        raise RuntimeError("this process has left the cluster")
    return ray


def open_topic(namespace, name, capacity, lasting, calls):
    """The actor of a topic, which is made where there is none. It outlives who made it."""
    ray = joined()
    if Client["class"] is None:
        Client["class"] = ray.remote(num_cpus=0, max_concurrency=calls)(Topic)
    options = {"name": name, "namespace": namespace, "get_if_exists": True, "lifetime": "detached"}
    return Client["class"].options(**options).remote(capacity, lasting)


def kill(actor):
    joined().kill(actor)


def call(actor, method, arguments, done):
    """Calls an actor; `done` gets what kind of fault there is, its text, and otherwise the result."""
    ray = joined()
    reference = getattr(actor, method).remote(*arguments)
    future = reference.future()

    def finish(future):
        # Held until here: a result that nobody refers to is thrown away.
        nonlocal reference
        reference = None
        if method not in Called:
            Called.add(method)
            at_exit()
        fault = future.exception()
        if fault is None:
            done("", "", future.result())
        elif isinstance(fault, ray.exceptions.RayTaskError):
            done("failed", str(fault), None)
        else:
            done("lost", str(fault), None)

    future.add_done_callback(finish)
