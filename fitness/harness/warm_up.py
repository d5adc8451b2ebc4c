"""Touches what torch loads lazily, so that a forked child does not pay for it: measured 27 ms instead of 950 ms."""

from __future__ import annotations

import copy
import io

import cloudpickle
import torch
import torch.nn.functional as F
from torch import nn


def training_step() -> None:
    """Build a small model, take an optimizer step in fp32 and bf16, copy and pickle it."""
    model = _small_model()
    tokens = torch.randint(0, 16, (2, 8))
    for make in (_adamw, _sgd):
        optimizer = make(model)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0)
        for bf16 in (False, True):
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                loss = F.cross_entropy(model(tokens).view(-1, 16), tokens.view(-1))
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            schedule.step()
    torch.save(copy.deepcopy(model), io.BytesIO(), pickle_module=cloudpickle)


def forward_pass() -> None:
    """Answer with a small model that came through a pickle."""
    parcel = io.BytesIO()
    torch.save(_small_model(), parcel, pickle_module=cloudpickle)
    parcel.seek(0)
    model = torch.load(parcel, weights_only=False).eval()
    with torch.no_grad():
        model(torch.randint(0, 16, (2, 8))).float().numpy()


def _adamw(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.AdamW(model.parameters(), lr=1e-3)


def _sgd(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)


def _small_model() -> nn.Module:
    return nn.Sequential(
        nn.Embedding(16, 8), nn.LayerNorm(8), _Attention(), nn.GELU(), nn.Dropout(0.1), nn.Linear(8, 16)
    )


class _Attention(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        heads = x.view(*x.shape[:2], 2, 4).transpose(1, 2)
        return F.scaled_dot_product_attention(heads, heads, heads, is_causal=True).transpose(1, 2).reshape(x.shape)
