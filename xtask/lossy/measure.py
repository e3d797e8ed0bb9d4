"""Seen-latency over a path that loses packets: WebTransport with and without copies, and WebSocket, through the same loss.

Two network namespaces are joined by a pair of TUN devices that this process carries packets between: late by a fixed time each way,
and lost as a seed decides. Relay and clients are real processes on real kernel TCP and UDP. Needs Linux, root, iproute2 and /dev/net/tun.

Told by the environment: INKWIRE_BIN, INKWIRE_LOADTEST, INKWIRE_SCRATCH; for the rest see --help.
"""

import argparse
import base64
import fcntl
import hashlib
import heapq
import hmac
import json
import os
import random
import select
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000
RELAY, CLIENTS = "10.77.0.2", "10.77.0.1"
PORT = 4433
SECRET = b"only for this measurement, of no other use"
# Packets on their way in one direction; what comes on top is lost.
CAPACITY = 10_000

ROWS = [
    # name, transport, copies of the relay, copies of the clients
    ("webtransport, copies auto", "webtransport", "auto", "auto"),
    ("webtransport, copies on", "webtransport", "on", "on"),
    ("webtransport, copies off", "webtransport", "off", "off"),
    ("websocket", "websocket", "off", "off"),
]


def run(*command):
    subprocess.run(command, check=True)


class Link:
    """Two namespaces and what lies between them."""

    def __init__(self, loss, delay, seed, congestion):
        self.congestion = congestion
        self.names = [f"inkwire-{os.getpid()}-{side}" for side in "cr"]
        self.loss, self.delay = loss, delay
        self.random = random.Random(seed)
        self.passed = self.lost = 0
        # The most that a packet was carried later than it should, in seconds: what this machine adds.
        self.latest = 0.0
        self.files = []
        self.ended = False
        for name, own, other in zip(self.names, (CLIENTS, RELAY), (RELAY, CLIENTS)):
            run("ip", "netns", "add", name)
            tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
            device = f"ink{os.getpid() % 100_000}{name[-1]}"
            fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH", device.encode(), IFF_TUN | IFF_NO_PI))
            self.files.append(tun)
            inside = ("ip", "-n", name)
            run("ip", "link", "set", device, "netns", name)
            run(*inside, "link", "set", "lo", "up")
            run(*inside, "addr", "add", own, "peer", other, "dev", device)
            run(*inside, "link", "set", device, "txqueuelen", "1000", "up")
            # By route: the namespace's own default may be set only to what the host allows to everybody.
            run(*inside, "route", "replace", other, "dev", device, "congctl", congestion)
        self.thread = threading.Thread(target=self.carry, daemon=True)
        self.thread.start()

    def carry(self):
        under_way = []
        number = 0
        while not self.ended:
            wait = 0.2
            if under_way:
                wait = min(wait, max(0.0, under_way[0][0] - time.monotonic()))
            readable, _, _ = select.select(self.files, [], [], wait)
            for file in readable:
                to = self.files[1 - self.files.index(file)]
                while True:
                    try:
                        packet = os.read(file, 65_536)
                    except BlockingIOError:
                        break
                    except OSError:
                        return
                    # The devices' own IPv6 packets go nowhere and count as nothing.
                    if packet[0] >> 4 != 4:
                        continue
                    if self.random.random() < self.loss or len(under_way) > CAPACITY:
                        self.lost += 1
                        continue
                    self.passed += 1
                    number += 1
                    heapq.heappush(under_way, (time.monotonic() + self.delay, number, to, packet))
            now = time.monotonic()
            while under_way and under_way[0][0] <= now:
                due, _, to, packet = heapq.heappop(under_way)
                self.latest = max(self.latest, time.monotonic() - due)
                try:
                    os.write(to, packet)
                except OSError:
                    pass

    def check_congestion(self):
        """The kernel's word on what its connections use."""
        for name in self.names:
            told = subprocess.run(("ip", "netns", "exec", name, "ss", "-tinH"), stdout=subprocess.PIPE, text=True, check=True).stdout
            if any(self.congestion not in line for line in told.splitlines() if "rtt:" in line):
                raise SystemExit(f"TCP does not use {self.congestion}:\n{told}")

    def inside(self, side, *command):
        return ["ip", "netns", "exec", self.names[side], *command]

    def close(self):
        self.ended = True
        self.thread.join()
        for file in self.files:
            os.close(file)
        for name in self.names:
            subprocess.run(["ip", "netns", "del", name], check=False)


