"""`Encoder`: the reference's ids, from one text or many."""

import itertools
import json
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, normalizers

import apollo_pack
from apollo_pack import Encoder
from apollo_pack.tokenizers import default_tokenizer
from shared_data import shared_data
from tiny_tokenizers import tiny

KINDS = ("bytes", "bytes-prefix", "prepend", "metaspace")
TEXTS = [
    "",
    " ",
    "Hello, world! It's 2026.",
    "心脏把血液送到全身。",
    "القلب يضخ الدم",
    "हृदय रक्त पंप करता है",
    "\n\n  \t",
    "<|endoftext|>a<|im_end|>",
    "e\u0301 ﬁ",
    "👩‍👩‍👧‍👦",
    "a" * 5000,
    "\u0000\ufdd0\uffff",
]
PAIRS = [(kind, special) for kind in ("default", *KINDS) for special in ("parse", "text")]


@pytest.fixture(scope="module", params=PAIRS, ids="-".join)
def pair(request, tmp_path_factory):
    """An encoder and the reference for the same tokenizer."""
    kind, special = request.param
    given = default_tokenizer().tokenizer_json if kind == "default" else tiny(kind).encode()
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    path.write_bytes(given)
    reference = Tokenizer.from_buffer(given)
    reference.encode_special_tokens = special == "text"
    return Encoder(path, special_tokens=special), reference


def reference_ids(reference, text):
    return reference.encode(text, add_special_tokens=False).ids


def test_the_default_is_native():
    encoder = Encoder()
    assert (encoder.name, encoder.why_not_native) == ("native", None)


def test_one_text(pair):
    encoder, reference = pair
    for text in TEXTS:
        ids = encoder.encode(text)
        assert ids.dtype == np.uint32
        assert ids.tolist() == reference_ids(reference, text)


def test_many_texts(pair):
    encoder, reference = pair
    texts = TEXTS * 40
    expected = [reference_ids(reference, text) for text in TEXTS] * 40
    raw = [text.encode() for text in texts]
    buffer = np.frombuffer(b"".join(raw), np.uint8)
    starts = np.concatenate([[0], np.cumsum([len(text) for text in raw])]).astype(np.uint64)
    for threads in (1, 2, 7, None):
        for arguments in ((texts,), (tuple(texts),), (buffer, starts)):
            ids, offsets = encoder.encode_batch(*arguments, num_threads=threads)
            assert (ids.dtype, offsets.dtype) == (np.uint32, np.uint64)
            assert offsets[0] == 0
            assert offsets[-1] == len(ids)
            assert [ids[a:b].tolist() for a, b in itertools.pairwise(offsets)] == expected
    ids, offsets = encoder.encode_batch([])
    assert (len(ids), offsets.tolist()) == (0, [0])


@settings(max_examples=200, deadline=None)
@given(text=st.text(max_size=80))
def test_any_text(pair, text):
    encoder, reference = pair
    assert encoder.encode(text).tolist() == reference_ids(reference, text)


def test_special_tokens_are_parsed_or_text():
    assert Encoder().encode("<|endoftext|>").tolist() == [151643]
    assert 151643 not in Encoder(special_tokens="text").encode("<|endoftext|>")
    with pytest.raises(apollo_pack.ConfigError, match="special_tokens"):
        Encoder(special_tokens="error")


def test_decoding_and_spans(pair):
    encoder, reference = pair
    text = "Hello, world!"
    ids, spans = encoder.encode_with_spans(text)
    assert ids.tolist() == encoder.encode(text).tolist()
    assert spans.shape == (len(ids), 2)
    assert [tuple(span) for span in spans.tolist()] == reference.encode(
        text, add_special_tokens=False
    ).offsets
    assert encoder.decode(ids) == reference.decode(ids.tolist(), skip_special_tokens=False)


