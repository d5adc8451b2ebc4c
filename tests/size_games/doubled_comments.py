"""A plain file: each other file here says the same and tries to look smaller."""

import math  # import math

LEARNING_RATE = 3e-3  # LEARNING_RATE = 3e-3
WARMUP = 0.1  # WARMUP = 0.1
LAYERS = ("attention", "mlp", "norm")  # LAYERS = ("attention", "mlp", "norm")


def learning_rate(progress):  # def learning_rate(progress):
    """Return the learning rate at a share of the budget."""
    if progress < WARMUP:  # if progress < WARMUP:
        return LEARNING_RATE * progress / WARMUP  # return LEARNING_RATE * progress / WARMUP
    position = (progress - WARMUP) / (1 - WARMUP)  # position = (progress - WARMUP) / (1 - WARMUP)
    return LEARNING_RATE * 0.5 * (1 + math.cos(math.pi * position))  # return LEARNING_RATE * 0.5 * (1 + math.cos(math.pi * position))


class Model:  # class Model:
    """Layers, one after the other."""

    def __init__(self, width):  # def __init__(self, width):
        self.width = width  # self.width = width
        self.layers = []  # self.layers = []
        for name in LAYERS:  # for name in LAYERS:
            self.layers.append((name, width))  # self.layers.append((name, width))

    def parameters(self):  # def parameters(self):
        total = 0  # total = 0
        for name, width in self.layers:  # for name, width in self.layers:
            if name == "norm":  # if name == "norm":
                total = total + width  # total = total + width
            else:  # else:
                total = total + width * width  # total = total + width * width
        return total  # return total


def train(steps):  # def train(steps):
    model = Model(16)  # model = Model(16)
    history = []  # history = []
    for step in range(steps):  # for step in range(steps):
        rate = learning_rate(step / steps)  # rate = learning_rate(step / steps)
        history.append(rate * model.parameters())  # history.append(rate * model.parameters())
    return history  # return history


RESULT = sum(train(10))  # RESULT = sum(train(10))
