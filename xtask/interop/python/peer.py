"""The WebTransport peer of the interop suite: does what lines of JSON on its standard input say, and answers each.

xtask/tests/interop.rs says what; `xtask/interop/node/peer.mjs` takes the same lines over a WebSocket.
"""

import asyncio
import json
import sys

from inkwire_client import webtransport

PATIENCE_SECONDS = 40


def view(document):
    """What a peer sees, in the form that the other peers answer in."""
    replica = document.replica
    return {
        "texts": {name: str(text) for name, text in replica.texts.items() if str(text)},
        "maps": {name: entries for name in replica.maps if (entries := replica.map(name))},
        "presence": {subject: state.decode("utf-8") for subject, state in document.present.values()},
    }


async def perform(session, document, order):
    match order:
        case {"open": name}:
            document = await session.open(name)
        case {"reopen": name}:  # With what was known when it was left.
            document = await session.open(name, past=document.past if document else None)
        case {"append": [name, text]}:
            document.append(name, text)
        case {"delete_first": name}:
            document.delete_first(name)
        case {"set": [name, key, value]}:
            document.set(name, key, value)
        case {"remove": [name, key]}:
            document.remove(name, key)
        case {"presence": state}:
            document.set_presence(None if state is None else state.encode("utf-8"))
        case {"await": expected}:
            await session.until(lambda: view(document) == expected)
        case {"await_entries": [name, count]}:
            await session.until(lambda: len(document.replica.map(name)) == count)
        case {"durable": _}:
            await session.until(lambda: not document.own)
        case {"leave": _}:
            await document.leave()
        case {"forget": _}:  # Leaves, as if it had never been opened again.
            await document.leave()
            document.past = document.before
        case {"view": _}:
            pass
        case _:
            raise ValueError(f"unknown order {order}")
    return document


async def main():
    url, subject = sys.argv[1:]
    loop = asyncio.get_running_loop()
    lines = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    document = None
    async with webtransport.session(url, subject, "interop-python/1.0") as session:
        print(json.dumps({"ready": session.welcome["subject"]}), flush=True)
        while line := await lines.readline():
            order = json.loads(line)
            try:
                document = await asyncio.wait_for(perform(session, document, order), PATIENCE_SECONDS)
                answer = view(document) if "view" in order else {
                    "snapshots": document.snapshots, "differences": document.differences,
                    "datagrams": document.datagrams,
                }
            except Exception as error:
                answer = {"error": repr(error), "view": view(document) if document else None}
            print(json.dumps(answer), flush=True)


asyncio.run(main())
