# Functions as lambdas and loops as comprehensions.
import math

LEARNING_RATE, WARMUP, LAYERS = 3e-3, 0.1, ("attention", "mlp", "norm")
learning_rate = lambda progress: (
    LEARNING_RATE * progress / WARMUP
    if progress < WARMUP
    else (lambda position: LEARNING_RATE * 0.5 * (1 + math.cos(math.pi * position)))((progress - WARMUP) / (1 - WARMUP))
)
Model = type(
    "Model",
    (),
    {
        "__init__": lambda self, width: (
            setattr(self, "width", width),
            setattr(self, "layers", []),
            [self.layers.append((name, width)) for name in LAYERS],
            None,
        )[-1],
        "parameters": lambda self: sum([width if name == "norm" else width * width for name, width in self.layers]),
    },
)
train = lambda steps: (
    lambda model, history: [history.append(learning_rate(step / steps) * model.parameters()) for step in range(steps)]
    and history
)(Model(16), [])
RESULT = sum(train(10))
