"""Updates of layers in training: forward, mean squared error, backward, AdamW."""

import torch

import layers

BATCH, TIME, WIDTH = 16, 256, 256
UPDATES = 3
BOUND = 2e-3  # of differences of gradients and losses, as a share of the largest

CASES = {"lstm": layers.lstm, "gru": layers.gru, "gla_layer": layers.gated_linear_attention, "mamba": layers.mamba,
         "multi_head_attention": layers.multi_head_attention}


def sizes_of(layer, batch, time, width):
    """As benchmarks are named; the second width, heads or state."""
    return (batch, time, width, {"lstm": width, "gru": width, "mamba": 16}.get(layer, 4))


def share(model, source):
    """Gives a model the parameters of another, whose names it may join."""
    for names, parameter in model.parameters_by_name().items():
        parameter.data.copy_(torch.cat([source[name].detach() for name in names.split()]).view_as(parameter))


class Update:
    def __init__(self, model, x, target):
        self.model, self.x, self.target = model, x, target
        self.optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01)

    def __call__(self):
        self.optimizer.zero_grad(set_to_none=True)
        self.x.grad = None
        loss = torch.nn.functional.mse_loss(self.model(self.x), self.target)
        loss.backward()
        self.optimizer.step()
        return loss.detach()


def prepare(race, layer, sizes, shard):
    """Our side and the peer's with the same parameters and data: {form: Update}."""
    batch, time, width, second = sizes
    models = CASES[layer](width, second)
    source = next(iter(models.values())).parameters_by_name()
    # a layer amid others: its input has a gradient
    x, target = torch.randn(batch, time, width).requires_grad_(), torch.randn(batch, time, width)
    race.ours.make(f"{layer}/update", (*sizes, shard))
    for name, parameter in source.items():
        race.ours.set(name, parameter.detach().numpy())
    race.ours.set("x", x.detach().numpy())
    race.ours.set("target", target.numpy())
    race.ours.start(race.threads)
    for model in models.values():
        share(model, source)
    return {form: Update(model, x, target) for form, model in models.items()}


def compare(race, layer, sizes, shard, name):
    """Gradients of the first update, and the losses of all."""
    updates = prepare(race, layer, sizes, shard)
    pairs = []
    for turn in range(UPDATES):
        race.ours.time()
        for form, update in updates.items():
            pairs.append((f"{form}, loss {turn}", race.ours.get("loss"), update()))
            if turn > 0:
                continue
            for names, parameter in update.model.parameters_by_name().items():
                rows = zip(names.split(), parameter.grad.chunk(len(names.split())))
                pairs += [(f"{form}, {one}", race.ours.get("gradient." + one), rows_of) for one, rows_of in rows]
    race.compare(name, pairs, BOUND)


def run(race):
    torch.manual_seed(1)
    for batch in (BATCH, 1):
        for layer in CASES:
            sizes = sizes_of(layer, batch, TIME, WIDTH)
            name = f"{layer}/own/update/{'/'.join(map(str, sizes))}/threads:{race.threads}"
            if not race.wanted(name) or (batch == 1 and layer not in ("lstm", "gru")):
                continue
            shard = -(-batch // race.threads)
            compare(race, layer, sizes_of(layer, 2, 64, 64), 1, name + " (at 2, 64, 64)")
            compare(race, layer, sizes, shard, name)
            race.run(layer, "update", sizes, prepare(race, layer, sizes, shard))
