"""The dataset under torch: data loaders, samplers, stops, and a loss that packing does not change."""

import json
import pickle
import random
from itertools import pairwise

import numpy as np
import pytest

from apollo_pack import PackedDataset, collate
from apollo_pack.batch import COLUMNS, FLAGS, NUMBERS

torch = pytest.importorskip("torch", reason="torch is not installed: it is an extra")
from torch.nn import functional as F  # noqa: E402, N812
from torch.utils.data import DataLoader, Subset  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning"),
    pytest.mark.filterwarnings("ignore:'set_vital' is deprecated:UserWarning"),
    pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile:UserWarning"),
]

WORKERS = [(0, None), (1, "fork"), (4, "fork"), (1, "spawn"), (2, "forkserver")]


@pytest.fixture(scope="module")
def expected(packed):
    return PackedDataset(packed)[:]


@pytest.mark.parametrize(("workers", "method"), WORKERS)
@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("kind", ["numpy", "torch"])
def test_data_loaders_give_the_same_rows(packed, expected, workers, method, own, kind):
    ds = PackedDataset(packed, format=kind)
    settings = {"collate_fn": collate} if own else {}
    loader = DataLoader(ds, batch_size=16, num_workers=workers, multiprocessing_context=method, **settings)
    batches = list(loader)
    assert all(isinstance(value, torch.Tensor) for batch in batches for value in batch.values())
    for name, values in expected.items():
        assert (torch.cat([batch[name] for batch in batches]).numpy() == values).all()


def test_a_collated_batch_is_not_copied(packed):
    ds = PackedDataset(packed)
    rows = ds.__getitems__([0, 1])
    batch = collate(rows)
    assert batch["labels"].shape == (2, 64) and batch["labels"].dtype == torch.int64
    own = PackedDataset(packed, format="torch").batch([0, 1])
    again = PackedDataset(packed, format="torch").batch([2, 3], out=own)
    assert all(again[name] is own[name] for name in own)
    shared = rows.collated(shared=True)
    assert all(tensor.is_shared() for tensor in shared.values())
    assert all((shared[name] == batch[name]).all() for name in batch)


def test_tensors_that_are_kept_are_left_alone(packed, expected):
    ds = PackedDataset(packed, format="torch")
    kept = [batch["labels"][0] for batch in ds.loader(2, prefetch=2)]
    assert all((row.numpy() == expected["labels"][2 * at]).all() for at, row in enumerate(kept))


def test_pinned_memory_where_there_is_a_device(packed, expected):
    ds = PackedDataset(packed, format="torch")
    for batch in (ds.batch([1, 2], pin_memory=True), next(iter(ds.loader(2, pin_memory=True)))):
        assert batch["labels"].is_pinned() == torch.cuda.is_available()
    assert (ds.batch([1, 2], pin_memory=True)["labels"].numpy() == expected["labels"][[1, 2]]).all()


def test_columns_of_a_whole_batch_under_a_data_loader(packed):
    ds = PackedDataset(packed, COLUMNS, format="torch")
    for workers in (0, 2):
        loader = DataLoader(ds, batch_size=4, collate_fn=collate, num_workers=workers)
        for at, batch in enumerate(loader):
            same = ds.batch(range(at * 4, min(at * 4 + 4, len(ds))))
            assert list(batch) == list(COLUMNS)
            for name in (*NUMBERS, *FLAGS, "cu_seqlens"):
                assert torch.equal(batch[name], same[name])
            assert (batch["max_seqlen"], batch["num_loss_tokens"]) == (
                same["max_seqlen"],
                same["num_loss_tokens"],
            )


def _halved(rows):
    """Collate, and change what comes of it, as users do."""
    batch = collate(rows)
    batch["half"] = batch["input_ids"][:, ::2]
    batch["weights"] = torch.ones(len(rows))
    batch["labels"] = batch["labels"] + 1
    batch["name"] = "b"
    del batch["position_ids"]
    return batch


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_what_is_made_of_a_batch_in_a_worker_arrives(packed, expected, method):
    loader = DataLoader(
        PackedDataset(packed), 4, num_workers=1, multiprocessing_context=method, collate_fn=_halved
    )
    batches = list(loader)
    assert all(list(batch) == ["input_ids", "labels", "half", "weights", "name"] for batch in batches)
    assert all(type(batch) is dict and batch["name"] == "b" for batch in batches)
    first = batches[0]
    assert first["half"].untyped_storage().data_ptr() == first["input_ids"].untyped_storage().data_ptr()
    together = {
        name: torch.cat([batch[name] for batch in batches]).numpy() for name in first if name != "name"
    }
    assert (together["input_ids"] == expected["input_ids"]).all()
    assert (together["half"] == expected["input_ids"][:, ::2]).all()
    assert (together["labels"] == expected["labels"] + 1).all()
    assert (together["weights"] == 1).all()


