"""A small corpus of every shape, and a file built from it."""

import gzip
import json
import signal
from pathlib import Path

import pytest
import zstandard

import apollo_pack

# A shell lets what runs in its background ignore interrupts, and so would the builds that tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

TEXTS_EN = [
    f"Document {i} about the heart. " + "It pumps blood through the body. " * (i % 7) for i in range(40)
]
TEXTS_ZH = [f"第{i}篇:心脏把血液送到全身。" * (1 + i % 5) for i in range(30)]
DIALOGUES_AR = [[f"سؤال {i}؟", "الجواب هو القلب.", "ولماذا؟", "لأنه يضخ الدم."] for i in range(30)]
DIALOGUES_HI = [[f"प्रश्न {i}: हृदय क्या करता है?", "वह रक्त पंप करता है।"] for i in range(25)]
LONG_TEXT = "The liver stores energy. " * 400


@pytest.fixture(scope="session")
def corpus(tmp_path_factory) -> Path:
    """A folder with arrays and lines, text and QA, plain and compressed, in four languages."""
    root = tmp_path_factory.mktemp("corpus")
    files = {
        "train/pretrain/medicalBook_en_text.json": json.dumps([*TEXTS_EN, LONG_TEXT]),
        "train/pretrain/medicalWiki_zh_text.json": json.dumps(TEXTS_ZH, ensure_ascii=False, indent=2),
        "train/sft/medicalExam_ar.json": json.dumps(DIALOGUES_AR),
        "train/sft/general_hi.jsonl": "".join(
            json.dumps({"messages": turns}) + "\n" for turns in DIALOGUES_HI
        ),
    }
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    lines = "".join(json.dumps({"text": text}) + "\n" for text in TEXTS_ZH).encode()
    (root / "train/pretrain/medicalWeb_zh_text.jsonl.zst").write_bytes(zstandard.compress(lines))
    roles = [
        {"conversations": [{"from": "human", "value": q}, {"from": "gpt", "value": a}]}
        for q, a in DIALOGUES_HI
    ]
    lines = "".join(json.dumps(item) + "\n" for item in roles).encode()
    (root / "train/sft/code_hi.jsonl.gz").write_bytes(gzip.compress(lines, mtime=0))
    return root


@pytest.fixture(scope="session")
def packed(corpus, tmp_path_factory) -> Path:
    """A file of short rows built from the corpus."""
    out = tmp_path_factory.mktemp("packed") / "out.bin"
    apollo_pack.build(corpus, out, seq_len=64)
    return out