def test_threads_share_an_encoder():
    encoder = Encoder()
    expected = [encoder.encode(text).tolist() for text in TEXTS]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda i: encoder.encode(TEXTS[i % len(TEXTS)]).tolist(), range(400)))
    assert found == [expected[i % len(TEXTS)] for i in range(400)]


def test_wrong_arguments_are_named():
    encoder = Encoder()
    buffer = np.frombuffer("aé".encode(), np.uint8)
    for arguments, words in (
        (("one text",), "one str"),
        ((b"one text",), "one bytes"),
        ((["one", "two"], [0, 3]), "a list of texts has none"),
        ((buffer,), "offsets"),
        ((buffer.reshape(1, -1), [0, 3]), "one dimension"),
        ((buffer.astype(np.int64), [0, 3]), "not of int64"),
        ((buffer, []), "one more"),
        ((buffer, [0.0, 3.0]), "whole numbers.*float64"),
        ((buffer, [-1, 3]), "from 0 on.*from -1 on"),
        ((buffer, [[0, 3]]), "one dimension"),
        ((buffer, [0, 2]), "UTF-8"),
        ((buffer, [0, 9]), "0 and 9 of text 0 do not lie.*3 bytes"),
        ((buffer, [0, 3, 0]), "text 1 do not lie"),
        ((buffer, [4]), "begin at 4, beyond a buffer of 3"),
        ((buffer, np.array([2**64 - 1], np.uint64)), "beyond"),
        (({"text": ["one"]},), "a dict"),
        (({"one", "two"},), "a set"),
    ):
        with pytest.raises(apollo_pack.ConfigError, match=words):
            encoder.encode_batch(*arguments)
    for special in (None, True, "error"):
        with pytest.raises(apollo_pack.ConfigError, match="'parse' or 'text'"):
            Encoder(special_tokens=special)
    ids, offsets = encoder.encode_batch(buffer, [3])
    assert (len(ids), offsets.tolist()) == (0, [0])
    for threads in (0, 10**6, "2"):
        with pytest.raises(apollo_pack.ConfigError, match="num_threads"):
            encoder.encode_batch(["a"], num_threads=threads)
    with pytest.raises(UnicodeEncodeError):
        encoder.encode("\ud800")
    for wrong, kind in ((1, TypeError), ("\ud800", UnicodeEncodeError)):
        with pytest.raises(kind) as raised:
            encoder.encode_batch(["a", "b", wrong])
        assert raised.value.__notes__ == ["it is text 2 of the list"]


def test_what_the_reference_would_say_wrongly_is_said_before():
    encoder = Encoder()
    with pytest.raises(UnicodeEncodeError):
        encoder.encode_with_spans("a\ud800")
    with pytest.raises(TypeError, match="not bytes"):
        encoder.encode_with_spans(b"a")
    for wrong in (-1, 2**32, 1.5, "a"):
        with pytest.raises(apollo_pack.ConfigError, match=f"{wrong!r} is no id"):
            encoder.decode([1, wrong])
    assert encoder.decode(list(np.array([0, 1]))) == encoder.decode([0, 1])
    assert encoder.decode([np.array(0)]) == encoder.decode([0])
    assert encoder.decode([]) == encoder.decode(np.array([2**32 - 1], np.uint32)) == ""


def test_what_a_tokenizer_file_says_of_cutting_and_padding_is_left_aside(tmp_path):
    for name in ("native", "huggingface"):
        tokenizer = Tokenizer.from_str(tiny("bytes"))
        if name == "huggingface":
            tokenizer.normalizer = normalizers.Lowercase()
        plain = reference_ids(tokenizer, "hello, hello")
        tokenizer.enable_truncation(2)
        tokenizer.enable_padding(length=8)
        tokenizer.save(str(tmp_path / "tokenizer.json"))
        encoder = Encoder(tmp_path)
        assert encoder.name == name
        assert encoder.encode("hello, hello").tolist() == plain != reference_ids(tokenizer, "hello, hello")


