"""Reads snapshots, whole ones and differences, into a document. See docs/src/protocol/snapshots.md."""

import msgpack
import xxhash

from .document import Text


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def __bool__(self):
        return self.at < len(self.data)

    def take(self, size):
        if size > len(self.data) - self.at:
            raise ValueError("the snapshot is cut off")
        self.at += size
        return self.data[self.at - size:self.at]

    def number(self):
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    def signed(self):
        return unzigzag(self.number())

    def bytes(self):
        return self.take(self.number())

    def string(self):
        return self.bytes().decode("utf-8")

    def list(self):
        return range(self.number())

    def value(self):
        """One MessagePack value; the library finds where it ends."""
        unpacker = msgpack.Unpacker(strict_map_key=False)
        unpacker.feed(self.data[self.at:])
        value = unpacker.unpack()
        self.at += unpacker.tell()
        return value

    def part(self):
        head = self.number()
        content = self.take(head >> 1)
        return Reader(unpack(content) if head & 1 else content)


def unzigzag(number):
    return number >> 1 if number & 1 == 0 else -(number >> 1) - 1


def merge(document, data):
    """Brings everything of a snapshot into the document; gives the vector that it covers and whether it is whole."""
    if data[:4] != b"IKWS" or data[4] != 2:
        raise ValueError("not a snapshot of format 2")
    if xxhash.xxh64_intdigest(data[13:], seed=0) != int.from_bytes(data[5:13], "little"):
        raise ValueError("the snapshot's checksum is wrong")
    reader = Reader(data[13:])
    whole = reader.number() == 1
    actors, versions = [], []
    for _ in reader.list():
        actor = reader.number() + (actors[-1] if actors else 0)
        base = reader.number()
        if document.version.get(actor, 0) < base:
            raise ValueError("the difference begins beyond what is held")
        actors.append(actor)
        versions.append(base + reader.number())
    while reader:
        section, content = reader.number(), Reader(reader.bytes())
        if section not in SECTIONS:
            raise ValueError(f"section {section} is not known here")
        for _ in content.list():
            SECTIONS[section](content, document, actors, versions, whole)
        if content:
            raise ValueError(f"something follows section {section}")
    for actor, version in zip(actors, versions):
        document.version[actor] = max(version, document.version.get(actor, 0))
    document.apply_early()
    return dict(zip(actors, versions)), whole


def read_map(reader, document, actors, _versions, _whole):
    name = reader.string()
    for _ in reader.list():
        key, time, actor, counter = reader.string(), reader.number(), actors[reader.number()], reader.number()
        present = reader.number() == 1
        document.write(name, key, (time, actor, counter, reader.value() if present else None, present))


def read_kept(reader, *_):
    """Operations of a later version: nothing to us."""
    reader.number(), reader.number(), reader.number(), reader.bytes()


def read_text(reader, document, actors, versions, whole):
    text = document.texts.setdefault(reader.string(), Text())
    jumps, others, blocks = reader.part(), reader.part(), []
    ranks = read_jumps(jumps)
    if not whole and ranks:
        raise ValueError("a difference has no jumps")
    for _ in reader.list():
        count, members, newest = reader.number(), [], []
        for _ in reader.list():
            members.append(reader.number() + (members[-1] if members else 0))
            newest.append(versions[members[-1]] - reader.number())
        blocks.append((count, members, newest, reader.number(), reader.number()))
    waiting = {}
    for count, members, newest, size, head in blocks:
        columns, visible = Reader(reader.take(size)), reader.take(head >> 1)
        visible = unpack(visible) if head & 1 else visible
        known = {at: ranks[index] for at, index in enumerate(members) if index in ranks}
        read_block(columns, visible.decode("utf-8"), count, members, newest, known, waiting)
    insert_all(text, actors, waiting)
    while others:
        actor, counter, length = others.number(), others.number(), others.number() + 1
        read_deletion(others)
        for offset in range(length):
            text.delete((actors[actor], counter + offset))


def read_deletion(reader):
    """Who deleted what matters only to those who make differences."""
    if reader.number() & 1:
        reader.number()


def read_block(columns, visible, count, members, newest, ranks, waiting):
    """Adds a block's characters, by the indices of their actors in the snapshot's table."""
    spans, actor, following = [], 0, dict(enumerate(newest))
    for _ in range(count):
        head = columns.number()
        if head & 2:
            actor = columns.number()
        first = columns.signed() + following[actor]
        length, deleted = (head >> 2) + 1, bool(head & 1)
        if deleted:
            read_deletion(columns)
        following[actor] = first + length
        spans.append((actor, first, length, deleted))

    def moved(dot):
        return None if dot is None else (members[dot[0]], dot[1])

    changes = read_exceptions(columns, spans)
    predicted = predict(spans, ranks, changes)
    scalars = iter(visible)
    for at, (actor, first, length, deleted) in enumerate(spans):
        left, right = predicted[at]
        for offset in range(length):
            right = changes.get((at, offset, "right"), right)
            dot = (actor, first + offset)
            waiting[moved(dot)] = (moved(left), moved(right), None if deleted else next(scalars))
            left = dot


SECTIONS = {1: read_text, 2: read_map, 3: read_kept}


