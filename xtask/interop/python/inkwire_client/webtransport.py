"""A session over WebTransport, with aioquic."""

import asyncio
import base64
import hashlib
import json
import ssl
import urllib.request
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from aioquic.asyncio.client import connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3.connection import H3Connection
from aioquic.h3.events import DatagramReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ConnectionTerminated, StreamDataReceived, StreamReset
from cryptography.hazmat.primitives.serialization import Encoding

from . import frames
from .session import Closed, Session


GOODBYE_SECONDS = 10


def ask(url, body=None):
    with urllib.request.urlopen(urllib.request.Request(url, data=body), timeout=20) as answer:
        return answer.read().decode("utf-8")


class WebTransport(QuicConnectionProtocol):
    def __init__(self, *arguments, **named):
        super().__init__(*arguments, **named)
        self.http = H3Connection(self._quic, enable_webtransport=True)
        self.loop = asyncio.get_running_loop()
        self.settings, self.accepted = self.loop.create_future(), self.loop.create_future()
        self.connect_stream = None
        self.streams, self.channels, self.readers = {}, {}, {}
        self.session = None

    async def begin(self, authority, path):
        """The CONNECT request; returns when the relay has accepted it."""
        settings = await self.settings
        if not settings.get(0x33):
            raise Closed("the relay takes no datagrams")
        self.connect_stream = self._quic.get_next_available_stream_id()
        self.http.send_headers(self.connect_stream, [
            (b":method", b"CONNECT"), (b":scheme", b"https"), (b":authority", authority.encode()),
            (b":path", path.encode()), (b":protocol", b"webtransport"),
        ])
        self.transmit()
        status = await self.accepted
        if status != b"200":
            raise Closed(f"the relay answered {status!r}")

    # ---- what a session asks of its transport

    def send(self, channel, frame):
        if channel not in self.streams:
            stream = self.http.create_webtransport_stream(self.connect_stream)
            self.streams[channel], self.channels[stream] = stream, channel
            self.readers[channel] = frames.StreamReader()
        self._quic.send_stream_data(self.streams[channel], frames.with_length(frame))
        self.transmit()

    def send_datagram(self, data):
        self.http.send_datagram(self.connect_stream, data)
        self.transmit()
        return True

    def finish(self, channel):
        self._quic.send_stream_data(self.streams[channel], b"", end_stream=True)
        self.transmit()

    # ---- what comes

    def quic_event_received(self, event):
        try:
            self.take(event)
        except Exception as error:
            if self.session is None:
                raise
            self.session.fail(repr(error))

    def take(self, event):
        if isinstance(event, ConnectionTerminated):
            self.lost(f"the connection ended: {event.error_code} {event.reason_phrase}")
        elif isinstance(event, StreamDataReceived) and event.stream_id in self.channels:
            # Ours from the start, so HTTP/3 has no part in what comes back on it.
            channel = self.channels[event.stream_id]
            for frame in self.readers[channel].feed(event.data):
                self.session.receive(channel, frame)
            if event.end_stream:
                self.over(channel)
        elif isinstance(event, StreamReset) and event.stream_id in self.channels:
            self.over(self.channels[event.stream_id])
        else:
            for found in self.http.handle_event(event):
                if isinstance(found, HeadersReceived) and found.stream_id == self.connect_stream:
                    if not self.accepted.done():
                        self.accepted.set_result(dict(found.headers)[b":status"])
                elif isinstance(found, DatagramReceived) and self.session is not None:
                    self.session.receive_datagram(found.data)
            if self.http.received_settings is not None and not self.settings.done():
                self.settings.set_result(self.http.received_settings)

    def over(self, channel):
        if channel == 0:
            self.session.fail("the relay ended the control lane")
        elif channel in self.session.documents:
            self.session.documents[channel].ended()

    def lost(self, reason):
        for future in (self.settings, self.accepted):
            if not future.done():
                future.set_exception(Closed(reason))
        if self.session is not None:
            self.session.fail(reason)


@asynccontextmanager
async def session(url, subject, agent):
    """A welcomed session of a development relay, over a certificate that it names itself."""
    parts = urlsplit(url)
    configuration = QuicConfiguration(
        is_client=True, alpn_protocols=["h3"], max_datagram_frame_size=65_536, server_name=parts.hostname,
        verify_mode=ssl.CERT_NONE,  # By its hash instead, below.
    )
    hashes = {base64.b64decode(entry["value"]) for entry in json.loads(ask(f"{url}/certificate-hashes"))}
    token = ask(f"{url}/dev/token", json.dumps({"subject": subject}).encode())
    async with connect(parts.hostname, parts.port, configuration=configuration, create_protocol=WebTransport) as quic:
        certificate = quic._quic.tls._peer_certificate.public_bytes(Encoding.DER)
        if hashlib.sha256(certificate).digest() not in hashes:
            raise Closed("the relay's certificate is not one that it names")
        await quic.begin(parts.netloc, "/session")
        quic.session = Session(quic, token, agent)
        alive = asyncio.create_task(quic.session.keep_alive())
        try:
            await quic.session.until(lambda: quic.session.welcome is not None)
            yield quic.session
            async with asyncio.timeout(GOODBYE_SECONDS):
                await quic.session.close()
        finally:
            alive.cancel()
