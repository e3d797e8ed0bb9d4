"""The conversation with a relay: one session, and documents in it. See docs/src/protocol/frames.md.

A transport gives a session `send(channel, frame)` for a lane, `send_datagram(data)` or None, and `finish(channel)`; it
hands what it received to `receive(channel, frame)` and `receive_datagram(data)`. Both ends of a lane's order are kept.
"""

import asyncio
import random
import time

from . import frames, snapshot
from .document import Document

SILENCE_SECONDS = 2
LOST_SECONDS = 6
PRESENCE_SECONDS = 10


class Closed(Exception):
    pass


class Session:
    def __init__(self, transport, token, agent):
        self.transport = transport
        self.changed = asyncio.Event()
        self.welcome = None
        self.expires = None
        self.failed = None
        self.heard_at = time.monotonic()
        self.documents = {}
        self.begun = 0
        self.sequence = 0  # of the last presence state in any document
        transport.send(0, frames.encode(frames.HELLO, [1], token, agent))

    # ---- waiting

    def notify(self):
        self.changed.set()
        self.changed = asyncio.Event()

    async def until(self, holds):
        """Waits until `holds()`; whoever calls bounds the time."""
        while not holds():
            if self.failed:
                raise self.failed
            await self.changed.wait()
        if self.failed:
            raise self.failed

    def fail(self, reason):
        self.failed = self.failed or Closed(reason)
        self.notify()

    # ---- time

    def now_millis(self):
        """The relay's clock: what Welcome said, and our monotonic clock since."""
        return self.welcome["time"] + int((time.monotonic() - self.welcome["heard"]) * 1000)

    async def keep_alive(self):
        """Asks a silent relay whether it is there, and repeats presence before the relay forgets it."""
        while not self.failed:
            await asyncio.sleep(SILENCE_SECONDS / 2)
            silence = time.monotonic() - self.heard_at
            if self.documents and silence > LOST_SECONDS:
                self.fail("the relay has been silent for too long")
            elif self.documents and silence > SILENCE_SECONDS:
                self.transport.send(0, frames.encode(frames.PING, random.getrandbits(32)))
            for document in self.documents.values():
                document.repeat_presence()

    # ---- frames

    def receive(self, channel, frame):
        self.heard_at = time.monotonic()
        if channel == 0:
            self.receive_control(frame)
        elif channel in self.documents:
            self.documents[channel].receive(frame)
        self.notify()

    def receive_datagram(self, data):
        self.heard_at = time.monotonic()
        try:
            channel, found = frames.split(data)
        except frames.Bad:
            return
        # A copy of a batch only comes earlier than the lane, which is enough here.
        if channel in self.documents and len(found) == 1 and found[0][0] != frames.BATCH:
            self.documents[channel].datagrams += 1
            self.documents[channel].receive(found[0])
        self.notify()

    def receive_control(self, frame):
        number, *rest = frame
        if number == frames.WELCOME:
            version, session, _, now, limits, subject, *_ = rest
            if version != 1:
                raise Closed(f"the relay picked version {version}")
            self.welcome = {"session": session, "time": now, "heard": time.monotonic(), "limits": limits,
                            "subject": subject}
        elif number == frames.TOKEN_ACCEPTED:
            self.expires = rest[0]
        elif number == frames.PING:
            self.transport.send(0, frames.encode(frames.PONG, rest[0]))
        elif number == frames.CLOSE:
            self.fail(f"the relay closed the session: {rest[0]} {rest[1]}")

    async def close(self):
        """Takes leave; returns when the relay has ended the session."""
        self.transport.send(0, frames.encode(frames.CLOSE, 0, ""))
        self.transport.finish(0)
        while not self.failed:
            await self.changed.wait()

    async def open(self, name, role="editor", past=None):
        """Opens a document, with what was known of it when it was left; returns when all that the relay has is here."""
        await self.until(lambda: self.welcome is not None)
        self.begun += 1
        document = OpenDocument(self, self.begun, name, role, past or Past())
        self.documents[self.begun] = document
        await self.until(lambda: document.synced or document.closed is not None)
        if document.closed is not None:
            raise Closed(f"{name} was closed: {document.closed}")
        return document


class Past:
    """What is known of a document beyond a lane: everything that made the replica, and what of it is durable."""

    def __init__(self):
        self.incarnation, self.inputs, self.durable = None, [], {}

    def copy(self):
        past = Past()
        past.incarnation, past.inputs, past.durable = self.incarnation, list(self.inputs), dict(self.durable)
        return past


def flat(vector):
    return [number for entry in vector.items() for number in entry]


