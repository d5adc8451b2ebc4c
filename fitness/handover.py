"""What comes back from a child's hand-over descriptor, read with bounds: nothing in it is trusted."""

from __future__ import annotations

import json
import math
import os
import struct

import numpy as np

from fitness.servers import Overflow

_LENGTHS = struct.Struct("<IQ")  # bytes of the header, bytes of the parcel
_MAX_HEADER = 4096
_COUNTS = ("steps", "tokens")


class Parcel:
    """A training child's marks and model: b"S" at the first batch, b"H" at the hand-over, lengths, header, model."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes + _MAX_HEADER + _LENGTHS.size + 2
        self._data = bytearray()

    def drain(self, fd: int) -> bool:
        data = os.read(fd, 1 << 18)
        self._data += data
        if len(self._data) > self._limit:
            raise Overflow
        return bool(data)

    @property
    def started(self) -> bool:
        """It says that it has drawn its first batch."""
        return self._data[:1] == b"S"

    @property
    def handing_over(self) -> bool:
        """It says that it has stopped training."""
        return self._data[int(self.started) :][:1] == b"H"

    @property
    def model(self) -> bytes | None:
        """The pickled model, or None when none came, or not whole."""
        parts = self._parts()
        return parts[1] if parts else None

    @property
    def counts(self) -> dict[str, float]:
        """What the child says it drew: for people to read, never for a decision."""
        parts = self._parts()
        try:
            header = json.loads(parts[0]) if parts else {}
        except (ValueError, RecursionError):
            return {}
        found = {name: header.get(name) for name in _COUNTS} if isinstance(header, dict) else {}
        return {
            name: float(count)
            for name, count in found.items()
            if isinstance(count, int | float) and abs(count) < 1e15 and math.isfinite(count)
        }

    def _parts(self) -> tuple[bytes, bytes] | None:
        begin = 1 + int(self.started)
        if not self.handing_over or len(self._data) < begin + _LENGTHS.size:
            return None
        header_bytes, model_bytes = _LENGTHS.unpack_from(self._data, begin)
        begin += _LENGTHS.size
        if len(self._data) != begin + header_bytes + model_bytes:
            return None
        return bytes(self._data[begin : begin + header_bytes]), bytes(self._data[begin + header_bytes :])


class Logits:
    """An answering child's logits: so many float32 and no byte more.

    Args:
        array: (rows, length, vocabulary) float32, written over.
    """

    def __init__(self, array: np.ndarray) -> None:
        self._array = array
        self._view = self._array.reshape(-1).view(np.uint8).data
        self._got = 0

    def drain(self, fd: int) -> bool:
        if self._got == len(self._view):
            if os.read(fd, 1):
                raise Overflow
            return False
        got = os.readv(fd, [self._view[self._got :]])
        self._got += got
        return got > 0

    @property
    def array(self) -> np.ndarray | None:
        """(rows, length, vocabulary), or None while it is not whole."""
        return self._array if self._got == len(self._view) else None