def token():
    def part(value):
        return base64.urlsafe_b64encode(value).rstrip(b"=")

    now = int(time.time())
    claims = {
        "iss": "measure", "aud": "inkwire", "sub": "measure", "iat": now, "exp": now + 86_400,
        "grants": [{"documents": "**", "role": "editor"}],
    }
    signed = part(json.dumps({"alg": "HS256", "typ": "JWT"}).encode()) + b"." + part(json.dumps(claims).encode())
    return (signed + b"." + part(hmac.new(SECRET, signed, hashlib.sha256).digest())).decode()


def measure(row, arguments, scratch):
    name, transport, relay_copies, client_copies = row
    path = Link(arguments.loss, arguments.delay / 1000, arguments.seed, arguments.congestion)
    relay = None
    try:
        (scratch / "secret").write_bytes(SECRET)
        # No fsync stands in the way of seeing an edit, but a quiet disk keeps it out of the figures all the same.
        relay = subprocess.Popen(
            path.inside(
                1, os.environ["INKWIRE_BIN"], "serve", "--listen", f"{RELAY}:{PORT}", "--behind-proxy", "--store", "memory",
                "--data", str(scratch / "data"), "--token-key", f"HS256:{scratch / 'secret'}", "--token-issuer", "measure",
                "--token-audience", "inkwire", "--datagram-copies", relay_copies, "--log", "warn",
            ),
            stdout=subprocess.PIPE, text=True,
        )
        if "ready" not in relay.stdout.readline():
            raise SystemExit("the relay did not start")
        replay = subprocess.Popen(
            path.inside(
                0, os.environ["INKWIRE_LOADTEST"], "replay", "--url", f"http://{RELAY}:{PORT}", "--trace",
                str(scratch / "trace.json"), "--writer", transport, "--observer", transport, "--rate", str(arguments.rate),
                "--token", token(), "--datagram-copies", client_copies, "--json",
            ),
            stdout=subprocess.PIPE, text=True,
        )
        if transport == "websocket":
            time.sleep(min(5, arguments.edits / arguments.rate / 2))
            path.check_congestion()
        output, _ = replay.communicate()
        if replay.returncode != 0:
            raise SystemExit(f"the replay ended with {replay.returncode}: {output}")
        report = json.loads(output)
        share = path.lost / max(1, path.lost + path.passed)
        late = f"carried at most {1000 * path.latest:.1f} ms late"
        print(f"{name}: {json.dumps(report)}, {path.lost + path.passed} packets, {share:.1%} lost, {late}", file=sys.stderr)
        return report, share
    finally:
        if relay:
            relay.kill()
            relay.wait()
        path.close()


def main():
    parser = argparse.ArgumentParser(description="Seen-latency over a path that loses packets")
    parser.add_argument("--loss", type=float, default=0.05, help="share of packets lost in each direction (0.05)")
    parser.add_argument("--delay", type=float, default=25, help="milliseconds each way (25)")
    parser.add_argument("--rate", type=float, default=20, help="edits a second (20)")
    parser.add_argument("--edits", type=int, default=2_000, help="edits of each row (2000)")
    parser.add_argument("--seed", type=int, default=1, help="which packets are lost (1)")
    parser.add_argument("--rounds", type=int, default=1, help="how often all rows are measured, each with the next seed (1)")
    parser.add_argument("--congestion", default="cubic", help="the kernel's congestion control; QUIC's is cubic (cubic)")
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        raise SystemExit("network namespaces and TUN devices need root")
    scratch = Path(os.environ["INKWIRE_SCRATCH"])
    scratch.mkdir(parents=True, exist_ok=True)
    with open(scratch / "trace.json", "wb") as trace:
        typist = [os.environ["INKWIRE_LOADTEST"], "typist", "--seed", "1", "--edits", str(arguments.edits)]
        subprocess.run(typist, stdout=trace, check=True)
    print("| both sessions | seed | seen ms, p50 / p99 | durable ms, p50 / p99 | packets lost | text |")
    print("|---|---|---|---|---|---|")
    for _ in range(arguments.rounds):
        for row in ROWS:
            report, share = measure(row, arguments, scratch)
            seen, durable = report["seen_ms"], report["durable_ms"]
            print(
                f"| {row[0]} | {arguments.seed} | {seen['p50']:.0f} / {seen['p99']:.0f} | {durable['p50']:.0f} / {durable['p99']:.0f} "
                f"| {share:.1%} | {'equal' if report['text_equal'] else 'DIFFERS'} |",
                flush=True,
            )
        arguments.seed += 1


main()