class OpenDocument:
    """A document on its lane: a replica, and what is still on its way."""

    def __init__(self, session, channel, name, role, past):
        self.session, self.channel = session, channel
        self.before, self.past = past, past.copy()
        self.replica = Document()
        for take, *arguments in self.past.inputs:
            take(self.replica, *arguments)
        self.actor = self.next = self.role = None
        self.own = []  # (first, last, frame) of own batches that are not durable
        self.synced, self.closed = False, None
        self.chunks, self.snapshots, self.differences = [], 0, 0
        self.state, self.state_said = None, 0.0
        self.present, self.sequences = {}, {}
        self.datagrams = 0
        self.send(frames.OPEN, channel, name, self.past.incarnation, flat(self.replica.version), flat(self.past.durable),
                  role, None, {})

    def send(self, *elements):
        self.session.transport.send(self.channel, frames.encode(*elements))

    def take(self, *change):
        """Applies a change to the replica, and remembers it."""
        self.past.inputs.append(change)
        apply, *arguments = change
        return apply(self.replica, *arguments)

    def know_durable(self, vector):
        for actor, counter in vector:
            self.past.durable[actor] = max(counter, self.past.durable.get(actor, 0))
        self.own = [one for one in self.own if one[1] > self.past.durable.get(self.actor, 0)]

    # ---- receiving

    def receive(self, frame):
        number, *rest = frame
        if number == frames.OPENED:
            self.past.incarnation, self.role, lease, _, _, *_ = rest
            if lease:
                self.actor, self.next = lease[0], lease[1]
        elif number == frames.SNAPSHOT:
            index, last, data, *_ = rest
            if index == 0:
                self.chunks = []
            if index != len(self.chunks):
                raise Closed(f"chunk {index} of a snapshot after {len(self.chunks)} chunks")
            self.chunks.append(data)
            if last:
                covered, whole = self.take(snapshot.merge, b"".join(self.chunks))
                self.know_durable(covered.items())
                self.chunks = []
                self.snapshots += whole
                self.differences += not whole
        elif number == frames.BATCH:
            actor, first, count, operations, receipt, *_ = rest
            self.take(Document.apply, actor, first, count, operations)
            if receipt is None:
                self.know_durable([(actor, first + count - 1)])
        elif number == frames.SYNCED:
            self.synced = True
        elif number == frames.DURABLE:
            self.know_durable(zip(rest[0][0::2], rest[0][1::2]))
        elif number == frames.RESEND_FROM:
            for _, last, sent in self.own:
                if last >= rest[0]:
                    self.session.transport.send(self.channel, sent)
        elif number == frames.REFUSED:
            raise Closed(f"a batch was refused: {rest}")
        elif number == frames.LEASED:
            self.actor, self.next = rest[0], rest[1]
        elif number == frames.ROLE_CHANGED:
            self.role = rest[0]
        elif number == frames.PRESENCE_UPDATE:
            for session, sequence, subject, state, *_ in rest[0]:
                known = self.sequences.get(session)
                if session == self.session.welcome["session"]:
                    continue  # Our own.
                if known is not None and (sequence - known) % (1 << 32) >= 1 << 31:
                    continue
                self.sequences[session] = sequence
                if state is None:
                    self.present.pop(session, None)
                else:
                    self.present[session] = (subject, state)
        elif number == frames.CLOSE:
            self.closed = rest[0]

    def ended(self):
        """The relay finished the lane."""
        if self.closed is None:
            self.closed = 0
        self.session.notify()

    # ---- editing

    def edit(self, make, *arguments):
        """Makes one batch with a method of the replica, applies it and sends it."""
        if self.actor is None:
            raise Closed("read-only")
        count, operations = make(self.actor, self.next, *arguments)
        first, self.next = self.next, self.next + count
        self.take(Document.apply, self.actor, first, count, operations)
        sent = frames.encode(frames.BATCH, self.actor, first, count, operations, None)
        self.own.append((first, first + count - 1, sent))
        self.session.transport.send(self.channel, sent)

    def append(self, name, text):
        self.edit(self.replica.append, name, text)

    def delete_first(self, name):
        self.edit(self.replica.delete_first, name)

    def set(self, name, key, value):
        self.edit(self.replica.set, name, key, value, self.session.now_millis())

    def remove(self, name, key):
        self.edit(self.replica.remove, name, key, self.session.now_millis())

    def set_presence(self, state):
        self.state, self.state_said = state, time.monotonic()
        sequence = self.session.sequence = (self.session.sequence + 1) % (1 << 32)
        frame = frames.encode(frames.PRESENCE, sequence, state)
        datagram = frames.join(self.channel, frame)
        if len(datagram) > 1024 or not self.session.transport.send_datagram(datagram):
            self.session.transport.send(self.channel, frame)

    def repeat_presence(self):
        if self.state is not None and time.monotonic() - self.state_said > PRESENCE_SECONDS:
            self.set_presence(self.state)

    async def leave(self):
        """Closes the document, and returns when the relay has finished its lane."""
        self.send(frames.CLOSE_DOCUMENT)
        self.session.transport.finish(self.channel)
        await self.session.until(lambda: self.closed is not None)
        del self.session.documents[self.channel]
