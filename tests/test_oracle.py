"""Generated corpora, built and compared with the oracle."""

from __future__ import annotations

import itertools
import json
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import apollo_pack
from apollo_pack.tokenizers import default_tokenizer
from oracle import COLUMNS, TEMPLATES, File, Item, Oracle, Template, check, expect
from tiny_tokenizers import EOS, tiny

if TYPE_CHECKING:
    from collections.abc import Mapping

PACKINGS = ("best-fit", "in-order", "groups-of-256", "concat")
OVERFLOWS = ("auto", "split", "truncate", "drop", "error")
SPECIALS = ("text", "parse", "error")
BOSES = ("auto", "never", "always")
TEXT_FILE, QA_FILES = "pretrain/medicalWiki_en_text.json", ("sft/general_ar.json", "sft/medicalExam_zh.json")

SNIPPETS = [
    *("", " ", "\n", "\n\n", "\t", "  ", "\r\n", "\u00a0", "\u3000", "\0", "\x7f", "a", "é", "e\u0301", "ﬁ"),
    *(
        "The patient has a fever",
        " and a cough",
        "isn't",
        "123456",
        "User:",
        "\nAssistant:",
        "<|User|>:",
        "▁",
    ),
    *(
        "患者发烧",
        "المريض",
        "\u202eعربي\u202c",
        "रोगी",
        "नि\u200dक\u094d",
        "שלום",
        "각",
        "\u1100\u1161\u11a8",
    ),
    *(
        "👩‍👩‍👧‍👦",
        "🏳️‍🌈",
        "🇸🇦",
        "\U0001f600",
        "\ufeff",
        "\ufffd",
        "\u2028",
        "\U0010ffff",
        "Z͑ͫa̴l̵go̷",
        "\\u0041",
        '"[],',
    ),
    *("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|end|>", "<|user|>", " <|assistant|> ", "<|im_"),
    *("</s>", "<s>", "<unk>", "<extra>", "<0x41>", "x" * 40, "word " * 30),
]
TEXT = st.lists(
    st.sampled_from(SNIPPETS) | st.text(st.characters(exclude_categories=["Cs"]), max_size=6), max_size=8
)
TEXTS = TEXT.map("".join)
DIALOGUES = st.lists(TEXTS, max_size=7)
NASTY = [
    "",
    "a",
    "\0",
    "word " * 90,
    "<|im_end|> x",
    " <|end|>\n<s></s>",
    "e\u0301 👩‍👩‍👧‍👦 المريض",
    *SNIPPETS[:15],
]
HARD_QA: list[Item] = [
    [],
    ["only"],
    ["", ""],
    ["q", "", "", "a"],
    ["q <|user|>\nx", "a <|im_end|> b", "<|endoftext|>", "</s>", "trailing"],
    ["long " * 60, "a"],
    ["q", "long " * 60, "again", "b"],
    [word for i in range(12) for word in (f"question {i}", f" answer {i}")],
    ["<|im_start|>user\n", "<|end|>"],
]


@dataclass(frozen=True)
class Case:
    """A corpus and the settings of its build."""

    texts: list[Item]
    qa: list[Item]
    tokenizer: str = "bytes"
    template: str = "apollo"
    special: str = "text"
    bos: str = "auto"
    seq_len: int = 32
    build: dict[str, Any] = field(default_factory=dict)  # packing, overflow, order, seed, ...
    dump: dict[str, Any] = field(default_factory=dict)  # how the JSON is written

    @property
    def packing(self) -> str:
        return self.build.get("packing", "best-fit")

    def corpus(self) -> dict[str, File]:
        half = len(self.qa) // 2
        qa = {
            QA_FILES[0]: File("general", "ar", self.qa[:half]),
            QA_FILES[1]: File("medicalExam", "zh", self.qa[half:]),
        }
        files = {TEXT_FILE: File("medicalWiki", "en", self.texts), **qa}
        return {path: file for path, file in files.items() if file.items}

    def options(self) -> dict[str, Any]:
        always = "<s>" if self.tokenizer in {"prepend", "metaspace"} else "<|im_start|>"
        bos_token = {"bos_token": always} if self.bos == "always" else {}
        return {"special": self.special, "bos": self.bos, **bos_token}

    def settings(self, folder: Path) -> dict[str, Any]:
        path = folder / "tokenizer" / "tokenizer.json"
        path.parent.mkdir()
        path.write_text(tiny(self.tokenizer))
        options = self.options()
        options["special_tokens"] = options.pop("special")
        options |= {"template": self.template, "seq_len": self.seq_len, "tokenizer": path, "threads": 1}
        return options | self.build


