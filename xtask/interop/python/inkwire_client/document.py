"""A replica: what batches mean. See docs/src/protocol/operations.md.

Written to be read next to that page, not to be fast: a text's order is worked out anew when it is asked for.
"""

import bisect
from dataclasses import dataclass, field
from functools import cmp_to_key

import msgpack

INSERT, TYPE_ON, DELETE, SET, REMOVE = range(5)


@dataclass(eq=False)
class Character:
    dot: tuple  # (actor, counter)
    scalar: str | None  # None once it was deleted, where the snapshot has dropped it
    left: "Character | None"
    right: "Character | None"
    visible: bool = True
    left_children: list = field(default_factory=list)
    right_children: list = field(default_factory=list)


class Text:
    def __init__(self):
        self.characters = {}
        self.first = []  # The right children of the start.
        self.cached = None
        self.places = {}

    def insert(self, dot, left, right, scalar, visible=True):
        """False where an origin is no character of this text: it has no effect then."""
        if (left is not None and left not in self.characters) or (right is not None and right not in self.characters):
            return False
        before, after = self.characters.get(left), self.characters.get(right)
        new = Character(dot, scalar, before, after, visible)
        if after is not None and after.left is before:
            bisect.insort(after.left_children, new, key=lambda character: character.dot)
        else:
            siblings = self.first if before is None else before.right_children
            siblings.append(new)
            if len(siblings) > 1:
                siblings.sort(key=cmp_to_key(self.compare_right_siblings))
        self.characters[dot] = new
        self.cached = None
        return True

    def compare_right_siblings(self, one, other):
        """The one whose right origin is further to the right comes first, the end before all; then by dot."""
        if one.right is not other.right:
            return -1 if self.place(one.right) > self.place(other.right) else 1
        return -1 if one.dot < other.dot else 1

    def place(self, character):
        if character is None:
            return len(self.characters)
        # Characters never change places with each other, so old places do as long as both are in them.
        if character.dot not in self.places:
            self.order()
        return self.places[character.dot]

    def order(self):
        if self.cached is None:
            found, stack = [], [(child, False) for child in reversed(self.first)]
            while stack:
                character, entered = stack.pop()
                if entered:
                    found.append(character)
                    continue
                stack.extend((child, False) for child in reversed(character.right_children))
                stack.append((character, True))
                stack.extend((child, False) for child in reversed(character.left_children))
            self.cached = found
            self.places = {character.dot: place for place, character in enumerate(found)}
        return self.cached

    def delete(self, dot):
        if dot in self.characters:
            self.characters[dot].visible = False

    def __str__(self):
        return "".join(character.scalar for character in self.order() if character.visible)


