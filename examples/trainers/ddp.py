"""Plain torch with `DistributedDataParallel`: torchrun --nproc-per-node 2 examples/trainers/ddp.py FILE.

Each rank has its share of every global batch; the loss is that of all labels of the step that count, however
they fall to the ranks.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from apollo_pack import PackedDataset
from small_model import small_model


def train(path: Any, steps: int = 30, batch_size: int = 8) -> tuple[list[float], list[Any]]:
    """Train for some steps; give the loss of each over all ranks, and the rows of this rank."""
    columns = ("input_ids", "labels", "position_ids", "num_loss_tokens")
    dataset = PackedDataset(path, columns, format="torch")
    rank, world_size = dist.get_rank(), dist.get_world_size()
    model = DistributedDataParallel(small_model(dataset))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    loader = dataset.loader(
        batch_size, rank=rank, world_size=world_size, shuffle=True, seed=1, drop_last=True
    )
    losses: list[float] = []
    seen = []
    while len(losses) < steps:
        for batch in loader:
            counted = torch.tensor(float(batch.pop("num_loss_tokens")))
            dist.all_reduce(counted)
            logits = model(input_ids=batch["input_ids"], position_ids=batch["position_ids"]).logits
            loss = torch.nn.functional.cross_entropy(
                logits[:, :-1].flatten(0, 1), batch["labels"][:, 1:].flatten(), reduction="sum"
            )
            loss = loss / counted
            optimizer.zero_grad()
            (loss * world_size).backward()  # gradients are averaged over ranks
            optimizer.step()
            total = loss.detach().clone()
            dist.all_reduce(total)
            losses.append(total.item())
            seen.append(batch["input_ids"])
            if len(losses) == steps:
                break
    return losses, seen


if __name__ == "__main__":
    dist.init_process_group("gloo")
    step_losses, _ = train(sys.argv[1])
    if os.environ["RANK"] == "0":
        print(step_losses)
    dist.destroy_process_group()