def read_jumps(part):
    """For each actor's index its jumps, (counter, ahead), in order."""
    found = {}
    while part:
        actor, counter, ahead = part.number(), 0, 0
        found[actor] = []
        for _ in part.list():
            counter += part.number()
            ahead += part.number()
            found[actor].append((counter, ahead))
    return found


def predict(spans, ranks, changes):
    """The origins of each span's first character: those that are said, else those that follow from the spans."""

    def order(span):
        actor, first, _, _ = span
        ahead = 0
        for counter, to in ranks.get(actor, ()):
            if counter <= first:
                ahead = to
        return first + ahead, actor

    orders = [order(span) for span in spans]
    lefts, rights = [None] * len(spans), [None] * len(spans)
    # Spans that may still be the nearest lesser one of a later span, lesser ones first.
    stack, outer = [], None
    for at, (actor, first, length, _) in enumerate(spans):
        while stack and orders[stack[-1]] >= orders[at]:
            stack.pop()
        if stack:
            before = spans[stack[-1]]
            lefts[at] = (before[0], before[1] + before[2] - 1)
            lefts[at] = changes.get((at, 0, "left"), lefts[at])
        else:
            # As that of the last span that had none before it either.
            outer = lefts[at] = changes.get((at, 0, "left"), outer)
        stack.append(at)
    stack, outer = [], None
    for at in reversed(range(len(spans))):
        while stack and orders[stack[-1]] >= orders[at]:
            stack.pop()
        if stack:
            rights[at] = changes.get((at, 0, "right"), spans[stack[-1]][:2])
        else:
            outer = rights[at] = changes.get((at, 0, "right"), outer)
        stack.append(at)
    return list(zip(lefts, rights))


def read_exceptions(part, spans):
    """By (span, offset, side): the origin from that character on."""
    changes, at = {}, 0
    while part:
        head = part.number()
        at += head >> 2
        first = spans[at][1]

        def origin(counter):
            actor = part.number()
            return (actor - 1, counter + part.signed()) if actor else None

        if head & 1:
            changes[(at, 0, "left")] = origin(first)
        if head & 2:
            changes[(at, 0, "right")] = origin(first)
        if head & 3 == 0:
            offset = part.number()
            changes[(at, offset, "right")] = origin(first + offset)
    return changes


def insert_all(text, actors, waiting):
    """Inserts characters, each after its origins. Dots name actors by their index so far."""

    def dot(indexed):
        return None if indexed is None else (actors[indexed[0]], indexed[1])

    entered = set()
    for start in list(waiting):
        stack = [start]
        while stack:
            current = stack[-1]
            if current not in waiting:
                stack.pop()
                continue
            left, right, scalar = waiting[current]
            missing = [origin for origin in (left, right) if origin in waiting]
            if missing:
                if current in entered:
                    raise ValueError("characters that are each other's origins")
                entered.add(current)
                stack.extend(missing)
                continue
            del waiting[current]
            stack.pop()
            if dot(current) in text.characters:
                if scalar is None:
                    text.delete(dot(current))
            elif not text.insert(dot(current), dot(left), dot(right), scalar, visible=scalar is not None):
                raise ValueError(f"{current}: an origin is missing")


# ---- packed parts


def unpack(data):
    reader = Reader(data)
    size = reader.number()
    literals, runs, lengths, low, high = (read_stream(reader) for _ in range(5))
    if not (runs or lengths or low or high):
        return literals
    literals, runs, lengths = Reader(literals), Reader(runs), Reader(lengths)
    out = bytearray()
    for near, far in zip(low, high, strict=True):
        out += literals.take(sum_of_bytes(runs))
        length, distance = sum_of_bytes(lengths) + 4, near + 256 * far
        if not 0 < distance <= len(out):
            raise ValueError("a reference before the beginning")
        for _ in range(length):
            out.append(out[-distance])
    out += literals.take(len(literals.data) - literals.at)
    if len(out) != size:
        raise ValueError(f"unpacked to {len(out)} bytes, not {size}")
    return bytes(out)


def sum_of_bytes(reader):
    total = 0
    while True:
        byte = reader.take(1)[0]
        total += byte
        if byte != 255:
            return total


def read_stream(reader):
    head = reader.number()
    count = head >> 1
    if head & 1 == 0:
        return reader.take(count)
    widths = []
    while len(widths) < 256:
        byte = reader.take(1)[0]
        widths += [byte >> 4] * ((byte & 15) + 1)
    codes, code, width = {}, 0, 0
    for one, byte in sorted((width, byte) for byte, width in enumerate(widths) if width):
        code <<= one - width
        codes[(one, code)] = byte
        code, width = code + 1, one
    sizes = [reader.number() for _ in range(4)]
    sizes[3] -= sum(sizes[:3])
    lane = -(-count // 4)
    out = bytearray()
    for number, size in enumerate(sizes):
        out += read_lane(reader.take(size), codes, min(lane, max(0, count - lane * number)))
    return bytes(out)


def read_lane(data, codes, count):
    out, code, width = bytearray(), 0, 0
    bits = (byte >> bit & 1 for byte in data for bit in range(8))
    while len(out) < count:
        code, width = code << 1 | next(bits), width + 1
        if (width, code) in codes:
            out.append(codes[(width, code)])
            code = width = 0
    return out