def test_rows_through_other_datasets(packed, expected):
    subset = Subset(PackedDataset(packed), [5, 3, 1])
    (batch,) = DataLoader(subset, batch_size=3, collate_fn=collate)
    assert (batch["labels"].numpy() == expected["labels"][[5, 3, 1]]).all()
    joined = torch.utils.data.ConcatDataset([PackedDataset(packed), PackedDataset(packed)])
    batch = next(iter(DataLoader(joined, batch_size=3, collate_fn=collate)))
    assert (batch["labels"].numpy() == expected["labels"][:3]).all()


def test_small_integers(packed, expected):
    ds = PackedDataset(packed, ["input_ids", "labels"], format="torch", dtype="uint32")
    batch = ds.batch([1, 2])
    assert batch["input_ids"].dtype == torch.uint32 and batch["labels"].dtype == torch.int32
    assert (batch["labels"].numpy() == expected["labels"][[1, 2]]).all()


# --- order


def test_the_sampler_and_the_loader_agree(packed):
    ds = PackedDataset(packed, ["input_ids"], format="torch")
    for world_size in (1, 3):
        for rank in range(world_size):
            settings = {"rank": rank, "world_size": world_size, "shuffle": True, "seed": 4}
            sampler = ds.sampler(**settings)
            assert isinstance(sampler, torch.utils.data.Sampler)
            theirs = [batch["input_ids"] for batch in DataLoader(ds, batch_size=8, sampler=sampler)]
            own = [batch["input_ids"] for batch in ds.loader(8, **settings)]
            assert len(theirs) == len(own) == len(DataLoader(ds, batch_size=8, sampler=sampler))
            assert all(torch.equal(a, b) for a, b in zip(theirs, own, strict=True))


class _Indices(torch.utils.data.Dataset):
    """A dataset of any number of rows, each its index."""

    def __init__(self, rows):
        self.rows = rows

    def __len__(self):
        return self.rows

    def __getitem__(self, index):
        return index


def _sampler(rows, rank, world_size, state):
    from apollo_pack.sampler import Sampler  # noqa: PLC0415 - needs torch

    sampler = Sampler(rows, rank=rank, world_size=world_size, shuffle=True, seed=11)
    if state is not None:
        sampler.load_state_dict(state)
    return sampler


@pytest.mark.parametrize("workers", [0, 1, 4])
def test_resuming_with_worker_processes(workers):
    """A plain DataLoader asks ahead; the state is that of the rows that were used."""
    rows, global_batch, total = 24 * 5 + 7, 24, 11
    whole = _sampler(rows, 0, 1, None)
    order = [row for _ in range(2) for row in whole]  # each iteration is an epoch
    choose = random.Random(workers)
    for _ in range(2 if workers else 6):
        stops = sorted(choose.sample(range(1, total), 3))
        state, seen = None, []
        for start, end in zip([0, *stops], [*stops, total], strict=True):
            world_size = choose.choice([1, 2, 3, 4, 6, 8])
            steps = end - start
            parts = []
            for rank in range(world_size):
                sampler = _sampler(rows, rank, world_size, state)
                loader = DataLoader(
                    _Indices(rows), global_batch // world_size, sampler=sampler, num_workers=workers
                )
                own = []
                while len(own) < steps:
                    for batch in loader:
                        own.append(batch.tolist())
                        if len(own) == steps:
                            break
                parts.append(own)
            for step in range(steps):
                step_rows = np.stack([own[step] for own in parts], axis=1).reshape(-1).tolist()
                epoch, at = divmod(len(seen), rows)
                step_rows = step_rows[: min(global_batch, rows - at)]
                seen += step_rows
            epoch, position = divmod(len(seen), rows)
            state = {**_sampler(rows, 0, 1, None).state_dict(position), "epoch": epoch}
            assert len(json.dumps(state)) < 1000
        assert seen == order[: len(seen)]


@pytest.mark.parametrize("workers", [0, 2])
def test_torchdatas_stateful_data_loader(packed, workers):
    stateful = pytest.importorskip("torchdata.stateful_dataloader", reason="torchdata is not installed")
    ds = PackedDataset(packed, ["input_ids"])

    def loader():
        sampler = ds.sampler(shuffle=True, seed=6)
        return stateful.StatefulDataLoader(
            ds, batch_size=8, sampler=sampler, num_workers=workers, collate_fn=collate
        )

    whole = [batch["input_ids"] for batch in loader()]
    for stop in (1, 5, len(whole) - 1):
        first = loader()
        batches = iter(first)
        for _ in range(stop):
            next(batches)
        state = pickle.loads(pickle.dumps(first.state_dict()))  # noqa: S301
        second = loader()
        second.load_state_dict(state)
        rest = [batch["input_ids"] for batch in second]
        assert len(rest) == len(whole) - stop
        assert all(torch.equal(a, b) for a, b in zip(rest, whole[stop:], strict=True))


