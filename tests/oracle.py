"""What a build must give, recomputed in pure Python from the specification.

Shares nothing with the product: the encoder is Hugging Face ``tokenizers``, documents are Python lists.
`expect` says what must come out of a corpus, `check` compares a `PackedDataset` with it.
"""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from tokenizers import Tokenizer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from apollo_pack import PackedDataset

Item = str | list[str]
COLUMNS = ("input_ids", "labels", "position_ids", "segment_ids", "attention_mask", "loss_mask")

# Unicode's White_Space, which special tokens may swallow; Python's own idea of it has more in it.
_SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))


@dataclass(frozen=True)
class Template:
    """The strings around the turns of a dialogue."""

    user: str
    assistant: str
    separator: str = "\n"
    follow_up: str = "\n"
    end: str | None = None


TEMPLATES = {
    "apollo": Template("User:", "Assistant:"),
    "apollo-yi": Template("<|User|>:", "<|Assistant|>:"),
    "medjamba": Template("<|User|>:\n", "<|Assistant|>:\n"),
    "phi3": Template("<|user|>\n", "<|assistant|>\n", "<|end|>\n", "<|end|>\n"),
    "chatml": Template("<|im_start|>user\n", "<|im_start|>assistant\n", "<|im_end|>\n", "\n", "<|im_end|>"),
}


@dataclass(frozen=True)
class File:
    """One file of a corpus: what its name says, and its items."""

    source: str
    language: str
    items: list[Item]


@dataclass(frozen=True)
class Document:
    """Tokens, and which of them count before the first one of each segment is taken out."""

    ids: list[int]
    counts: list[bool]

    def has_loss(self, start: int, end: int) -> bool:
        return any(self.counts[start + 1 : end])


@dataclass
class Expected:
    """What must stand in the rows and in the ledger."""

    documents: dict[tuple[str, int], Document] = field(default_factory=dict)  # after truncation
    whole: dict[tuple[str, int], int] = field(default_factory=dict)  # their lengths before it
    pieces: dict[tuple[str, int, int], int] = field(default_factory=dict)  # -> end; not for concat
    ledger: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)  # without loss_tokens
    bad: list[tuple[str, int]] = field(default_factory=list)


