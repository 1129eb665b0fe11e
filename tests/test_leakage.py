"""Questions of a benchmark are found in a corpus, and kept out of a build."""

import json

import pytest
from click.testing import CliRunner

import apollo_pack
from apollo_pack import _core
from apollo_pack.cli import commands
from apollo_pack.tokenizers import find_tokenizer
from shared_data import shared_data

LONG = "Which of the following vitamins is stored in the liver for several months before it is used up?"
SHORT = "女性生殖腺是"
CLEAN = ["What does the heart do?", "It pumps blood through the body."]
LEAKING = [
    [f"Exam: {LONG}\n(A) B12", "(A)"],
    [f"{SHORT}\n(A) 卵巢\n(B) 前庭大腺", "(A)"],
    ["Tell me about vitamins.", f"... {LONG[10:79]} ..."],
]


@pytest.fixture
def leaking(tmp_path):
    """A corpus of five items, three of which leak, and its benchmark."""
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    items = [CLEAN, *LEAKING, [f"问:{SHORT}什么?", "卵巢"]]
    (corpus / "medicalExam_en.json").write_text(json.dumps(items))
    bench = tmp_path / "bench.json"
    bench.write_text(json.dumps([{"question": LONG, "answer": "(A)"}, {"question": SHORT}]))
    return corpus, bench


def test_leaks_are_found_and_shown(leaking):
    corpus, bench = leaking
    report = apollo_pack.find_leaks(corpus, bench)
    assert [(leak.item, leak.kind) for leak in report.leaks] == [(1, "question"), (2, "question"), (3, "run")]
    assert (report.questions, report.counts[0].questions, report.counts[0].runs) == (2, 2, 1)
    run = report.leaks[2]
    assert (run.shared, run.before, run.after) == (LONG[10:79], "... ", " ...")
    assert (run.benchmark, run.benchmark_item, run.question) == ("bench.json", 0, LONG)
    content = (corpus / "medicalExam_en.json").read_bytes()
    assert content[run.byte :].startswith(b'["Tell me')


def test_lengths_are_settable(leaking):
    corpus, bench = leaking

    def found(**settings):
        return [leak.item for leak in apollo_pack.find_leaks(corpus, bench, **settings).leaks]

    assert found(leak_run=71) == [1, 2]
    assert found(leak_question=6) == [1, 2, 3, 4]
    assert found(leak_unit="words", leak_run=10) == [1, 2, 3]
    assert found(leak_unit="words", leak_run=11) == [1, 2]
    with pytest.raises(apollo_pack.ConfigError, match="leak_run"):
        found(leak_run=0)
    with pytest.raises(apollo_pack.ConfigError, match="leak_unit"):
        found(leak_unit="bytes")


VITAMIN = "Which of these vitamins is stored in the liver?"
CASE = " ".join(f"finding {i}," for i in range(20))


@pytest.mark.parametrize(
    ("question", "text", "kind", "settings"),
    [
        (VITAMIN, f"Exam. {VITAMIN} (A) B12", "question", {}),
        (VITAMIN, VITAMIN.lower(), None, {}),
        (VITAMIN, VITAMIN.lower(), "question", {"leak_fold": True}),
        ("Define shock.", "Define shock.\n(A) A state", "question", {}),
        ("Define shock.", "Please define: Define shock. Thank you.", None, {}),
        (CASE, f"He has {CASE[10:74]}", "run", {}),
        (CASE, f"He has {CASE[10:73]}", None, {}),
        (VITAMIN, "Where is it that vitamin B12 is stored?", None, {}),
    ],
)
def test_the_examples_of_the_documentation(tmp_path, question, text, kind, settings):
    """As `docs/leakage.md` has them."""
    (tmp_path / "corpus.json").write_text(json.dumps([text]))
    (tmp_path / "bench.json").write_text(json.dumps([{"question": question}]))
    assert (len(VITAMIN), len(CASE) > 200) == (47, True)
    report = apollo_pack.find_leaks(tmp_path / "corpus.json", tmp_path / "bench.json", **settings)
    assert [leak.kind for leak in report.leaks] == ([kind] if kind else [])


def test_folding(tmp_path):
    (tmp_path / "corpus.json").write_text(json.dumps([LONG.upper().replace(" ", "\u00a0 ")]))
    (tmp_path / "bench.jsonl").write_text(json.dumps(LONG))
    corpus, bench = tmp_path / "corpus.json", tmp_path / "bench.jsonl"
    assert not apollo_pack.find_leaks(corpus, bench).leaks
    assert apollo_pack.find_leaks(corpus, bench, leak_fold=True).leaks[0].shared == LONG.lower()


