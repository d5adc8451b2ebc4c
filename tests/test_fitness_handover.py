"""What a child hands over is read with bounds and believed in nothing; messages between engine and server."""

from __future__ import annotations

import json
import os
import socket
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitness.channel import Gone, receive, send
from fitness.handover import Logits, Parcel
from fitness.servers import Overflow


def drained(parcel: Parcel, data: bytes) -> Parcel:
    reader, writer = os.pipe()
    try:
        for begin in range(0, len(data), 1024):
            os.write(writer, data[begin : begin + 1024])
            parcel.drain(reader)
    finally:
        os.close(reader)
        os.close(writer)
    return parcel


def handed_over(header: bytes, model: bytes, marks: bytes = b"SH") -> bytes:
    return marks + struct.pack("<IQ", len(header), len(model)) + header + model


@given(st.binary(max_size=3000), st.booleans())
def test_a_whole_parcel_is_read(model: bytes, drew: bool) -> None:
    header = json.dumps({"steps": 3, "tokens": 6144}).encode()
    parcel = drained(Parcel(4000), handed_over(header, model, b"SH" if drew else b"H"))
    assert parcel.model == model
    assert parcel.started is drew
    assert parcel.counts == {"steps": 3.0, "tokens": 6144.0}


@given(st.binary(max_size=200), st.integers(1, 50))
def test_a_parcel_that_is_not_whole_is_none(model: bytes, missing: int) -> None:
    data = handed_over(b"{}", model)
    assert drained(Parcel(4000), data[: max(0, len(data) - missing)]).model is None


@given(st.binary(max_size=300))
def test_any_bytes_are_a_parcel_or_none(data: bytes) -> None:
    parcel = drained(Parcel(1000), data)
    assert parcel.model is None or data.endswith(parcel.model)
    assert isinstance(parcel.counts, dict)


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"[1]",
        b"null",
        b"{",
        b'{"steps": "many"}',
        b'{"steps": NaN}',
        b'{"tokens": 1e999}',
        b"[" * 3000,
        b'{"steps": [1]}',
    ],
)
def test_counts_that_are_no_numbers_are_left_out(header: bytes) -> None:
    parcel = drained(Parcel(1000), handed_over(header, b"model"))
    assert parcel.counts == {}
    assert parcel.model == b"model"


def test_a_parcel_above_its_limit_is_not_kept() -> None:
    with pytest.raises(Overflow):
        drained(Parcel(1000), bytes(8000))


def test_logits_are_so_many_and_no_byte_more() -> None:
    expected = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    logits = Logits(np.empty((2, 3, 4), np.float32))
    reader, writer = os.pipe()
    try:
        os.write(writer, expected.tobytes()[:50])
        assert logits.drain(reader)
        assert logits.array is None
        os.write(writer, expected.tobytes()[50:])
        logits.drain(reader)
        assert logits.array is not None
        assert (logits.array == expected).all()
        os.write(writer, b"x")
        with pytest.raises(Overflow):
            logits.drain(reader)
    finally:
        os.close(reader)
        os.close(writer)


def test_messages_bring_header_payload_and_descriptors() -> None:
    ours, theirs = socket.socketpair()
    reader, writer = os.pipe()
    with ours, theirs:
        send(ours, {"work": "train"}, b"payload", [writer])
        os.close(writer)
        header, payload, (received,) = receive(theirs)
        os.write(received, b"through")
        os.close(received)
    assert (header, payload) == ({"work": "train"}, b"payload")
    with os.fdopen(reader, "rb") as stream:
        assert stream.read() == b"through"


@pytest.mark.parametrize(
    "said",
    [b"", b"abc", struct.pack("<II", 1 << 31, 0), struct.pack("<II", 2, 0) + b"[]", struct.pack("<II", 3, 0) + b"{{{"],
)
def test_what_is_no_message_ends_the_channel(said: bytes) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(said)
        ours.shutdown(socket.SHUT_WR)
        with pytest.raises(Gone):
            receive(theirs)


def test_nobody_to_talk_to_is_told() -> None:
    ours, theirs = socket.socketpair()
    theirs.close()
    with ours, pytest.raises(Gone):
        send(ours, {})
