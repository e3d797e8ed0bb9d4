"""Autobahn's cases against the relay's WebSocket, driven by kosoku.

Autobahn wants an echo, which a relay is not. So most of it runs against `relay/examples/websocket_echo.rs`, which is the
relay's own HTTP, upgrade, WebSocket configuration, close codes and ending with an echo on top, at the relay's own bound on
a message; the cases about throughput (9) send up to 16 MiB and run with the bound lifted. What needs no echo runs against
`/session` of a relay as well.
"""

import asyncio
import os
import subprocess
import tempfile
import time
from contextlib import contextmanager

import kosoku

# Pings, reserved bits and opcodes, fragments of what may have none, and closing: no case here sends a whole message first,
# to which a session without a `Hello` would rightly answer in its own way.
WITHOUT_ECHO = ["2.*", "3.1", "3.5", "3.6", "3.7", "4.1.1", "4.1.2", "4.2.1", "4.2.2", "5.1", "5.2", "5.9", "5.10", "5.11",
                "5.12", "5.13", "5.14", "7.3.*", "7.5.1", "7.7.*", "7.9.*", "7.13.*"]
# Compression, which the relay does not offer.
COMPRESSION = ["12.*", "13.*"]
LARGE = ["9.*"]
# Sends one message of 256 KiB, twice the bound, and a close behind it: the relay answers the first.
OVER_THE_BOUND = ["7.1.6"]

PASSED = {"OK", "NON-STRICT", "INFORMATIONAL"}
PASSED_CLOSE = {"OK", "INFORMATIONAL"}


async def run(what, address, cases, excluded):
    started = time.monotonic()
    try:
        results = await kosoku.run_fuzzingclient(address, cases, excluded, concurrency=4)
    except kosoku.FailureError as failure:
        results = failure.results
    bad = [one for one in results
           if one.behavior.value not in PASSED or one.behavior_close.value not in PASSED_CLOSE]
    for one in bad:
        print(f"FAILED  {what}: {one.case_id}: {one.behavior.value}, close {one.behavior_close.value}: {one.result}")
    counts = {}
    for one in results:
        counts[one.behavior.value] = counts.get(one.behavior.value, 0) + 1
    said = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
    print(f"Autobahn, {what}: {len(results)} cases: {said}; {len(bad)} failed; {time.monotonic() - started:.1f} s",
          flush=True)
    if not results:
        raise SystemExit(f"Autobahn, {what}: no cases were run")
    return len(bad)


@contextmanager
def program(*command):
    """A program that says where it serves in its first lines, until the end of the block."""
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield process.stdout
    finally:
        process.kill()
        process.wait()


async def main():
    with program(os.environ["INKWIRE_ECHO"]) as said:
        bounded, large = said.readline().strip(), said.readline().strip()
        failed = await run("the relay's bounds", bounded, None, COMPRESSION + LARGE + OVER_THE_BOUND)
        failed += await run("bound lifted", large, LARGE + OVER_THE_BOUND, None)
    with tempfile.TemporaryDirectory() as data:
        serve = ["serve", "--listen", "localhost:0", "--store", "memory", "--data", data, "--log", "warn"]
        with program(os.environ["INKWIRE_BIN"], *serve) as said:
            origin = said.readline().strip().removeprefix("inkwire is ready: ").rstrip("/")
            address = f"{origin.replace('http:', 'ws:')}/session"
            failed += await run("a relay's /session", address, WITHOUT_ECHO, None)
    if failed:
        raise SystemExit(f"Autobahn: {failed} cases failed")


asyncio.run(main())