def test_a_build_keeps_them_out_whatever_the_threads(leaking, tmp_path):
    corpus, bench = leaking
    files = []
    for threads in (1, 3):
        out = tmp_path / f"{threads}.bin"
        report = apollo_pack.build(corpus, out, seq_len=64, decontaminate=[bench], threads=threads)
        files.append(out.read_bytes())
    assert files[0] == files[1]
    (entry,) = report.ledger
    assert (entry.items, entry.items_kept, entry.items_dropped) == (5, 2, {"leaked": 3})
    assert entry.tokens == entry.tokens_kept + entry.tokens_dropped["leaked"]
    dataset = apollo_pack.PackedDataset(out)
    kept = {document["item"] for row in range(len(dataset)) for document in dataset.documents(row)}
    assert kept == {0, 4}
    assert dataset.metadata["decontamination"]["benchmarks"][0]["path"] == "bench.json"
    plain = apollo_pack.build(corpus, tmp_path / "plain.bin", seq_len=64)
    assert "decontamination" not in plain.raw


def test_a_file_is_proved_against_its_corpus(leaking, tmp_path):
    corpus, bench = leaking
    out = tmp_path / "out.bin"
    apollo_pack.build(corpus, out, seq_len=64, decontaminate=[bench], dedup="exact")
    files, tokenizer = _core.PackedFiles([out]), find_tokenizer(None, corpus)
    assert files.check_against(corpus, tokenizer, None, None, [bench])["complete"]
    with pytest.raises(apollo_pack.FormatError, match="--decontaminate"):
        files.check_against(corpus, tokenizer)


def test_the_command(leaking, tmp_path):
    corpus, bench = leaking
    listing = tmp_path / "leaks.jsonl"
    result = CliRunner().invoke(commands, ["leakage", str(corpus), str(bench), "--list", str(listing)])
    assert result.exit_code == 0, result.output
    lines = [json.loads(line) for line in listing.read_text().splitlines()]
    assert [line["item"] for line in lines] == [1, 2, 3]
    result = CliRunner().invoke(commands, ["leakage", str(corpus), str(bench), "--json"])
    assert json.loads(result.output)["counts"] == [
        {"source": "medicalExam", "language": "en", "items": 5, "questions": 2, "runs": 1}
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [('[{"answer": "A"}]', "item 0, byte .*no question"), ("[", "bench.json"), ("[]", "no question")],
)
def test_bad_benchmarks(leaking, content, message):
    corpus, bench = leaking
    bench.write_text(content)
    with pytest.raises(apollo_pack.ApolloPackError, match=message) as found:
        apollo_pack.find_leaks(corpus, bench)
    assert "skip" not in str(found.value)  # which is for items of a corpus


def test_the_shared_exams_leak_as_much_as_is_known():
    data = shared_data()
    if not (data / "xmedbench").is_dir():
        pytest.skip("the shared data has no xmedbench")
    report = apollo_pack.find_leaks(data / "corpus" / "train", data / "xmedbench")
    leaks = {(count.source, count.language): (count.questions, count.runs) for count in report.counts}
    exams = {language: leaks["medicalExam", language][0] for language in ("ar", "zh", "en", "es", "fr")}
    assert exams == {"ar": 890, "zh": 1338, "en": 5, "es": 4, "fr": 0}  # as the data's own notes have it
    # The rest as docs/leakage.md tells it, and as benches/leakage.py finds it with sets of strings.
    assert {place: count for place, count in leaks.items() if any(count)} == {
        ("general", "ar"): (16, 0),
        ("medicalExam", "ar"): (890, 0),
        ("medicalExam", "en"): (5, 33),
        ("medicalExam", "es"): (4, 37),
        ("medicalExam", "fr"): (0, 60),
        ("medicalExam", "zh"): (1338, 0),
        ("medicalPaper", "en"): (27, 0),
        ("medicalPaper", "es"): (0, 1),
    }


def test_duplicates_are_kept_once(tmp_path):
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    (corpus / "a_en.json").write_text(json.dumps([CLEAN, ["café\u00a0au lait?", "Yes."], CLEAN]))
    (corpus / "b_en.jsonl").write_text(
        "".join(json.dumps(item) + "\n" for item in (["cafe\u0301  au\nlait? ", "Yes."], CLEAN[::-1]))
    )
    report = apollo_pack.build(corpus, tmp_path / "out.bin", seq_len=64, dedup="exact")
    first, second = report.ledger
    assert (first.items_kept, first.items_dropped) == (2, {"duplicate": 1})
    assert (second.items_kept, second.items_dropped) == (1, {"duplicate": 1})
    assert _core.PackedFiles([tmp_path / "out.bin"]).check_against(corpus, find_tokenizer(None, corpus))[
        "complete"
    ]
