"""The processes of the example `worker`, in plumpy: both are known by the same names on the wire."""

import asyncio
import time

import plumpy

from plain import build


class AddProcess(plumpy.Process):
    @classmethod
    def define(cls, spec):
        super().define(spec)
        spec.input('a', valid_type=int)
        spec.input('b', valid_type=int, default=1)
        spec.output('sum', valid_type=int)

    def run(self):
        self.out('sum', self.inputs.a + self.inputs.b)


class WaitChain(plumpy.WorkChain):
    @classmethod
    def define(cls, spec):
        super().define(spec)
        spec.input('n', valid_type=int, default=3)
        spec.input('delay', valid_type=float, default=0.5)
        spec.output('rounds', valid_type=int)
        spec.output('note', valid_type=str, required=False)
        spec.outline(cls.setup, plumpy.while_(cls.more)(cls.wait), cls.finish)

    def setup(self):
        self.ctx.rounds = 0

    def more(self):
        return self.ctx.rounds < self.inputs.n

    def wait(self):
        self.ctx.rounds += 1
        return plumpy.ToContext(timer=asyncio.ensure_future(asyncio.sleep(self.inputs.delay)))

    def finish(self):
        self.out('rounds', self.ctx.rounds)


class WaitForever(plumpy.Process):
    def run(self):
        return plumpy.Wait(self.resumed, 'for ever')

    def resumed(self, *_args):
        pass


class Fail(plumpy.Process):
    @classmethod
    def define(cls, spec):
        super().define(spec)
        spec.input('text', valid_type=str)

    def run(self):
        raise RuntimeError(self.inputs.text)


class Busy(plumpy.Process):
    @classmethod
    def define(cls, spec):
        super().define(spec)
        spec.input('seconds', valid_type=(int, float))

    def run(self):
        time.sleep(self.inputs.seconds)


class MissingOutput(plumpy.Process):
    @classmethod
    def define(cls, spec):
        super().define(spec)
        spec.output('sum', valid_type=int)

    def run(self):
        pass


class Values(plumpy.Process):
    """Gives what it is told: values of every type, described as in `plain`."""

    @classmethod
    def define(cls, spec):
        super().define(spec)
        spec.input('given', valid_type=dict)
        spec.outputs.dynamic = True

    def run(self):
        for name, value in self.inputs.given.items():
            self.out(name, build(value))