class Document:
    def __init__(self):
        self.version = {}  # actor -> the last counter, without gaps
        self.texts = {}
        self.maps = {}  # name -> key -> (time, actor, counter, value, whether it is there)
        self.early = []
        self.latest_time = 0

    # ---- reading

    def text(self, name):
        return str(self.texts[name]) if name in self.texts else ""

    def map(self, name):
        return {key: entry[3] for key, entry in self.maps.get(name, {}).items() if entry[4]}

    # ---- applying

    def apply(self, actor, first, count, operations):
        self.early.append((actor, first, count, operations))
        self.apply_early()

    def apply_early(self):
        progress = True
        while progress:
            progress = False
            for batch in list(self.early):
                if self.try_apply(*batch):
                    self.early.remove(batch)
                    progress = True

    def try_apply(self, actor, first, count, operations):
        held = self.version.get(actor, 0)
        if first + count - 1 <= held:
            return True
        if first > held + 1:
            return False
        found = list(read_operations(actor, first, operations))
        if any(self.version.get(other, 0) < counter for one in found for other, counter in one.references
               if other != actor):
            return False
        for operation in found:
            if operation.counter + operation.takes - 1 > held:
                self.perform(operation, held)
        self.version[actor] = first + count - 1
        return True

    def perform(self, operation, held):
        author, counter, elements = operation.actor, operation.counter, operation.elements
        if operation.kind in (INSERT, TYPE_ON, DELETE):
            text = self.texts.setdefault(operation.root, Text())
        if operation.kind == INSERT:
            left, right, scalars = operation.references_of(0), operation.references_of(1), elements[2]
            skip = max(0, held + 1 - counter)
            if skip:  # The rest of one that is held in part: as typed on.
                self.type_on(text, author, counter + skip, scalars[skip:])
            else:
                self.insert_run(text, author, counter, left, right, scalars)
        elif operation.kind == TYPE_ON:
            skip = max(0, held + 1 - counter)
            self.type_on(text, author, counter + skip, elements[0][skip:])
        elif operation.kind == DELETE:
            for (target, start), length in operation.targets():
                for offset in range(length):
                    text.delete((target, start + offset))
        elif operation.kind == SET:
            key, value, time = elements
            self.write(operation.root, key, (time, author, counter, value, True))
        elif operation.kind == REMOVE:
            key, time = elements
            self.write(operation.root, key, (time, author, counter, None, False))

    def insert_run(self, text, author, counter, left, right, scalars):
        for scalar in scalars:
            dot = (author, counter)
            if not text.insert(dot, left, right, scalar):
                return
            left, counter = dot, counter + 1

    def type_on(self, text, author, counter, scalars):
        before = text.characters.get((author, counter - 1))
        if before is not None:
            right = before.right.dot if before.right else None
            self.insert_run(text, author, counter, before.dot, right, scalars)

    def write(self, name, key, entry):
        entries = self.maps.setdefault(name, {})
        self.latest_time = max(self.latest_time, entry[0])
        if key not in entries or entries[key][:3] < entry[:3]:
            entries[key] = entry

    # ---- own edits: each gives (count, operations), and is applied by the caller as anybody's batch is

    def append(self, actor, next_counter, name, added):
        """Types at the end: after the last visible character, before whatever deleted ones follow it."""
        order = self.texts[name].order() if name in self.texts else []
        last = max((place for place, character in enumerate(order) if character.visible), default=-1)
        left = order[last].dot if last >= 0 else None
        right = order[last + 1].dot if last + 1 < len(order) else None
        writer = Writer(actor, next_counter, name)
        return len(added), writer.finish([INSERT, writer.reference(left), writer.reference(right), added])

    def delete_first(self, actor, next_counter, name):
        """Deletes the first visible character."""
        dot = next(character.dot for character in self.texts[name].order() if character.visible)
        writer = Writer(actor, next_counter, name)
        return 1, writer.finish([DELETE, writer.reference(dot)])

    def set(self, actor, next_counter, name, key, value, now):
        return 1, Writer(actor, next_counter, name).finish([SET, key, value, self.time(name, key, now)])

    def remove(self, actor, next_counter, name, key, now):
        return 1, Writer(actor, next_counter, name).finish([REMOVE, key, self.time(name, key, now)])

    def time(self, name, key, now_millis):
        """The hybrid time of a write: now, and more than that of what it replaces."""
        replaced = self.maps.get(name, {}).get(key)
        return max(now_millis << 16, replaced[0] + 1 if replaced else 0)


class Writer:
    """One operation of one root as a batch."""

    def __init__(self, actor, next_counter, name):
        self.actor, self.next, self.name, self.table = actor, next_counter, name, []

    def reference(self, dot):
        if dot is None:
            return None
        actor, counter = dot
        if actor == self.actor:
            return self.next - counter
        if actor not in self.table:
            self.table.append(actor)
        return [self.table.index(actor) + 1, counter]

    def finish(self, operation):
        return b"".join(msgpack.packb(value) for value in (self.name, *self.table, operation))


class Operation:
    def __init__(self, actor, counter, root, table, kind, elements):
        self.actor, self.counter, self.root, self.kind, self.elements = actor, counter, root, kind, elements
        self.table = table
        if kind == INSERT:
            self.takes = len(elements[2])
            self.references = [dot for dot in (self.references_of(0), self.references_of(1)) if dot]
        elif kind == TYPE_ON:
            self.takes, self.references = len(elements[0]), []
        elif kind == DELETE:
            self.takes = 1
            self.references = [(target, start + length - 1) for (target, start), length in self.targets()]
        elif kind in (SET, REMOVE):
            self.takes, self.references = 1, []
        else:  # Of a later version: passed over.
            self.takes, self.references = elements[0], []

    def references_of(self, index):
        return self.dot(self.elements[index])

    def dot(self, reference):
        if reference is None:
            return None
        if isinstance(reference, int):
            return self.actor, self.counter - reference
        index, counter = reference
        return self.table[index], counter

    def targets(self):
        targets, lengths = self.elements[0::2], self.elements[1::2]
        return [(self.dot(target), length) for target, length in zip(targets, lengths or [1])]


def read_operations(actor, first, operations):
    values = msgpack.Unpacker(strict_map_key=False)
    values.feed(operations)
    root, table, counter = None, [actor], first
    for value in values:
        if isinstance(value, str):
            root = value
        elif isinstance(value, int):
            table.append(value)
        else:
            kind, *elements = value
            operation = Operation(actor, counter, root, list(table), kind, elements)
            counter += operation.takes
            yield operation
