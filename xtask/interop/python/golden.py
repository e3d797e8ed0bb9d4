"""The golden files of protocol/golden, read and written with a stock MessagePack library."""

import json
import sys
from pathlib import Path

import msgpack

from inkwire_client import frames

GOLDEN = Path(sys.argv[1])


def plain(value):
    """A value of frames.json, which writes what JSON has not as an object."""
    if isinstance(value, dict):
        if set(value) == {"bin"}:
            return bytes.fromhex(value["bin"])
        if set(value) == {"uint"}:
            return int(value["uint"])
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


def main():
    failures = []

    def expect(holds, file, what):
        if not holds:
            failures.append(f"{file}: {what}")

    described = json.loads((GOLDEN / "frames.json").read_text("utf-8"))
    for entry in described:
        data = (GOLDEN / entry["file"]).read_bytes()
        expected = plain(entry["value"])
        expect(msgpack.unpackb(data, strict_map_key=False) == expected, entry["file"], "reads as something else")
        expect(frames.decode(data) == expected, entry["file"], "the typed reader reads something else")
        # The files are in MessagePack's shortest form, which is what this library writes.
        expect(frames.encode(*expected) == data, entry["file"], "is written as other bytes")

    refused = json.loads((GOLDEN / "refused.json").read_text("utf-8"))
    for entry in refused:
        try:
            read = frames.decode((GOLDEN / entry["file"]).read_bytes())
            expect(False, entry["file"], f"was read as {read!r}"[:200])
        except frames.Bad as bad:
            expect(bad.code == entry["code"], entry["file"], f"refused as {bad.code}, not {entry['code']}")

    wire = sorted((GOLDEN / "wire").iterdir())
    for file in wire:
        data = file.read_bytes()
        try:
            if file.name == "stream.bin":
                found = frames.StreamReader().feed(data)
                byte_by_byte = frames.StreamReader()
                again = [frame for byte in data for frame in byte_by_byte.feed(bytes([byte]))]
                expect(found and found == again, file.name, "depends on how it is cut")
            else:
                channel, found = frames.split(data)
                expect(found, file.name, "no frames")
                again = frames.join(channel, *(frames.encode(*frame) for frame in found))
                expect(again == data, file.name, "is written as other bytes")
        except frames.Bad as bad:
            expect(False, file.name, str(bad))

    for failure in failures:
        print(f"FAILED  {failure}")
    if failures or not (described and refused and wire):
        raise SystemExit(f"golden files, Python: {len(failures)} failures")
    print(f"golden files, Python: {len(described)} frames, {len(refused)} refused, {len(wire)} in messages and streams")


main()
