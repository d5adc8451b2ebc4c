"""A small GPT trained on the CPU for a fixed budget: generation 0 of the task train_cpu.

It is run as `python train.py` beside `prepare`, which supplies the data and the clock and takes the trained model.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn as nn
import torch.nn.functional as F
from prepare import MAX_SEQ_LEN, TIME_BUDGET, VOCAB_SIZE, evaluate_bpb, make_dataloader, progress

# Model
DEPTH = 4
N_EMBD = 128
N_HEAD = 4
N_KV_HEAD = 4  # fewer than N_HEAD: several query heads share one key and value head
MLP_RATIO = 4
WINDOW_PATTERN = "L"  # one letter per layer, repeated: L looks at everything, S at the last half of the context
DROPOUT = 0.1
INIT_STD = 0.02

# Optimization
BATCH_SIZE = 8  # rows of MAX_SEQ_LEN tokens in one forward pass
GRAD_ACCUM_STEPS = 1  # forward passes for each step of the optimizer
LEARNING_RATE = 1e-3
MIN_LR_RATIO = 0.1  # of LEARNING_RATE, at the end of the cosine
WARMUP_RATIO = 0.1  # share of the budget
WEIGHT_DECAY = 0.1
BETAS = (0.9, 0.95)
GRAD_CLIP = 1.0
EMA_DECAY = 0.98
LOG_EVERY = 10  # steps


@dataclass
class Config:
    """The shape of the model."""

    vocab_size: int = VOCAB_SIZE
    context: int = MAX_SEQ_LEN
    n_layer: int = DEPTH
    n_embd: int = N_EMBD
    n_head: int = N_HEAD
    n_kv_head: int = N_KV_HEAD
    mlp_ratio: int = MLP_RATIO
    window_pattern: str = WINDOW_PATTERN
    dropout: float = DROPOUT
    bias: bool = True


class Attention(nn.Module):
    """Causal attention over the tokens before; masks, groups and dropout as the configuration says."""

    def __init__(self, config, layer):
        super().__init__()
        assert config.n_embd % config.n_head == 0
        assert config.n_head % config.n_kv_head == 0
        self.n_head = config.n_head
        self.n_kv_head = config.n_kv_head
        self.head_dim = config.n_embd // config.n_head
        self.dropout = config.dropout
        letter = config.window_pattern[layer % len(config.window_pattern)]
        self.window = config.context // 2 if letter == "S" else None
        self.query = nn.Linear(config.n_embd, self.n_head * self.head_dim, bias=config.bias)
        self.key = nn.Linear(config.n_embd, self.n_kv_head * self.head_dim, bias=config.bias)
        self.value = nn.Linear(config.n_embd, self.n_kv_head * self.head_dim, bias=config.bias)
        self.out = nn.Linear(config.n_embd, config.n_embd, bias=config.bias)
        self.out_dropout = nn.Dropout(config.dropout)

    def forward(self, x):
        rows, length, width = x.shape
        q = self.query(x).view(rows, length, self.n_head, self.head_dim).transpose(1, 2)
        k = self.key(x).view(rows, length, self.n_kv_head, self.head_dim).transpose(1, 2)
        v = self.value(x).view(rows, length, self.n_kv_head, self.head_dim).transpose(1, 2)
        if self.n_kv_head < self.n_head:
            k = k.repeat_interleave(self.n_head // self.n_kv_head, dim=1)
            v = v.repeat_interleave(self.n_head // self.n_kv_head, dim=1)
        mask = None
        if self.window is not None:
            distance = torch.arange(length).unsqueeze(1) - torch.arange(length).unsqueeze(0)
            mask = (distance >= 0) & (distance < self.window)
        dropout = self.dropout if self.training else 0.0
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=dropout, is_causal=mask is None)
        y = y.transpose(1, 2).contiguous().view(rows, length, width)
        return self.out_dropout(self.out(y))


class MLP(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.up = nn.Linear(config.n_embd, config.mlp_ratio * config.n_embd, bias=config.bias)
        self.down = nn.Linear(config.mlp_ratio * config.n_embd, config.n_embd, bias=config.bias)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x):
        return self.dropout(self.down(F.gelu(self.up(x))))


class Block(nn.Module):
    def __init__(self, config, layer):
        super().__init__()
        self.norm_attention = nn.LayerNorm(config.n_embd, bias=config.bias)
        self.attention = Attention(config, layer)
        self.norm_mlp = nn.LayerNorm(config.n_embd, bias=config.bias)
        self.mlp = MLP(config)

    def forward(self, x):
        x = x + self.attention(self.norm_attention(x))
        return x + self.mlp(self.norm_mlp(x))


class GPT(nn.Module):
    """Maps (rows, length) tokens to (rows, length, VOCAB_SIZE) logits."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.token_table = nn.Embedding(config.vocab_size, config.n_embd)
        self.position_table = nn.Embedding(config.context, config.n_embd)
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList([Block(config, layer) for layer in range(config.n_layer)])
        self.norm = nn.LayerNorm(config.n_embd, bias=config.bias)
        self.head = nn.Linear(config.n_embd, config.vocab_size, bias=False)
        self.apply(self._init_weights)
        # what writes into the residual stream starts smaller the more layers write into it
        for block in self.blocks:
            for layer in (block.attention.out, block.mlp.down):
                nn.init.normal_(layer.weight, std=INIT_STD / math.sqrt(2 * config.n_layer))

    def _init_weights(self, module):
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=INIT_STD)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=INIT_STD)

    def forward(self, tokens):
        positions = torch.arange(tokens.shape[1], device=tokens.device)
        x = self.dropout(self.token_table(tokens) + self.position_table(positions))
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))

    def num_params(self):
        """Parameters, without the tables, which take part in no matrix product."""
        tables = self.token_table.weight.numel() + self.position_table.weight.numel()
        return sum(parameter.numel() for parameter in self.parameters()) - tables

    def estimate_flops(self):
        """FLOPs of training on one token: 6 for each parameter, 12 for each position and channel attended to."""
        attended = self.config.n_layer * self.config.n_embd * self.config.context
        return 6 * self.num_params() + 12 * attended

    def configure_optimizer(self):
        """AdamW; only matrices and tables decay."""
        decay = [parameter for parameter in self.parameters() if parameter.dim() >= 2]
        no_decay = [parameter for parameter in self.parameters() if parameter.dim() < 2]
        groups = [
            {"params": decay, "weight_decay": WEIGHT_DECAY},
            {"params": no_decay, "weight_decay": 0.0},
        ]
        return torch.optim.AdamW(groups, lr=LEARNING_RATE, betas=BETAS, eps=1e-8)