# --- the loss


class _Model(torch.nn.Module):
    """Two layers of attention with rotary positions: what a language model does with boundaries."""

    def __init__(self, vocabulary, width=32, heads=4):
        super().__init__()
        self.embed = torch.nn.Embedding(vocabulary, width)
        self.qkv = torch.nn.ModuleList(torch.nn.Linear(width, 3 * width) for _ in range(2))
        self.out = torch.nn.Linear(width, vocabulary)
        self.heads = heads

    def forward(self, input_ids, position_ids, attend):
        """`attend(q, k, v)` gives the attention of tensors of shape (batch, heads, tokens, width)."""
        x = self.embed(input_ids)
        for layer in self.qkv:
            q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in layer(x).chunk(3, -1))
            x = x + attend(_rotate(q, position_ids), _rotate(k, position_ids), v).transpose(1, 2).flatten(-2)
        return self.out(x)


def _rotate(x, positions):
    half = x.shape[-1] // 2
    angle = positions[:, None, :, None] / 100 ** (torch.arange(half) / half)
    a, b = x[..., :half], x[..., half:]
    return torch.cat([a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos()], -1)


def _losses(logits, labels):
    """Sum of the loss over all labels that count; labels are not shifted."""
    return F.cross_entropy(
        logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), ignore_index=-100, reduction="sum"
    )


def test_the_loss_is_the_same_packed_and_unpacked(packed):
    torch.manual_seed(0)
    ds = PackedDataset(packed, COLUMNS, format="torch")
    batch = ds.batch(range(0, len(ds), 30))
    model = _Model(ds.metadata["tokenizer"]["vocab_size"]).double()
    ids, labels, positions = batch["input_ids"], batch["labels"], batch["position_ids"]

    with torch.no_grad():
        alone, documents = 0.0, 0
        for row, segments in enumerate(batch["segment_ids"]):
            for segment in range(1, int(segments.max()) + 1):
                own = segments == segment
                length = torch.arange(int(own.sum()))[None]
                logits = model(
                    ids[row, own][None],
                    length,
                    lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True),
                )
                alone += _losses(logits, labels[row, own][None]).item()
                documents += 1
        assert documents > len(ids)

        def masked(q, k, v):
            return F.scaled_dot_product_attention(q, k, v, batch["block_mask"])

        def by_segment_ids(q, k, v):
            from torch.nn.attention.flex_attention import create_block_mask, flex_attention  # noqa: PLC0415

            segment = batch["segment_ids"]

            def same(b, _head, query, key):
                return (segment[b, query] == segment[b, key]) & (key <= query)

            mask = create_block_mask(same, len(segment), None, ds.seq_len, ds.seq_len, device="cpu")
            return flex_attention(q, k, v, block_mask=mask)

        def by_cu_seqlens(q, k, v):
            """What a kernel of variable length does."""
            assert int(batch["cu_seqlens"].diff().max()) == batch["max_seqlen"]
            q, k, v = (x.transpose(1, 2).flatten(0, 1) for x in (q, k, v))
            pieces = []
            cuts = batch["cu_seqlens"].tolist()
            for start, end in pairwise(cuts):
                part = (x[start:end].transpose(0, 1)[None] for x in (q, k, v))
                pieces.append(F.scaled_dot_product_attention(*part, is_causal=True)[0].transpose(0, 1))
            return torch.cat(pieces).unflatten(0, ids.shape).transpose(1, 2)

        def mixed(q, k, v):
            return F.scaled_dot_product_attention(q, k, v, is_causal=True)

        for attend in (masked, by_segment_ids, by_cu_seqlens):
            loss = _losses(model(ids, positions, attend), labels).item()
            assert loss == pytest.approx(alone, rel=1e-9), attend.__name__
        assert _losses(model(ids, positions, mixed), labels).item() != pytest.approx(alone, rel=1e-6)
        assert batch["num_loss_tokens"] == (labels != -100).sum()


def test_a_prompt_token_is_no_label(packed):
    """Each term of the loss belongs to a label that counts: changing another label changes nothing."""
    ds = PackedDataset(packed, ["input_ids", "labels", "loss_mask"], format="torch")
    batch = ds.batch(range(len(ds)))
    ids, labels, counts = batch["input_ids"], batch["labels"], batch["loss_mask"]
    logits = torch.randn(*ids.shape, 50, generator=torch.Generator().manual_seed(1))
    terms = F.cross_entropy(
        logits[:, :-1].transpose(1, 2), (labels % 50).where(counts, labels)[:, 1:], reduction="none"
    )
    assert ((terms != 0) == counts[:, 1:]).all()
    assert not counts[:, 0].any()
