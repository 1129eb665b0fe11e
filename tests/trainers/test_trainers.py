"""One short training on the CPU with each trainer: the loss goes down, the mask is honoured."""

import socket
from importlib import import_module
from multiprocessing import get_context

import pytest

from apollo_pack import PackedDataset, collate

pytestmark = pytest.mark.filterwarnings("ignore")


def needs(*names):
    for name in names:
        pytest.importorskip(
            name, reason=f"{name} is not installed: the extra `trainers`", exc_type=ImportError
        )


def goes_down(losses):
    assert len(losses) == 30
    first, last = sum(losses[:3]) / 3, sum(losses[-3:]) / 3
    assert last < 0.7 * first, losses


def test_hugging_face_trainer(packed):
    needs("transformers", "accelerate")
    goes_down(import_module("hugging_face").train(packed))


def test_hugging_face_counts_only_what_the_mask_says(packed):
    """Without learning, a step reports the mean loss of exactly the labels that count."""
    needs("transformers", "accelerate")
    import torch  # noqa: PLC0415 - an extra

    (reported,) = import_module("hugging_face").train(
        packed, steps=1, learning_rate=0.0, train_sampling_strategy="sequential"
    )
    ds = PackedDataset(packed, ("input_ids", "labels", "position_ids", "block_mask"), format="torch")
    model = import_module("small_model").small_model(ds).eval()
    batch = ds.batch(range(8))
    with torch.no_grad():
        # The documents kept apart by a mask instead of by positions.
        apart = model(
            batch["input_ids"], attention_mask=batch["block_mask"], position_ids=batch["position_ids"]
        ).logits
    terms = torch.nn.functional.cross_entropy(
        apart[:, :-1].flatten(0, 1), batch["labels"][:, 1:].flatten(), reduction="none"
    )
    counts = (batch["labels"][:, 1:] != -100).flatten()
    assert (terms[~counts] == 0).all() and not counts.all()
    assert reported == pytest.approx(terms.sum().item() / counts.sum().item(), rel=1e-5)


def test_positions_keep_documents_apart_in_transformers(packed):
    needs("transformers")
    import torch  # noqa: PLC0415 - an extra

    ds = PackedDataset(packed, ("input_ids", "labels", "position_ids", "segment_ids"), format="torch")
    model = import_module("small_model").small_model(ds).eval()
    for rows in (range(1), range(6)):  # one row, and several
        batch = ds.batch(rows)
        with torch.no_grad():
            together = model(batch["input_ids"], position_ids=batch["position_ids"]).logits
            for row, segments in enumerate(batch["segment_ids"]):
                for segment in range(1, int(segments.max()) + 1):
                    own = segments == segment
                    alone = model(batch["input_ids"][row, own][None]).logits[0]
                    assert torch.allclose(together[row, own], alone, atol=1e-4)


def test_trl(packed, tokenizer):
    needs("trl", "transformers", "accelerate", "datasets")
    goes_down(import_module("trl_sft").train(packed, tokenizer=tokenizer))


def test_lightning_and_its_checkpoints(packed, tmp_path):
    needs("lightning", "transformers")
    import torch  # noqa: PLC0415 - an extra

    train = import_module("with_lightning").train
    losses, seen, _ = train(packed, folder=tmp_path)
    goes_down(losses)
    _, first, trainer = train(packed, steps=7, folder=tmp_path)
    trainer.save_checkpoint(tmp_path / "seven.ckpt")
    _, rest, _ = train(packed, steps=30, folder=tmp_path, resume=tmp_path / "seven.ckpt")
    assert len(first) == 7 and len(rest) == 23
    assert all(torch.equal(a, b) for a, b in zip([*first, *rest], seen, strict=True))


def test_accelerate_checkpoints(packed, tmp_path):
    needs("accelerate")
    import torch  # noqa: PLC0415 - an extra
    from accelerate import Accelerator  # noqa: PLC0415

    ds = PackedDataset(packed, ["input_ids"], format="torch")
    whole = [batch["input_ids"] for batch in ds.loader(8, shuffle=True)]
    accelerator = Accelerator(cpu=True)
    loader = ds.loader(8, shuffle=True)
    accelerator.register_for_checkpointing(loader)
    batches = iter(loader)
    for _ in range(3):
        next(batches)
    accelerator.save_state(str(tmp_path / "state"))
    again = [batch["input_ids"] for batch in batches]
    accelerator.load_state(str(tmp_path / "state"))
    rest = [batch["input_ids"] for batch in loader]
    assert all(torch.equal(a, b) for a, b in zip(rest, again, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(rest, whole[3:], strict=True))


def test_accelerate_prepares_a_plain_data_loader(packed):
    needs("accelerate")
    import torch  # noqa: PLC0415 - an extra
    from accelerate import Accelerator  # noqa: PLC0415

    ds = PackedDataset(packed, ["input_ids"], format="torch")
    loader = torch.utils.data.DataLoader(ds, 8, sampler=ds.sampler(shuffle=True), collate_fn=collate)
    prepared = [batch["input_ids"] for batch in Accelerator(cpu=True).prepare(loader)]
    whole = [batch["input_ids"] for batch in ds.loader(8, shuffle=True)]
    assert all(torch.equal(a, b) for a, b in zip(prepared, whole, strict=True))


def _rank(rank, world_size, port, path, out):
    import torch.distributed as dist  # noqa: PLC0415 - an extra

    from ddp import train  # noqa: PLC0415 - beside the examples

    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=world_size)
    losses, seen = train(path, batch_size=8 // world_size)
    dist.destroy_process_group()
    out.put((rank, losses, [batch.tolist() for batch in seen]))


def test_ddp_on_two_processes(packed):
    """Two ranks with half the batch each do what one does with all of it."""
    needs("torch", "transformers")
    results = {}
    for world_size in (1, 2):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        context = get_context("spawn")
        out = context.Queue()
        ranks = [
            context.Process(target=_rank, args=(rank, world_size, port, packed, out))
            for rank in range(world_size)
        ]
        for process in ranks:
            process.start()
        results[world_size] = sorted(out.get(timeout=300) for _ in ranks)
        for process in ranks:
            process.join()
    ((_, one, all_rows),) = results[1]
    (_, losses, first), (_, same, second) = results[2]
    assert losses == same
    goes_down(losses)
    assert losses == pytest.approx(one, rel=1e-2)
    for rows, a, b in zip(all_rows, first, second, strict=True):
        assert rows[::2] == a and rows[1::2] == b


def test_jax_and_flax(packed):
    needs("jax", "flax", "optax")
    goes_down(import_module("with_jax").train(packed))
