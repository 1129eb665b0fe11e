"""Hugging Face `Trainer`: python examples/trainers/hugging_face.py FILE.

`position_ids` that begin again in every document keep documents apart. `remove_unused_columns` would take
rows apart that are a finished batch already.
"""

from __future__ import annotations

import sys
import tempfile
from typing import Any

from transformers import Trainer, TrainingArguments

from apollo_pack import PackedDataset, collate
from small_model import small_model


def train(path: Any, steps: int = 30, **settings: Any) -> list[float]:
    """Train for some steps; give the loss of each."""
    dataset = PackedDataset(path)
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            max_steps=steps,
            per_device_train_batch_size=8,
            remove_unused_columns=False,
            use_cpu=True,
            logging_steps=1,
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            **{"learning_rate": 1e-2, **settings},
        )
        trainer = Trainer(small_model(dataset), arguments, train_dataset=dataset, data_collator=collate)
        trainer.train()
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


if __name__ == "__main__":
    print(train(sys.argv[1]))
