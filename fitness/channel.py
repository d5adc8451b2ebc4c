"""Messages between the engine and its servers: a JSON header, raw bytes and file descriptors, never a pickle."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Sequence
from typing import Any

_LENGTHS = struct.Struct("<II")  # bytes of the header, bytes of the payload
MAX_HEADER = 1 << 16
MAX_PAYLOAD = 64 << 20
MAX_FDS = 4


class Gone(ConnectionError):
    """The other end has closed the channel, or sent what is no message."""


def send(channel: socket.socket, header: dict[str, Any], payload: bytes = b"", fds: Sequence[int] = ()) -> None:
    """Send one message; the descriptors are duplicated into the other process.

    Raises:
        Gone: nobody is there.
    """
    text = json.dumps(header).encode()
    try:
        socket.send_fds(channel, [_LENGTHS.pack(len(text), len(payload))], list(fds))
        channel.sendall(text)
        channel.sendall(payload)
    except OSError as error:
        raise Gone(str(error)) from error


def receive(channel: socket.socket) -> tuple[dict[str, Any], bytes, list[int]]:
    """Return the next message: header, payload, descriptors.

    Raises:
        Gone: the channel has ended, or what came is no message.
    """
    try:
        lengths, fds, _, _ = socket.recv_fds(channel, _LENGTHS.size, MAX_FDS, socket.MSG_WAITALL)
        if len(lengths) < _LENGTHS.size:
            raise Gone("the channel was closed")
        header_bytes, payload_bytes = _LENGTHS.unpack(lengths)
        if header_bytes > MAX_HEADER or payload_bytes > MAX_PAYLOAD:
            raise Gone(f"a message of {header_bytes} + {payload_bytes} bytes is none of ours")
        header = json.loads(_exactly(channel, header_bytes))
        payload = _exactly(channel, payload_bytes)
    except (OSError, ValueError) as error:
        raise error if isinstance(error, Gone) else Gone(str(error)) from error
    if not isinstance(header, dict):
        raise Gone("a header that is no object")
    return header, bytes(payload), fds


def _exactly(channel: socket.socket, count: int) -> bytearray:
    data = bytearray(count)
    view = memoryview(data)
    while view:
        got = channel.recv_into(view)
        if not got:
            raise Gone("the channel was closed within a message")
        view = view[got:]
    return data
