"""The fixed part of a training run: data, clock and hand-over, as train.py imports them. It is not evolved.

A copy stands in the workspace of each run, beside run.json with the run's settings.
"""

from __future__ import annotations

import io
import json
import os
import struct
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import cloudpickle
import numpy as np
import torch

HAND_OVER_FD = 3  # where the evaluator reads: b"S" at the first batch, b"H" at the hand-over, lengths, header, parcel
REFUSED_EXIT = 65  # as fitness.harness.codes says; this file stands alone in a workspace

_settings_path = Path(__file__).with_name("run.json")
_settings = json.loads(_settings_path.read_text(encoding="utf-8")) if _settings_path.exists() else {}

MAX_SEQ_LEN: int = _settings.get("seq_len", 256)
VOCAB_SIZE: int = _settings.get("vocab_size", 2048)
TIME_BUDGET: float = _settings.get("budget_s", 10.0)  # CPU-seconds of this process, from the first batch drawn


class _Clock:
    """How far the run is: in CPU-seconds since the first batch, or in batches when a run is replayed."""

    def __init__(self) -> None:
        self.start_s: float | None = None
        self.batches = 0
        self.tokens = 0
        self._asked = (0.0, 0)  # when it was asked last, and the batches drawn by then
        self._step_s = 0.0

    def draw(self, tokens: int) -> None:
        """Count a batch; the first one starts the clock."""
        if self.start_s is None:
            # a start-up beyond its allowance is paid from the budget
            self.start_s = min(time.process_time(), _settings.get("startup_s", 1.0))
            self._asked = (self.start_s, 0)
            os.write(HAND_OVER_FD, b"S")
        self.batches += 1
        self.tokens += tokens

    def share(self) -> float:
        if _settings.get("steps"):
            return self.batches / _settings["steps"]
        if self.start_s is None:
            return 0.0
        now = time.process_time()
        if self.batches > self._asked[1]:
            self._step_s = now - self._asked[0]
        self._asked = (now, self.batches)
        used_s = now - self.start_s
        # ends with the step that ends nearest to the budget: long steps then train no longer than short ones
        return max(1.0, used_s / TIME_BUDGET) if used_s + self._step_s / 2 > TIME_BUDGET else used_s / TIME_BUDGET


_clock = _Clock()


def make_dataloader(batch_size: int, seq_len: int = MAX_SEQ_LEN) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield (batch_size, seq_len) int64 inputs and their next tokens, without end, from random places of the text."""
    text = np.memmap(_settings["train"], dtype=np.uint16, mode="r")
    rng = np.random.default_rng(_settings["seed"])
    offsets = np.arange(seq_len + 1)
    while True:
        _clock.draw(batch_size * seq_len)
        starts = rng.integers(0, len(text) - seq_len, size=batch_size)
        rows = torch.from_numpy(text[starts[:, None] + offsets].astype(np.int64))
        yield rows[:, :-1].contiguous(), rows[:, 1:].contiguous()


def token_bytes() -> torch.Tensor:
    """Return (VOCAB_SIZE,) int32 UTF-8 lengths of the tokens; 0 for specials, which are not scored."""
    return torch.from_numpy(np.load(_settings["token_bytes"]))


def progress() -> float:
    """Return the share of the budget that is used: 0 at the first batch, 1 or more when it is time to stop."""
    return _clock.share()


def evaluate_bpb(model: torch.nn.Module) -> NoReturn:
    """Hand the trained model over to be scored, and end the process.

    Args:
        model: maps (B, T) int64 tokens to (B, T, VOCAB_SIZE) logits of the next tokens. It is scored in eval mode,
            elsewhere: it must not need anything of this process.
    """
    os.write(HAND_OVER_FD, b"H")
    model = getattr(model, "_orig_mod", model)  # what torch.compile wraps
    if not isinstance(model, torch.nn.Module):
        raise TypeError(f"evaluate_bpb takes a torch.nn.Module; got {type(model).__name__}")
    _by_value_from(os.getcwd())
    parcel = _Capped(_settings["parcel_bytes"])
    torch.save(model.to("cpu"), parcel, pickle_module=cloudpickle)
    if parcel.total > parcel.limit:
        sizes = f"{parcel.total / 1e6:.1f} MB; at most {parcel.limit / 1e6:g} MB are taken"
        print(f"the model makes a parcel of {sizes}", file=sys.stderr, flush=True)
        os._exit(REFUSED_EXIT)
    header = json.dumps({"steps": _clock.batches, "tokens": _clock.tokens}).encode()
    body = parcel.getvalue()
    sys.stdout.flush()
    sys.stderr.flush()
    with open(HAND_OVER_FD, "wb") as channel:
        channel.write(struct.pack("<IQ", len(header), len(body)) + header + body)
    os._exit(0)


def _by_value_from(folder: str) -> None:
    # modules of the genome do not exist where the model is answered from; this one does
    for name, module in list(sys.modules.items()):
        path = getattr(module, "__file__", None)
        if path and os.path.abspath(path).startswith(folder + os.sep) and name not in ("__main__", __name__):
            cloudpickle.register_pickle_by_value(module)


class _Capped(io.BytesIO):
    """Keeps no more than its limit and counts the rest: an error inside a write would reach torch as another one."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.limit = limit
        self.total = 0

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self.total += len(data)
        return super().write(data) if self.total <= self.limit else len(data)
