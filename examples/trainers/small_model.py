"""A Llama of a few layers with random weights: small enough for a CPU and a minute."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

if TYPE_CHECKING:
    from apollo_pack import PackedDataset


def small_model(dataset: PackedDataset) -> Any:
    """Make the model for the vocabulary of a packed file."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=dataset.metadata["tokenizer"]["vocab_size"],
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=dataset.seq_len,
        tie_word_embeddings=True,
        use_cache=False,  # with a cache, positions that begin again do not keep documents apart
    )
    return LlamaForCausalLM(config)