def test_what_is_no_tokenizer_is_said_to_be_none(tmp_path):
    (tmp_path / "tokenizer.json").write_text('{"some": "settings"}')
    with pytest.raises(apollo_pack.TokenizerError, match=r"this is no tokenizer\.json"):
        Encoder(tmp_path)
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    for name, words in (
        (tmp_path / "gone", "No such file"),
        ("~/no/such", "no such file"),
        ("~nobody-of-this-name/such", "no such file"),
        ("", "is empty"),
    ):
        with pytest.raises(apollo_pack.TokenizerError, match=words):
            Encoder(name)


def test_where_the_library_fails_is_an_error(tmp_path):
    """Its panics are no `Exception`: nobody would catch them."""
    path, file = tmp_path / "tokenizer.json", default_tokenizer().tokenizer_json
    path.write_text(json.dumps(json.loads(file) | {"normalizer": {"type": "Prepend", "prepend": ""}}))
    encoder = Encoder(path)
    for encode in (encoder.encode, encoder.encode_with_spans):
        with pytest.raises(apollo_pack.TokenizerError, match="panicked"):
            encode(" <X")
    # An error of its own is the same for both.
    words = {"type": "WordPiece", "vocab": {"a": 0}, "unk_token": "[UNK]"}
    words |= {"continuing_subword_prefix": "##", "max_input_chars_per_word": 100}
    path.write_text(json.dumps({"added_tokens": [], "model": words}))
    encoder = Encoder(path)
    for encode in (encoder.encode, encoder.encode_with_spans):
        with pytest.raises(apollo_pack.TokenizerError, match="Missing \\[UNK\\] token"):
            encode("b")
    path.write_bytes(file[:1000] + b"\xff" + file[1001:])
    with pytest.raises(apollo_pack.TokenizerError, match=r"tokenizer\.json.*no tokenizer\.json that"):
        Encoder(path)


def test_an_encoder_goes_to_another_process(tmp_path):
    (tmp_path / "tokenizer.json").write_text(tiny("bytes"))
    encoder = Encoder(tmp_path, special_tokens="text")
    (tmp_path / "tokenizer.json").unlink()
    copy = pickle.loads(pickle.dumps(encoder))  # noqa: S301 - of its own making
    assert repr(copy) == repr(encoder)
    for text in TEXTS:
        assert copy.encode(text).tolist() == encoder.encode(text).tolist()
        assert copy.decode(copy.encode(text)) == encoder.decode(encoder.encode(text))


def test_an_unknown_tokenizer_is_served_by_the_reference(tmp_path):
    definition = json.loads(tiny("bytes"))
    definition["model"]["dropout"] = 0.0
    definition["normalizer"] = {"type": "Lowercase"}
    (tmp_path / "tokenizer.json").write_text(json.dumps(definition))
    encoder = Encoder(tmp_path)
    assert encoder.name == "huggingface"
    assert "does not know: unknown variant `Lowercase`" in encoder.why_not_native
    reference = Tokenizer.from_str(json.dumps(definition))
    assert encoder.encode("ABC def").tolist() == reference_ids(reference, "ABC def")


@pytest.mark.parametrize("name", ["qwen2", "gemma", "llama2", "mistral_v3", "llama3", "deepseek_v3", "gpt2"])
def test_real_tokenizers_are_native_and_exact(name):
    data = shared_data()
    path = data / "tokenizers" / name / "tokenizer.json"
    encoder, reference = Encoder(path), Tokenizer.from_file(str(path))
    assert encoder.why_not_native is None
    texts = []
    for file in sorted((data / "corpus").rglob("*.json")):
        items = json.loads(file.read_bytes())
        texts += [
            "\n".join([item] if isinstance(item, str) else item)[:20000] for item in items[:: len(items) // 8]
        ]
    ids, offsets = encoder.encode_batch(texts)
    for text, (start, end) in zip(texts, itertools.pairwise(offsets), strict=True):
        assert ids[start:end].tolist() == reference_ids(reference, text)
