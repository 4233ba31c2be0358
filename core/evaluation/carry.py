"""How values travel between the process of the tests and that of the program: as JSON that says the types of containers. Values of
other types than these do not travel. What is read can be made of them alone, whatever was written."""
import json

FRAME_LIMIT = 16 << 20  # bytes
PLAIN = (bool, int, float, str)
CONTAINERS = {"list": list, "tuple": tuple, "set": set, "frozenset": frozenset}


class Unfit(Exception):
    """A value that does not travel."""


def pack(value):
    if value is None or type(value) in PLAIN:
        return value
    for name, container in CONTAINERS.items():
        if isinstance(value, container):
            return {name: [pack(item) for item in value]}
    if isinstance(value, dict):
        return {"dict": [[pack(key), pack(item)] for key, item in value.items()]}
    if isinstance(value, (bytes, bytearray)):
        return {"bytes": value.hex()}
    if isinstance(value, complex):
        return {"complex": [value.real, value.imag]}
    for plain in PLAIN:  # an enumeration's member of one of these types, for example
        if isinstance(value, plain):
            return plain(value)
    raise Unfit(f"a value of type {type(value).__name__} cannot be carried out of the process that made it")


def unpack(packed):
    if not isinstance(packed, dict):
        return packed
    ((name, content),) = packed.items()
    if name in CONTAINERS:
        return CONTAINERS[name](unpack(item) for item in content)
    if name == "dict":
        return {unpack(key): unpack(item) for key, item in content}
    return bytes.fromhex(content) if name == "bytes" else complex(*content)


def send(stream, message):
    frame = json.dumps(message).encode()
    if len(frame) > FRAME_LIMIT:
        raise Unfit(f"values of {len(frame)} bytes are above the limit of {FRAME_LIMIT}")
    stream.write(b"%d\n" % len(frame) + frame)
    stream.flush()


def receive(stream):
    """The next message; EOFError where the other side has ended, ValueError where it did not keep to this."""
    length = stream.readline(20)
    if not length:
        raise EOFError
    if not length.endswith(b"\n") or int(length) > FRAME_LIMIT:
        raise ValueError
    return json.loads(stream.read(int(length)))


