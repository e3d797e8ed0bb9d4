"""Frames: their numbers, what their elements are, and reading them. See docs/src/protocol/frames.md."""

import msgpack

MAX_FRAME_BYTES = 65_536
MAX_DEPTH = 32

HELLO, WELCOME, TOKEN, TOKEN_ACCEPTED, GO_AWAY, CLOSE, PING, PONG, WANT_COPIES = range(9)
(
    OPEN, OPENED, VECTOR, SNAPSHOT, BATCH, SYNCED, RECEIVED, DURABLE, RESEND_FROM, OFFER, REFUSED, RELEASE, RELEASED,
    LEASED, ROLE_CHANGED, PRESENCE, PRESENCE_UPDATE, CLOSE_DOCUMENT, SEEN,
) = range(16, 35)


class Bad(Exception):
    """Bytes that are no frame; `code` is the name of the error code."""

    def __init__(self, code, message):
        super().__init__(f"{code}: {message}")
        self.code = code


def unsigned(bits):
    def check(value):
        if type(value) is not int or not 0 <= value < 1 << bits:
            raise Bad("bad_frame", f"{value!r} is not a u{bits}")

    return check


def instance(kind):
    def check(value):
        if type(value) is not kind:
            raise Bad("bad_frame", f"{value!r} is not a {kind.__name__}")

    return check


u16, u32, u64 = unsigned(16), unsigned(32), unsigned(64)
boolean, string, binary = instance(bool), instance(str), instance(bytes)


def optional(inner):
    return lambda value: None if value is None else inner(value)


def array(inner):
    def check(value):
        instance(list)(value)
        for item in value:
            inner(item)

    return check


def record(*inner):
    """A fixed array; elements after the last known are ignored."""

    def check(value):
        instance(list)(value)
        if len(value) < len(inner):
            raise Bad("bad_frame", "an element is missing")
        for item, one in zip(value, inner):
            one(item)

    return check


def mapping(value_check):
    def check(value):
        instance(dict)(value)
        for key, item in value.items():
            string(key)
            value_check(item)

    return check


def vector(value):
    array(u64)(value)
    actors, counters = value[0::2], value[1::2]
    if len(actors) != len(counters) or len(set(actors)) != len(actors) or 0 in counters:
        raise Bad("bad_frame", "not a version vector")


def anything(_):
    pass


ELEMENTS = {
    HELLO: (array(u64), string, string),
    WELCOME: (u64, u64, string, u64, mapping(u64), string),
    TOKEN: (string,),
    TOKEN_ACCEPTED: (u64,),
    GO_AWAY: (string, u64, optional(string)),
    CLOSE: (u16, string),
    PING: (u64,),
    PONG: (u64,),
    WANT_COPIES: (u64,),
    OPEN: (u32, string, optional(u64), vector, vector, string, optional(record(u64, u64, optional(binary))),
           mapping(anything)),
    OPENED: (u64, string, optional(record(u64, u64, optional(binary))), vector, optional(record(u64))),
    VECTOR: (vector, boolean),
    SNAPSHOT: (u32, boolean, binary),
    BATCH: (u64, u64, u32, binary, optional(binary)),
    SYNCED: (vector,),
    RECEIVED: (u64,),
    DURABLE: (vector,),
    RESEND_FROM: (u64,),
    OFFER: (u64, u64, u32, binary, binary),
    REFUSED: (u64, u64, u16, string),
    RELEASE: (u64, u64),
    RELEASED: (u64,),
    LEASED: (u64, u64, optional(binary)),
    ROLE_CHANGED: (string,),
    PRESENCE: (u32, optional(binary)),
    PRESENCE_UPDATE: (array(record(u64, u32, string, optional(binary))),),
    CLOSE_DOCUMENT: (),
    SEEN: (array(record(u64, u64, u32, binary)),),
}


def encode(*elements):
    """A frame's bytes."""
    return msgpack.packb(list(elements), use_bin_type=True)


def decode(data):
    """Reads one frame that is all of `data`: a list, checked against the tables."""
    if len(data) > MAX_FRAME_BYTES:
        raise Bad("frame_too_large", f"{len(data)} bytes")
    try:
        value = msgpack.unpackb(data, strict_map_key=False)
    except msgpack.StackError as error:
        raise Bad("too_deep", str(error)) from error
    except Exception as error:  # The library raises ValueError, its own types and UnicodeDecodeError.
        raise Bad("bad_frame", repr(error)) from error
    return check(value)


def check(value):
    """A frame as MessagePack gave it, checked."""
    if depth(value) > MAX_DEPTH:
        raise Bad("too_deep", "nested too deep")
    if type(value) is not list or not value or type(value[0]) is not int or value[0] < 0:
        raise Bad("bad_frame", "not an array that begins with a number")
    elements = ELEMENTS.get(value[0])
    if elements is None:
        raise Bad("unknown_frame", str(value[0]))
    record(*elements)(value[1:])
    return value


def depth(value):
    if type(value) is list:
        return 1 + max(map(depth, value), default=0)
    if type(value) is dict:
        return 1 + max((max(depth(key), depth(item)) for key, item in value.items()), default=0)
    return 0


def split(data):
    """A message or a datagram: the channel, and each frame behind it."""
    values = msgpack.Unpacker(strict_map_key=False, max_buffer_size=1 << 18)
    values.feed(data)
    try:
        channel, *rest = values
    except Exception as error:
        raise Bad("bad_frame", repr(error)) from error
    if values.tell() != len(data):
        raise Bad("bad_frame", "the last frame is cut off")
    u32(channel)
    return channel, [check(value) for value in rest]


def join(channel, *encoded):
    return msgpack.packb(channel) + b"".join(encoded)


def with_length(frame):
    """A frame as it goes onto a stream: a QUIC varint before it."""
    size = len(frame)
    if size < 1 << 6:
        return bytes([size]) + frame
    if size < 1 << 14:
        return (size | 1 << 14).to_bytes(2, "big") + frame
    return (size | 2 << 30).to_bytes(4, "big") + frame


class StreamReader:
    """Frames out of a stream's bytes, however they are cut."""

    def __init__(self):
        self.buffer = b""

    def feed(self, data):
        self.buffer += data
        found = []
        while self.buffer:
            width = 1 << (self.buffer[0] >> 6)
            if len(self.buffer) < width:
                break
            size = int.from_bytes(self.buffer[:width], "big") & ((1 << (8 * width - 2)) - 1)
            if size == 0:
                raise Bad("bad_frame", "an empty frame")
            if size > MAX_FRAME_BYTES:
                raise Bad("frame_too_large", f"{size} bytes")
            if len(self.buffer) < width + size:
                break
            found.append(decode(self.buffer[width:width + size]))
            self.buffer = self.buffer[width + size:]
        return found
