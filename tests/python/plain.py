"""Values of Python as JSON, without loss: what JSON has no form for is `{"!": type, "of": ...}`."""

import base64
import datetime
import uuid

EXACT = 2**53


def describe(value):
    """A value as JSON."""
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, int):
        return value if abs(value) < EXACT else tagged('int', str(value))
    if isinstance(value, float):
        return tagged('float', repr(value))
    if isinstance(value, bytes):
        return tagged('bytes', base64.b64encode(value).decode())
    if isinstance(value, (datetime.datetime, datetime.date)):
        return tagged(type(value).__name__, value.isoformat())
    if isinstance(value, uuid.UUID):
        return tagged('uuid', str(value))
    if isinstance(value, list):
        return [describe(item) for item in value]
    if isinstance(value, tuple):
        return tagged('tuple', [describe(item) for item in value])
    if isinstance(value, (set, frozenset)):
        return tagged('set', sorted((describe(item) for item in value), key=repr))
    if isinstance(value, dict):
        if all(isinstance(key, str) for key in value) and '!' not in value:
            return {key: describe(item) for key, item in value.items()}
        return tagged('dict', [[describe(key), describe(item)] for key, item in value.items()])
    return tagged(type(value).__name__, repr(value))


def tagged(kind, value):
    return {'!': kind, 'of': value}


BUILDERS = {
    'int': int,
    'float': float,
    'bytes': base64.b64decode,
    'datetime': datetime.datetime.fromisoformat,
    'date': datetime.date.fromisoformat,
    'uuid': uuid.UUID,
    'tuple': lambda items: tuple(build(item) for item in items),
    'set': lambda items: {build(item) for item in items},
    'dict': lambda items: {build(key): build(item) for key, item in items},
}


def build(value):
    """The value that `describe` was given."""
    if isinstance(value, list):
        return [build(item) for item in value]
    if isinstance(value, dict):
        if '!' in value:
            return BUILDERS[value['!']](value['of'])
        return {key: build(item) for key, item in value.items()}
    return value
