"""The two things a forked child does: train a genome, or answer token rows with a handed-over model's logits."""

from __future__ import annotations

import io
import linecache
import os
import random
import runpy
import sys
import traceback
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from fitness.harness.codes import CRASH_EXIT, OOM_EXIT, REFUSED_EXIT
from fitness.harness.prepare import HAND_OVER_FD

_ANSWER_ROWS = 8  # rows a model sees at once when it is answered from: the logits of a batch stay small


def train(request: Mapping[str, Any]) -> int:
    """Run train.py as `__main__` in the current folder; return the exit status unless evaluate_bpb ends the process."""
    _seed(request["seed"])
    sys.argv = ["train.py"]
    sys.path.insert(0, os.getcwd())
    linecache.clearcache()
    try:
        runpy.run_path("train.py", run_name="__main__")
    except SystemExit as ending:
        return _status(ending)
    except BaseException as error:  # noqa: BLE001 - whatever the genome raises is its failure, told by the exit status
        return _explain(error)
    return 0


def answer(request: Mapping[str, Any], payload: bytes) -> int:
    """Unpickle the model, write its float32 logits of the token rows to the hand-over descriptor; return a status."""
    rows, length, vocab_size = request["rows"], request["length"], request["vocab_size"]
    token_bytes = rows * length * 2
    tokens = np.frombuffer(payload, np.uint16, rows * length).reshape(rows, length).astype(np.int64)
    _seed(request["seed"])
    try:
        model = torch.load(io.BytesIO(payload[token_bytes:]), map_location="cpu", weights_only=False)
        model.eval()
        with torch.no_grad(), open(HAND_OVER_FD, "wb", buffering=0) as channel:
            for begin in range(0, rows, _ANSWER_ROWS):
                batch = torch.from_numpy(tokens[begin : begin + _ANSWER_ROWS])
                logits = model(batch)
                expected = (*batch.shape, vocab_size)
                if not isinstance(logits, torch.Tensor) or tuple(logits.shape) != expected:
                    shape = tuple(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
                    print(
                        f"the model answers with {shape}; {expected} logits are asked for", file=sys.stderr, flush=True
                    )
                    return REFUSED_EXIT
                view = logits.float().contiguous().numpy().reshape(-1).view(np.uint8).data
                while view:
                    view = view[channel.write(view) :]
    except BaseException as error:  # noqa: BLE001 - whatever the model raises is the genome's failure
        return _explain(error)
    return 0


def _seed(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def _status(ending: SystemExit) -> int:
    if ending.code is None or isinstance(ending.code, int):
        return (ending.code or 0) & 0xFF
    print(ending.code, file=sys.stderr, flush=True)
    return CRASH_EXIT


def _explain(error: BaseException) -> int:
    traceback.print_exception(error)
    sys.stderr.flush()
    # torch reports its allocator's failure as a RuntimeError
    return OOM_EXIT if isinstance(error, MemoryError) or "can't allocate memory" in str(error) else CRASH_EXIT
