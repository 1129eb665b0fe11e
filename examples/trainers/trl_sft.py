"""TRL's `SFTTrainer` on rows that are tokenized and packed already: python examples/trainers/trl_sft.py FILE.

It takes datasets of Hugging Face `datasets` only, so rows pass through one; `skip_prepare_dataset` tells
that nothing is left to be done to them.
"""

from __future__ import annotations

import sys
import tempfile
from typing import Any

from datasets import IterableDataset
from transformers import PreTrainedTokenizerFast
from trl import SFTConfig, SFTTrainer

from apollo_pack import PackedDataset, collate
from apollo_pack.tokenizers import find_tokenizer
from small_model import small_model


def train(path: Any, steps: int = 30, tokenizer: Any = None) -> list[float]:
    """Train for some steps; give the loss of each."""
    dataset = PackedDataset(path)
    order = dataset.sampler(shuffle=True, seed=1)
    rows = IterableDataset.from_generator(lambda: (dataset[i] for i in order)).with_format("torch")
    with tempfile.TemporaryDirectory() as folder:
        # The trainer wants a tokenizer at hand, although it has nothing to do.
        with open(f"{folder}/tokenizer.json", "wb") as file:  # noqa: PTH123 - short
            file.write(find_tokenizer(tokenizer, folder)[1])
        processing = PreTrainedTokenizerFast(
            tokenizer_file=f"{folder}/tokenizer.json", eos_token="<|endoftext|>", pad_token="<|endoftext|>"
        )
        arguments = SFTConfig(
            output_dir=folder,
            max_steps=steps,
            per_device_train_batch_size=8,
            remove_unused_columns=False,
            dataset_kwargs={"skip_prepare_dataset": True},
            learning_rate=1e-2,
            use_cpu=True,
            bf16=False,
            gradient_checkpointing=False,
            logging_steps=1,
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
        )
        trainer = SFTTrainer(
            small_model(dataset),
            arguments,
            train_dataset=rows,
            data_collator=collate,
            processing_class=processing,
        )
        trainer.train()
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


if __name__ == "__main__":
    print(train(sys.argv[1]))
