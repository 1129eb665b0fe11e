"""JAX with Flax and Optax: python examples/trainers/with_jax.py FILE.

`segment_ids` keep documents apart in attention.
"""

from __future__ import annotations

import sys
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import linen

from apollo_pack import PackedDataset


class Model(linen.Module):
    """Embedding, one layer of attention, and the embedding again."""

    vocabulary: int
    width: int = 64

    @linen.compact
    def __call__(self, batch: dict[str, Any]) -> Any:
        """Give logits of shape (rows, seq_len, vocabulary)."""
        embed = linen.Embed(self.vocabulary, self.width)
        positions = linen.Embed(batch["input_ids"].shape[1], self.width)
        x = embed(batch["input_ids"]) + positions(batch["position_ids"])
        segments = batch["segment_ids"]
        mask = linen.combine_masks(
            linen.make_causal_mask(segments), linen.make_attention_mask(segments, segments, jnp.equal)
        )
        x = x + linen.MultiHeadDotProductAttention(num_heads=4)(linen.LayerNorm()(x), mask=mask)
        return embed.attend(linen.LayerNorm()(x))


def loss_of(model: Model, weights: Any, batch: dict[str, Any]) -> Any:
    """Give the mean loss of the labels that count."""
    logits, labels = model.apply(weights, batch)[:, :-1], batch["labels"][:, 1:]
    counts = labels >= 0
    terms = optax.softmax_cross_entropy_with_integer_labels(logits, jnp.where(counts, labels, 0))
    return (terms * counts).sum() / counts.sum()


def train(path: Any, steps: int = 30) -> list[float]:
    """Train for some steps; give the loss of each."""
    columns = ("input_ids", "labels", "position_ids", "segment_ids")
    dataset = PackedDataset(path, columns, format="jax")
    model = Model(dataset.metadata["tokenizer"]["vocab_size"])
    optimizer = optax.adamw(1e-2)
    loader = dataset.loader(8, shuffle=True, seed=1, drop_last=True)
    weights = model.init(jax.random.key(0), next(iter(loader)))
    state = optimizer.init(weights)

    @jax.jit
    def step(weights: Any, state: Any, batch: dict[str, Any]) -> tuple[Any, Any, Any]:
        loss, gradient = jax.value_and_grad(lambda weights: loss_of(model, weights, batch))(weights)
        update, state = optimizer.update(gradient, state, weights)
        return optax.apply_updates(weights, update), state, loss

    losses: list[float] = []
    while len(losses) < steps:
        for batch in loader:
            weights, state, loss = step(weights, state, batch)
            losses.append(float(loss))
            if len(losses) == steps:
                break
    return losses


if __name__ == "__main__":
    print(train(sys.argv[1]))