class Oracle:
    """Turns items into documents with one tokenizer and one template."""

    def __init__(
        self,
        tokenizer_json: str,
        template: Template | str = "apollo",
        *,
        eos: str,
        special: str = "text",
        bos: str = "auto",
        bos_token: str | None = None,
    ) -> None:
        """Read the tokenizer; `bos_token` is needed only for ``bos="always"`` where none is added."""
        self.template = TEMPLATES[template] if isinstance(template, str) else template
        self.special = special
        self._tok = Tokenizer.from_str(tokenizer_json)
        definition = json.loads(tokenizer_json)
        added = {token["content"]: token for token in definition["added_tokens"] if token["special"]}
        self._specials = added
        # Longest first: where two begin at one place, tokenizers takes the longer.
        self._pattern = "|".join(re.escape(text) for text in sorted(added, key=len, reverse=True)) or "(?!)"
        inner = definition["pre_tokenizer"] or {}
        for part in inner.get("pretokenizers", [inner]):
            if part.get("type") == "Metaspace" and part["prepend_scheme"] == "first":
                part["prepend_scheme"] = "never"
        self._later = Tokenizer.from_str(json.dumps(definition))  # for text that does not begin a piece
        self._later.encode_special_tokens = True
        self.eos: int = self._tok.token_to_id(eos)
        end = self.template.end
        self.end: int = self._tok.token_to_id(end) if end in added else self.eos
        bare, full = (self._tok.encode("a", add_special_tokens=add).ids for add in (False, True))
        auto = full[: len(full) - len(bare)] if full[-len(bare) :] == bare else full[:1]
        always = [self._tok.token_to_id(bos_token)] if bos_token else auto
        self.bos: list[int] = {"auto": auto, "never": [], "always": always}[bos]

    def is_bad(self, item: Item) -> bool:
        """Say whether the item is refused for a special token in its text."""
        texts = [item] if isinstance(item, str) else item
        return self.special == "error" and any(re.search(self._pattern, text) for text in texts)

    def document(self, item: Item) -> Document | None:
        """Render and encode; None for a dialogue without an answer."""
        ids, counts = list(self.bos), [False] * len(self.bos)
        if isinstance(item, str):
            text = self.encode(((item, True),))
            return Document([*ids, *text, self.eos], [*counts, *[True] * len(text), True])
        form = self.template
        for i in range(0, len(item) - 1, 2):
            opening = (form.follow_up if i else "") + form.user
            closing = form.separator + form.assistant
            prompt = self.encode(((opening, False), (item[i], True), (closing, False)))
            answer = self.encode(((item[i + 1], True),))
            ids += [*prompt, *answer, self.end]
            counts += [False] * len(prompt) + [True] * (len(answer) + 1)
        return Document(ids, counts) if len(item) > 1 else None

    def encode(self, parts: Sequence[tuple[str, bool]]) -> list[int]:
        """Encode ``(text, is it raw)`` parts as one piece."""
        # With nothing special in the raw text both ways of reading it are the same, and plain `encode` is it.
        self._tok.encode_special_tokens = False
        if self.special == "parse" or not any(raw and re.search(self._pattern, text) for text, raw in parts):
            return list(self._tok.encode("".join(text for text, _ in parts), add_special_tokens=False).ids)
        return self.encode_split(parts)

    def encode_split(self, parts: Sequence[tuple[str, bool]]) -> list[int]:
        """Split at the special tokens of the template, and take those in raw text as characters."""
        chunks: list[str] = [""]  # text, special, text, special, ..., text
        for text, raw in parts:
            head, *rest = [text] if raw else re.split(f"({self._pattern})", text)
            chunks[-1] += head
            chunks += rest
        ids: list[int] = []
        for i, chunk in enumerate(chunks):
            if i % 2:
                ids.append(self._tok.token_to_id(chunk))
                continue
            text = chunk
            if i > 0 and self._specials[chunks[i - 1]]["rstrip"]:
                text = text.lstrip(_SPACE)
            if i + 1 < len(chunks) and self._specials[chunks[i + 1]]["lstrip"]:
                text = text.rstrip(_SPACE)
            tok = self._later if i else self._tok
            tok.encode_special_tokens = True
            ids += tok.encode(text, add_special_tokens=False).ids
        return ids


def expect(
    corpus: Mapping[str, File],
    oracle: Oracle,
    seq_len: int,
    packing: str = "best-fit",
    overflow: str = "auto",
) -> Expected:
    """Say what a build of the corpus must give; under ``overflow="error"`` long items are bad items."""
    expected = Expected()
    for path, file in corpus.items():
        ledger = expected.ledger.setdefault((file.source, file.language), _empty_account())
        for i, item in enumerate(file.items):
            ledger["items"] += 1
            is_text = isinstance(item, str)
            document = oracle.document(item)
            bad = oracle.is_bad(item)
            if bad or (document and overflow == "error" and len(document.ids) > seq_len):
                ledger["items_dropped"]["bad-item"] += 1
                expected.bad.append((path, i))
                continue
            ledger["trailing_questions"] += not is_text and len(item) % 2
            if document is None:
                ledger["items_dropped"]["no-answer"] += 1
                continue
            ways = {"auto": "run-on" if packing == "concat" else "split" if is_text else "truncate"}
            if packing == "concat":
                ways["split"] = "run-on"
            _place(expected, ledger, (path, i), document, ways.get(overflow, overflow), seq_len)
    return expected


def _place(
    expected: Expected,
    ledger: dict[str, Any],
    key: tuple[str, int],
    document: Document,
    way: str,
    seq_len: int,
) -> None:
    length = len(document.ids)
    ledger["tokens"] += length
    kept = min(length, seq_len) if way == "truncate" else length
    step = kept if way == "run-on" else seq_len
    pieces = [(start, min(start + step, kept)) for start in range(0, kept, step)]
    with_loss = [piece for piece in pieces if document.has_loss(*piece)]
    too_long = way == "drop" and length > seq_len
    if too_long or not with_loss:
        reason = "too-long" if too_long else "no-loss"
        ledger["items_dropped"][reason] += 1
        ledger["tokens_dropped"][reason] += length
        return
    expected.documents[key] = Document(document.ids[:kept], document.counts[:kept])
    expected.whole[key] = length
    expected.pieces.update({(*key, start): end for start, end in with_loss})
    in_pieces = sum(end - start for start, end in with_loss)
    ledger["items_kept"] += 1
    ledger["items_cut"] += kept < length or len(pieces) > 1
    ledger["tokens_kept"] += in_pieces
    ledger["tokens_truncated"] += length - kept
    ledger["tokens_dropped"]["no-loss"] += kept - in_pieces
    ledger["pieces_without_loss"] += len(pieces) - len(with_loss)