def write(folder: Path, corpus: Mapping[str, File], **dump: Any) -> Path:
    """Write a corpus in the published layout."""
    for path, file in corpus.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(file.items, **{"ensure_ascii": False, **dump})
        (folder / path).write_text(text, encoding="utf-8", newline="")
    return folder


def run(case: Case) -> None:
    """Build the case and check every token of it."""
    corpus = case.corpus()
    oracle = Oracle(tiny(case.tokenizer), case.template, eos=EOS[case.tokenizer], **case.options())
    expected = expect(corpus, oracle, case.seq_len, case.packing, case.build.get("overflow", "auto"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = write(folder / "corpus", corpus, **case.dump)
        out = folder / "out.bin"
        options = case.settings(folder)
        if expected.bad and options.get("on_error", "stop") == "stop":
            with pytest.raises(apollo_pack.InputError) as caught:
                apollo_pack.build(source, out, **options)
            assert (caught.value.file, caught.value.item) == expected.bad[0]
            assert not out.exists()
            return
        if not expected.documents:
            with pytest.raises(apollo_pack.ApolloPackError, match="nothing to write"):
                apollo_pack.build(source, out, **options)
            assert not out.exists()
            return
        report = apollo_pack.build(source, out, **options)
        ds = apollo_pack.PackedDataset(out, columns=COLUMNS)
        check(ds, expected, corpus, case.packing)
        assert [entry["path"] for entry in ds.metadata["inputs"]] == list(corpus)
        assert (report.seq_len, report.totals, report.ledger) == (
            case.seq_len,
            ds.metadata["totals"],
            ds.ledger,
        )
        bad = [(entry["file"], entry["item"]) for entry in report.bad_item_list]
        assert (report.bad_items, bad) == (len(expected.bad), expected.bad)
        again = folder / "again.bin"
        apollo_pack.build(source, again, **(options | {"threads": 3}))
        assert again.read_bytes() == out.read_bytes(), "three threads give other bytes than one"


BUILDS = st.fixed_dictionaries(
    {
        "packing": st.sampled_from(PACKINGS),
        "overflow": st.sampled_from(OVERFLOWS),
        "order": st.sampled_from(["corpus", "shuffle"]),
        "seed": st.integers(0, 2**64 - 1),
        "on_error": st.sampled_from(["skip", "skip", "skip", "stop"]),
    }
)
DUMPS = st.fixed_dictionaries(
    {
        "ensure_ascii": st.booleans(),
        "indent": st.sampled_from([None, 0, 4, "\t"]),
        "separators": st.sampled_from([None, (",", ":"), (" ,\r\n", ": ")]),
    }
)
CASES = st.builds(
    Case,
    texts=st.lists(TEXTS, max_size=6),
    qa=st.lists(DIALOGUES, max_size=8),
    tokenizer=st.sampled_from(sorted(EOS)),
    template=st.sampled_from(sorted(TEMPLATES)),
    special=st.sampled_from(SPECIALS),
    bos=st.sampled_from(BOSES),
    seq_len=st.integers(1, 32).map(lambda n: 8 * n) | st.just(8),
    build=BUILDS,
    dump=DUMPS,
).filter(lambda case: case.texts or case.qa)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@example(Case([""], []))
@example(Case([], [["only"]]))
@example(Case(["", "a"], [[], ["", ""]], tokenizer="metaspace", seq_len=8))
@example(Case([], [["x" * 60, ""], ["q", "a"]], seq_len=8, build={"overflow": "split"}))
@example(Case([], [["<|end|>\x1f", "\x85"]], tokenizer="bytes-prefix", template="chatml", seq_len=64))
@given(CASES)
def test_any_corpus(case: Case) -> None:
    """Every fragment stands in the rows once, with its mask; nothing else does; the ledger agrees."""
    run(case)


@pytest.mark.parametrize("tokenizer", sorted(EOS))
@pytest.mark.parametrize("template", sorted(TEMPLATES))
@pytest.mark.parametrize("special", SPECIALS)
def test_every_combination(tokenizer: str, template: str, special: str) -> None:
    """Hard items under every template, way of special tokens, BOS, packing and overflow."""
    boses = itertools.cycle(BOSES)
    for packing, overflow in itertools.product(PACKINGS, OVERFLOWS):
        build = {"packing": packing, "overflow": overflow, "on_error": "skip"}
        run(Case(NASTY, HARD_QA, tokenizer, template, special, next(boses), 48, build))


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("order", ["corpus", "shuffle"])
def test_many_documents(packing: str, order: str) -> None:
    """Lengths of all sizes, thousands of rows."""
    texts: list[Item] = ["word " * (i * 7919 % 83) + str(i) for i in range(1500)]
    qa: list[Item] = [[f"q{i} " * (i % 5), "long answer " * (i * 31 % 47)] for i in range(1500)]
    run(Case(texts, qa, seq_len=64, build={"packing": packing, "order": order, "seed": 7}))


def test_shuffle_depends_on_the_seed_alone(tmp_path: Path) -> None:
    """The same seed gives the same bytes, another seed other ones with the same documents."""
    case = Case(
        [f"text number {i}" for i in range(200)], [], build={"order": "shuffle", "packing": "in-order"}
    )
    source = write(tmp_path / "corpus", case.corpus())
    options = case.settings(tmp_path)
    orders = []
    for i, seed in enumerate((1, 1, 2)):
        apollo_pack.build(source, tmp_path / f"{i}.bin", **options, seed=seed)
        ds = apollo_pack.PackedDataset(tmp_path / f"{i}.bin")
        orders.append([segment["item"] for row in range(len(ds)) for segment in ds.documents(row)])
    assert orders[0] == orders[1] != orders[2]
    assert sorted(orders[0]) == sorted(orders[2]) == list(range(200)) != orders[0]
    assert (tmp_path / "0.bin").read_bytes() == (tmp_path / "1.bin").read_bytes()


CUSTOM = {
    "plain": Template("### Q ", "\n### A ", "\t", " ## "),
    "specials inside": Template(
        "<|im_start|>Q: ", " <|user|>A", "<|end|><|end|> x ", "<|im_end|>", "<|end|>"
    ),
    "unknown end": Template("U", "A", " ", "", "<|nobody|>"),
    "nothing at all": Template("", "", "", ""),
}


@pytest.mark.parametrize("tokenizer", sorted(EOS))
@pytest.mark.parametrize("name", CUSTOM)
def test_custom_template(tokenizer: str, name: str, tmp_path: Path) -> None:
    """A template from a TOML file."""
    case = Case(NASTY, HARD_QA, tokenizer)
    lines = [
        f"{key} = {json.dumps(value)}" for key, value in asdict(CUSTOM[name]).items() if value is not None
    ]
    (tmp_path / "my.toml").write_text("\n".join(lines))
    source = write(tmp_path / "corpus", case.corpus())
    apollo_pack.build(
        source, tmp_path / "out.bin", **case.settings(tmp_path) | {"template": tmp_path / "my.toml"}
    )
    expected = expect(case.corpus(), Oracle(tiny(tokenizer), CUSTOM[name], eos=EOS[tokenizer]), case.seq_len)
    check(apollo_pack.PackedDataset(tmp_path / "out.bin", columns=COLUMNS), expected, case.corpus())


@pytest.mark.parametrize("template", sorted(TEMPLATES))
def test_default_tokenizer(template: str, tmp_path: Path) -> None:
    """The embedded Qwen vocabulary, as Hugging Face `tokenizers` reads it."""
    case = Case([*NASTY, *SNIPPETS], [*HARD_QA, [*SNIPPETS]], template=template, seq_len=64)
    oracle = Oracle(default_tokenizer().tokenizer_json.decode(), template, eos="<|endoftext|>")
    assert (oracle.eos, oracle.bos) == (151643, [])
    source = write(tmp_path / "corpus", case.corpus())
    apollo_pack.build(source, tmp_path / "out.bin", template=template, seq_len=64)
    ds = apollo_pack.PackedDataset(tmp_path / "out.bin", columns=COLUMNS)
    check(ds, expect(case.corpus(), oracle, 64), case.corpus())


@pytest.mark.parametrize("tokenizer", sorted(EOS))
@pytest.mark.parametrize("template", sorted(TEMPLATES))
@given(question=TEXTS)
@settings(max_examples=10, deadline=None)
def test_oracle_agrees_with_itself(tokenizer: str, template: str, question: str) -> None:
    """Its two ways to encode a prompt are the same where the question holds no special token."""
    form = TEMPLATES[template]
    oracle = Oracle(tiny(tokenizer), template, eos=EOS[tokenizer], special="error")
    if not oracle.is_bad([question, ""]):
        parts = [
            (form.follow_up + form.user, False),
            (question, True),
            (form.separator + form.assistant, False),
        ]
        assert oracle.encode(parts) == oracle.encode_split(parts)