class EMA:
    """A moving average of the weights: smoother than the last step, and what is evaluated."""

    def __init__(self, model, decay):
        self.decay = decay
        self.shadow = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}

    @torch.no_grad()
    def update(self, model):
        for name, parameter in model.named_parameters():
            self.shadow[name].mul_(self.decay).add_(parameter, alpha=1 - self.decay)

    @torch.no_grad()
    def copy_to(self, model):
        for name, parameter in model.named_parameters():
            parameter.copy_(self.shadow[name])


def learning_rate(done):
    """The learning rate at this share of the budget: linear warm-up, then a cosine."""
    if done < WARMUP_RATIO:
        return LEARNING_RATE * (done + 0.01) / (WARMUP_RATIO + 0.01)
    position = min(1.0, (done - WARMUP_RATIO) / (1 - WARMUP_RATIO))
    cosine = 0.5 * (1 + math.cos(math.pi * position))
    return LEARNING_RATE * (MIN_LR_RATIO + (1 - MIN_LR_RATIO) * cosine)


model = GPT(Config())
optimizer = model.configure_optimizer()
ema = EMA(model, EMA_DECAY)
loader = make_dataloader(BATCH_SIZE, MAX_SEQ_LEN)
print(f"{model.num_params():,} parameters, {model.estimate_flops():,} FLOPs per token, {TIME_BUDGET} s of budget")

model.train()
step = 0
smooth_loss = 0.0
while progress() < 1:
    for _ in range(GRAD_ACCUM_STEPS):
        inputs, targets = next(loader)
        logits = model(inputs)
        loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten())
        (loss / GRAD_ACCUM_STEPS).backward()
    done = progress()
    for group in optimizer.param_groups:
        group["lr"] = learning_rate(done)
    grad_norm = nn.utils.clip_grad_norm_(model.parameters(), GRAD_CLIP)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    ema.update(model)

    step += 1
    smooth_loss += 0.1 * (loss.item() - smooth_loss)
    if step % LOG_EVERY == 0:
        average = smooth_loss / (1 - 0.9**step)
        print(f"step {step} ({done:.0%}): loss {average:.4f}, gradient norm {grad_norm:.2f}")

ema.copy_to(model)
model.eval()
print(f"{step} steps, {step * BATCH_SIZE * GRAD_ACCUM_STEPS * MAX_SEQ_LEN:,} tokens")
evaluate_bpb(model)