def _empty_account() -> dict[str, Any]:
    names = (
        *("items", "items_kept", "tokens", "tokens_kept", "tokens_truncated", "trailing_questions"),
        *("items_cut", "pieces_without_loss"),
    )
    return {**dict.fromkeys(names, 0), "items_dropped": Counter(), "tokens_dropped": Counter()}


def check(
    ds: PackedDataset, expected: Expected, corpus: Mapping[str, File], packing: str = "best-fit"
) -> None:
    """Compare every row, segment and account with what must be there; `ds` needs all columns."""
    _Check(ds, expected, corpus, packing).run()


class _Check:
    def __init__(
        self, ds: PackedDataset, expected: Expected, corpus: Mapping[str, File], packing: str
    ) -> None:
        self.ds, self.expected, self.corpus, self.packing = ds, expected, corpus, packing
        self.pad = ds.metadata["tokenizer"]["pad_id"]
        self.left = dict(expected.pieces)
        self.loss: Counter[tuple[str, str]] = Counter()
        self.placed: list[tuple[str, int, int]] = []  # (source, item, first token), as they stand
        self.running: tuple[str, int, int] | None = None  # what the row before was cut in, and where

    def run(self) -> None:
        used = [self.row(i) for i in range(len(self.ds))]
        assert not self.left, f"missing: {list(self.left)[:5]}"
        assert self.running is None, f"the end of {self.running} is missing"
        if self.packing != "best-fit":
            self.order()
        if self.packing == "groups-of-256":
            self.groups()
        if self.packing == "concat":
            assert all(columns == self.ds.seq_len for columns, _ in used[:-1]), "padding before the last row"
        if self.packing == "in-order":
            fits = [now + first <= self.ds.seq_len for (now, _), (_, first) in itertools.pairwise(used)]
            assert not any(fits), f"the first segment after row {fits.index(True)} would fit in it"
        self.ledger()
        segments = [self.ds.documents(i) for i in range(len(self.ds))]
        assert self.ds.metadata["totals"] == {
            "rows": len(self.ds),
            "segments": sum(map(len, segments)),
            "cut_segments": sum(segment["cut"] for row in segments for segment in row),
            "most_segments": max(map(len, segments)),
            "tokens": sum(columns for columns, _ in used),
            "loss_tokens": self.loss.total(),
            "padding": sum(self.ds.seq_len - columns for columns, _ in used),
            "rows_without_loss": sum(not self.ds[i]["loss_mask"].any() for i in range(len(self.ds))),
        }

    def row(self, index: int) -> tuple[int, int]:
        """Check a row; give the columns in use and the length of the first segment."""
        row = self.ds[index]
        segments = self.ds.documents(index)
        assert segments, f"row {index} is empty"
        column = 0
        for number, segment in enumerate(segments, 1):
            where = f"row {index}, {segment}"
            assert segment["start"] == column < segment["end"] <= self.ds.seq_len, where
            column = segment["end"]
            ids, counts = self.segment(segment, where)
            columns = {
                "input_ids": ids,
                "labels": [token if count else -100 for token, count in zip(ids, counts, strict=True)],
                "position_ids": range(len(ids)),
                "segment_ids": [number] * len(ids),
                "attention_mask": [1] * len(ids),
                "loss_mask": counts,
            }
            for name in COLUMNS:
                found = row[name][segment["start"] : column].tolist()
                assert found == list(columns[name]), f"{where}: {name}"
        for name in COLUMNS:
            value = {"input_ids": self.pad, "labels": -100}.get(name, 0)
            assert (row[name][column:] == value).all(), f"row {index}: {name} of the padding"
        return column, segments[0]["end"]

    def segment(self, segment: dict[str, Any], where: str) -> tuple[list[int], list[bool]]:
        """Tick off a segment; give its ids and which of them count."""
        source, item, start = segment["source"], segment["item"], segment["document_start"]
        assert (source, item) in self.expected.documents, f"{where}: not expected"
        document = self.expected.documents[source, item]
        end = start + segment["end"] - segment["start"]
        if self.packing == "concat":
            assert self.running in {None, (source, item, start)}, f"{where}: expected {self.running}"
            assert start == 0 or self.running, f"{where}: begins in the middle"
            self.running = (source, item, end) if end < len(document.ids) else None
            assert not self.running or segment["end"] == self.ds.seq_len, f"{where}: cut before the row's end"
            assert self.running or self.left.pop((source, item, 0), None) == end, (
                f"{where}: twice, or too long"
            )
        else:
            assert self.left.pop((source, item, start), None) == end, f"{where}: twice, or cut elsewhere"
        assert segment["continued"] == (start > 0), where
        assert segment["cut"] == (end < self.expected.whole[source, item]), where
        assert segment["epoch"] == 0, where
        counts = [False, *document.counts[start + 1 : end]]
        self.loss[self.corpus[source].source, self.corpus[source].language] += sum(counts)
        self.placed.append((source, item, start))
        return document.ids[start:end], counts

    def groups(self) -> None:
        """A row ends where the next document does not fit, or after 256 documents."""
        ends = list(itertools.accumulate(len(self.ds.documents(i)) for i in range(len(self.ds))))
        starts = [0, *ends[:-1]]
        for i, (first, after) in enumerate(itertools.pairwise(starts), 1):
            assert first // 256 == (after - 1) // 256, f"row {i - 1} holds documents of two groups"
            free = self.ds.seq_len - self.ds.documents(i - 1)[-1]["end"]
            fits = self.ds.documents(i)[0]["end"] <= free
            assert after % 256 == 0 or not fits, f"the first segment of row {i} would fit in the row before"

    def order(self) -> None:
        """Next-fit and concat keep the order of the documents, and the pieces of one together."""
        documents = [key for key, _ in itertools.groupby(key[:2] for key in self.placed)]
        assert len(set(documents)) == len(documents), "the pieces of a document do not follow each other"
        assert all(a[:2] != b[:2] or a[2] < b[2] for a, b in itertools.pairwise(self.placed)), (
            "pieces swapped"
        )
        if self.ds.metadata["order"] == "corpus":
            files = list(self.corpus)
            assert documents == sorted(documents, key=lambda key: (files.index(key[0]), key[1]))

    def ledger(self) -> None:
        """Compare the accounts, and see that each balances."""
        found = {(entry.source, entry.language): asdict(entry) for entry in self.ds.ledger}
        assert set(found) == set(self.expected.ledger)
        for key, account in self.expected.ledger.items():
            want = {**account, "source": key[0], "language": key[1], "loss_tokens": self.loss[key]}
            # Without a recipe nothing comes twice, and what has no loss is dropped.
            want |= dict.fromkeys(("items_repeated", "tokens_repeated", "items_without_loss"), 0)
            want |= {"items_marked": {}, "tokens_marked": {}}  # and nothing is looked for
            got = found[key]
            dropped = sum(got["tokens_dropped"].values())
            assert got["items"] == got["items_kept"] + sum(got["items_dropped"].values())
            assert got["tokens"] == got["tokens_kept"] + got["tokens_truncated"] + dropped
            if self.packing == "concat":  # whether a run over a row's end counts as cut is not specified
                del want["items_cut"], got["items_cut"]
            for entry in (want, got):  # a reason with nothing under it may be left out
                for name in ("items_dropped", "tokens_dropped"):
                    entry[name] = {reason: count for reason, count in entry[name].items() if count}
            different = {
                name: (got.get(name), value) for name, value in want.items() if got.get(name) != value
            }
            assert not different, f"ledger of {key}, (found, expected): {different}"
            assert got.keys() == want.keys()
