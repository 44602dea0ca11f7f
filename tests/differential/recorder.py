"""What the generated work chains of the differential test have in common: they write down what happens to them.

`recorder.rs` is its counterpart; the two write the same events.
"""

import asyncio
import copy
import json
import logging
import sys

import plumpy
from plumpy.process_comms import MessageBuilder

PROCESSES = {}


class Planned(Exception):
    """An error with a text that is the same on both sides."""


class Witness(plumpy.ProcessListener):
    """Writes outputs down."""

    def on_output_emitted(self, process, output_port, value, dynamic):
        process.log('emitted', output_port, value)


class Recorded(plumpy.WorkChain):
    """All that steps and predicates decide by is in the context."""

    def __init__(self, *args, **kwargs):
        self.events = []
        super().__init__(*args, **kwargs)
        self.add_process_listener(Witness())
        self.ctx.steps = 0
        self.ctx.children = []
        PROCESSES[self.pid] = self

    def log(self, *event):
        # Copied: plumpy keeps what it was given, and changes it.
        self.events.append(copy.deepcopy(list(event)))

    def on_entered(self, from_state):
        super().on_entered(from_state)
        if self.state.value == 'created':
            return
        deeds = [event[0] for event in self.events if event[0] not in ('state', 'emitted')]
        self.log('state', self.state.value)
        if self.state.value == 'waiting' and deeds[-1] == 'wait':
            self.loop.call_soon(self.resume)

    def begin(self, step):
        self.ctx.steps += 1
        for key in list(self.ctx.children):
            if hasattr(self.ctx, key):
                self.ctx.children.remove(key)
                self.log('got', key, self.ctx[key])
        self.log('step', step)

    def on(self, table):
        return table >> min(self.ctx.steps, 63) & 1 == 1

    def ask(self, predicate, table):
        answer = self.on(table)
        self.log('predicate', predicate, answer)
        return answer

    def refuse(self, predicate):
        self.log('predicate', predicate, 'fails')
        raise Planned(f'{predicate} fails')

    def emit(self, path, value):
        try:
            self.out(path, value)
        except ValueError:
            self.log('out', path, value, False)
            raise
        self.log('out', path, value, True)

    def emit_if_possible(self, path, value):
        try:
            self.emit(path, value)
        except ValueError:
            pass

    def start(self, place, kind, how='launch'):
        key = f'c{self.ctx.steps}_{place}'
        child = self.launch(Leaf, {'kind': kind, 'n': place}, pid=f'{self.pid}/{key}')
        self.log(how, child.pid, kind)
        return key, child

    def wait_for(self, place, kind):
        key, child = self.start(place, kind)
        self.ctx.children.append(key)
        self.to_context(**{key: child})

    def wait_by_return(self, place, kind):
        key, child = self.start(place, kind)
        self.ctx.children.append(key)
        return plumpy.ToContext(**{key: child})

    def detach(self, place, kind):
        self.start(place, kind, 'detach')

    def sleep(self):
        self.log('sleep')
        self.to_context(**{f't{self.ctx.steps}': asyncio.ensure_future(asyncio.sleep(0.001))})

    def fail(self, text):
        self.log('end', 'fail', text)
        raise Planned(text)

    def stop(self, value):
        self.log('end', 'stop', value)
        return value

    def exit(self, code):
        self.log('end', 'exit', code)
        return plumpy.UnsuccessfulResult(code)

    def kill_self(self, text):
        self.log('end', 'kill', text)
        return plumpy.Kill(MessageBuilder.kill(text))

    def wait(self, text):
        self.log('wait', text)
        return plumpy.Wait(self._do_step, text)

    def outputs_beside(self):
        """The outputs if a mapping for a namespace were put beside what is there: S48 as it is on the other side."""
        outputs = {}
        # Copied: what was written down must not change.
        for path, value in copy.deepcopy([event[1:] for event in self.events if event[0] == 'emitted']):
            *namespaces, name = path.split('.')
            place = outputs
            for namespace in namespaces:
                place = place.setdefault(namespace, {})
            put_beside(place, name, value)
        return outputs

    def record(self):
        state = self.state.value
        end = {'state': state}
        if state == 'finished':
            result = self.result()
            if isinstance(result, plumpy.ToContext):
                result = {'to_context': list(result)}
            valid = self.spec().outputs.validate(self.outputs_beside()) is None
            end.update(result=result, successful=self.is_successful, valid_beside=valid)
        elif state == 'excepted':
            end.update(error=type(self.exception()).__name__, text=str(self.exception()))
        elif state == 'killed':
            end.update(text=self.killed_msg()['message'])
        return {'log': self.events, 'end': end, 'outputs': self.outputs}


def put_beside(place, name, value):
    """On all levels; no port of the generated outlines has mappings of different names as values."""
    if isinstance(value, dict) and isinstance(place.get(name), dict):
        for inner, below in value.items():
            put_beside(place[name], inner, below)
    else:
        place[name] = value


class Leaf(Recorded):
    """Ends in the way it is told."""

    @classmethod
    def define(cls, spec):
        super().define(spec)
        spec.input('kind', valid_type=str)
        spec.input('n', valid_type=int)
        spec.output('n', valid_type=int, required=False)
        spec.output('square', valid_type=int)
        spec.outline(
            plumpy.if_(cls.nests)(cls.nest),
            plumpy.if_(cls.dozes)(cls.doze),
            plumpy.if_(cls.exits)(plumpy.return_(7)),
            cls.turn,
            cls.work,
        )

    def nests(self):
        return self.inputs.kind.startswith('nest')

    def nest(self):
        self.begin('nest')
        self.wait_for(0, 'well' if self.inputs.kind == 'nest' else 'fail')

    def dozes(self):
        return self.inputs.kind == 'doze'

    def doze(self):
        self.begin('doze')
        self.sleep()

    def exits(self):
        return self.inputs.kind == 'exit'

    def turn(self):
        self.begin('turn')
        self.emit('n', self.inputs.n)
        kind = self.inputs.kind
        if kind == 'fail':
            self.fail('it was told to fail')
        if kind == 'panic':
            self.fail('it was told to panic')
        if kind == 'kill':
            return self.kill_self('it was told to be killed')
        if kind == 'missing':
            return self.stop(5)

    def work(self):
        self.begin('work')
        self.emit('square', self.inputs.n * self.inputs.n)


async def run_all(classes):
    for cls in classes:
        PROCESSES.clear()
        process = cls(pid=cls.__name__)
        await asyncio.wait_for(process.step_until_terminated(), 20)
        # Children that nobody waits for, and theirs.
        while not all(process.has_terminated() for process in PROCESSES.values()):
            await asyncio.sleep(0)
        processes = {pid: process.record() for pid, process in PROCESSES.items()}
        print(json.dumps({'case': cls.__name__, 'processes': processes}), flush=False)


def run(classes):
    logging.disable(logging.CRITICAL)
    asyncio.run(run_all(classes))
    sys.stdout.flush()
