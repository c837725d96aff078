"""Second-order MAML on point navigation in PyTorch, vectorised by hand over tasks and copies with `torch.func`.

Runs in a virtual environment of its own (`pip install torch==2.13.0`). The same batch, networks, losses and optimiser
as `by_hand.maml` and as the library's `MAML`, and a little less work: outer advantages are standardised task by task,
and the step size does not fall. Tensors are [tasks, steps, copies, ...].
"""

import math
import time
from importlib.metadata import version

import torch
from torch.func import grad, vmap
from worker import serve

TASKS, COPIES, STEPS, HIDDEN = 40, 20, 100, 64
INNER_LR, OUTER_LR, GAMMA, SIZE, SPEED = 0.5, 3e-3, 0.99, 0.5, 0.1

Params = dict[str, torch.Tensor]
Data = dict[str, torch.Tensor]


def initial() -> Params:
    params = {}
    sizes, gains = (2, HIDDEN, HIDDEN, 2), (2.0**0.5, 2.0**0.5, 0.01)
    for i, (n, m, gain) in enumerate(zip(sizes, sizes[1:], gains, strict=False)):
        params[f"w{i}"] = torch.nn.init.orthogonal_(torch.empty(n, m), gain).requires_grad_()
        params[f"b{i}"] = torch.zeros(m, requires_grad=True)
    return params | {"log_std": torch.zeros(2, requires_grad=True)}


def mean_action(params: Params, position: torch.Tensor) -> torch.Tensor:
    """For one task, or for all of them where weights are [tasks, inputs, outputs]."""
    bias = lambda b: b.unsqueeze(-2) if b.dim() == 2 else b
    x = torch.tanh(position @ params["w0"] + bias(params["b0"]))
    x = torch.tanh(x @ params["w1"] + bias(params["b1"]))
    return SPEED * (x @ params["w2"] + bias(params["b2"]))


def log_density(params: Params, position: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
    """Of one task's phase [steps, copies, 2], as one flat batch."""
    mean = mean_action(params, position.flatten(0, 1)).view_as(action)
    log_std = math.log(SPEED) + params["log_std"]
    return -(0.5 * ((action - mean) * torch.exp(-log_std)) ** 2 + log_std + 0.5 * math.log(2 * math.pi)).sum(-1)


def surrogate(params: Params, data: Data) -> torch.Tensor:
    ratio = torch.exp(log_density(params, data["position"], data["action"]) - data["old"])
    return -(ratio * data["advantage"]).mean()


def inner_step(params: Params, data: Data) -> Params:
    gradient = grad(surrogate)(params, data)
    return {name: p - INNER_LR * gradient[name] for name, p in params.items()}


@torch.no_grad()
def walk(params: Params, goals: torch.Tensor) -> Data:
    """One phase of all tasks: 800 points step together; who arrives starts anew."""
    noise = torch.randn(STEPS, TASKS, COPIES, 2)
    log_std = math.log(SPEED) + params["log_std"]
    log_std = log_std.unsqueeze(-2) if log_std.dim() == 2 else log_std
    std, normaliser = torch.exp(log_std), (log_std + 0.5 * math.log(2 * math.pi)).sum(-1)
    position, clock = torch.zeros(TASKS, COPIES, 2), torch.zeros(TASKS, COPIES, dtype=torch.long)
    first = torch.ones(TASKS, COPIES, dtype=torch.bool)
    names = ("position", "action", "reward", "over", "first")
    records: dict[str, list[torch.Tensor]] = {name: [] for name in names}
    for t in range(STEPS):
        action = mean_action(params, position) + std * noise[t]
        successor = position + action.clamp(-SPEED, SPEED)
        away = successor - goals[:, None]
        clock = clock + 1
        over = (away.abs() < 0.01).all(-1) | (clock >= STEPS)
        for name, x in zip(names, (position, action, -away.norm(dim=-1), over, first), strict=True):
            records[name].append(x)
        position, clock, first = successor * ~over[..., None], clock * ~over, over
    data = {name: torch.stack(xs, 1) for name, xs in records.items()}
    data["old"] = -0.5 * (noise**2).sum(-1).transpose(0, 1) - (normaliser[:, None] if normaliser.dim() else normaliser)
    return data | {"advantage": advantages(data)}


def backwards(reward: torch.Tensor, goes_on: torch.Tensor) -> torch.Tensor:
    """Discounted sums along the steps."""
    value, values = torch.zeros(TASKS, COPIES), []
    for now, discount in zip(reward.unbind(1)[::-1], goes_on.unbind(1)[::-1], strict=True):
        value = torch.addcmul(now, discount, value)
        values.append(value)
    return torch.stack(values[::-1], 1)


def advantages(data: Data) -> torch.Tensor:
    """Standardised returns less a linear baseline of each task (lambda is 1)."""
    goes_on = GAMMA * (~data["over"]).float()
    target = backwards(data["reward"], goes_on)
    now = (torch.arange(STEPS) / STEPS)[None, :, None].expand(TASKS, STEPS, COPIES)
    clock = now - torch.cummax(now * data["first"], 1).values
    times = torch.stack([torch.ones_like(now), now, now**2, clock, clock**2, clock**3], -1)
    x = torch.cat([data["position"], data["position"] ** 2, times], -1).flatten(1, 2)
    gram = x.mT @ x + 1e-3 * x.shape[1] * torch.eye(x.shape[2])
    weights = torch.cholesky_solve(x.mT @ target.flatten(1)[..., None], torch.linalg.cholesky(gram))
    value = (x @ weights).view_as(target)
    following = torch.cat([value[:, 1:], torch.zeros_like(value[:, :1])], 1)
    advantage = backwards(data["reward"] + goes_on * following - value, goes_on)
    mean, variance = advantage.mean((1, 2), keepdim=True), advantage.var((1, 2), unbiased=False, keepdim=True)
    return (advantage - mean) / torch.sqrt(variance + 1e-8)


class Training:
    """Parameters, Adam, and the meta-step."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.params = initial()
        self.optimiser = torch.optim.Adam(self.params.values(), OUTER_LR, eps=1e-5)

    def meta_step(self, chunk: int | None) -> tuple[float, float]:
        """Mean returns before and after the inner step; `chunk` tasks at a time share a vmap."""
        goals = (2 * torch.rand(TASKS, 2) - 1) * SIZE
        before = walk(self.params, goals)
        adapt = vmap(inner_step, in_dims=(None, 0), chunk_size=chunk)
        adapted = adapt(self.params, before)  # the graph of this very step is what the outer gradient goes through
        after = walk({name: p.detach() for name, p in adapted.items()}, goals)
        self.optimiser.zero_grad()
        vmap(surrogate, chunk_size=chunk)(adapted, after).mean().backward()
        torch.nn.utils.clip_grad_norm_(self.params.values(), 0.5)
        self.optimiser.step()
        return tuple(float(data["reward"].sum(1).mean()) for data in (before, after))


training = Training()


def measure(threads: int, chunk: int | None, meta_steps: int) -> dict:
    """Seconds for so many meta-steps."""
    torch.set_num_threads(threads)
    start = time.perf_counter()
    for _ in range(meta_steps):
        returns = training.meta_step(chunk)
    return {"seconds": time.perf_counter() - start, "returns": returns, "versions": {"torch": version("torch")}}


if __name__ == "__main__":
    serve(measure)
