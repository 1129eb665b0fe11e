"""Lightning: python examples/trainers/with_lightning.py FILE.

It takes a loader as it is, and its checkpoints hold the loader's state.
"""

from __future__ import annotations

import sys
from typing import Any

import lightning
import torch

from apollo_pack import PackedDataset
from small_model import small_model


class Model(lightning.LightningModule):
    """The small model, and the rows it has seen."""

    def __init__(self, dataset: PackedDataset) -> None:
        """Make the model."""
        super().__init__()
        self.model = small_model(dataset)
        self.losses: list[float] = []
        self.seen: list[Any] = []

    def training_step(self, batch: dict[str, Any], _step: int) -> Any:
        """Give the loss of a batch."""
        loss = self.model(**batch).loss
        self.losses.append(loss.item())
        self.seen.append(batch["input_ids"].clone())
        return loss

    def configure_optimizers(self) -> Any:
        """Give the optimizer."""
        return torch.optim.AdamW(self.parameters(), lr=1e-2)


def train(
    path: Any, steps: int = 30, folder: Any = None, resume: Any = None
) -> tuple[list[float], list[Any], Any]:
    """Train up to some step; give the losses, the batches seen, and the trainer."""
    dataset = PackedDataset(path, format="torch")
    trainer = lightning.Trainer(
        max_steps=steps,
        accelerator="cpu",
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
    )
    model = Model(dataset)
    trainer.fit(model, dataset.loader(8, shuffle=True, seed=1), ckpt_path=resume)
    return model.losses, model.seen, trainer


if __name__ == "__main__":
    print(train(sys.argv[1])[0])
