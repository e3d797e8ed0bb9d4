"""A small client of an Inkwire relay, written from docs/src/protocol alone.

`wire` is bytes and frames, `document` a replica, `snapshot` reads snapshots into one, `session` the conversation, and
`webtransport` carries it over aioquic.
"""
