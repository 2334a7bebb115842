"""Tables, properties, topic patterns: octets and matching."""

import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nova_fakes.exceptions import InvalidInput
from nova_fakes.rabbit import Properties, plain, tables, typed
from nova_fakes.rabbit.errors import MalformedTable
from nova_fakes.rabbit.topics import TopicTrie

NAMES = st.text(max_size=20)
SCALARS = st.one_of(
    st.tuples(st.just("t"), st.booleans()),
    st.tuples(st.just("b"), st.integers(-128, 127)),
    st.tuples(st.just("u"), st.integers(0, 65535)),
    st.tuples(st.just("I"), st.integers(-(2**31), 2**31 - 1)),
    st.tuples(st.just("l"), st.integers(-(2**63), 2**63 - 1)),
    st.tuples(st.just("d"), st.floats(allow_nan=False, allow_infinity=False)),
    st.tuples(st.just("S"), st.text(max_size=50)),
    st.tuples(st.just("x"), st.binary(max_size=50)),
    st.tuples(st.just("T"), st.integers(0, 2**63)),
    st.tuples(st.just("D"), st.tuples(st.integers(0, 255), st.integers(-(2**31), 2**31 - 1))),
    st.just(("V", None)),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.tuples(st.just("A"), st.lists(inner, max_size=4)),
        st.tuples(st.just("F"), st.dictionaries(NAMES, inner, max_size=4)),
    ),
    max_leaves=8,
)
TABLES = st.dictionaries(NAMES, VALUES, max_size=6)


@given(TABLES)
def test_a_table_comes_back_as_it_was_written(table: tables.Table) -> None:
    octets = tables.encode(table)
    assert tables.decode(octets) == table
    assert tables.encode(tables.decode(octets)) == octets


@given(st.binary(max_size=60))
def test_any_octets_are_a_table_or_refused(octets: bytes) -> None:
    try:
        table = tables.decode(octets)
    except MalformedTable:
        return
    assert tables.decode(tables.encode(table)) == table or any(value != value for value in plain(table).values())


def test_values_of_python_get_the_types_that_clients_choose() -> None:
    values = {"a": 1, "b": 2**40, "c": True, "d": "x", "e": b"x", "f": None, "g": [1], "h": {"i": 1.5}}
    assert [kind for kind, _content in typed(values).values()] == ["I", "l", "t", "S", "x", "V", "A", "F"]
    assert plain(typed(values)) == values


def test_a_value_without_a_type_is_refused() -> None:
    with pytest.raises(InvalidInput):
        typed({"a": object()})


def test_properties_keep_their_octets() -> None:
    made = Properties.of(content_type="a/b", headers={"k": 1}, delivery_mode=2, expiration="5", timestamp=9)
    read = Properties(made.raw)
    assert read.is_persistent
    assert read.expiration == "5"
    assert read.headers == {"k": ("I", 1)}
    assert read.replace(expiration=None).fields() == {
        "content_type": "a/b",
        "headers": {"k": ("I", 1)},
        "delivery_mode": 2,
        "timestamp": 9,
    }


@pytest.mark.parametrize("octets", [b"", b"\x80", b"\x80\x00\x09ab", b"\x20\x00\x00\x00\x00\x09z", b"\x80\x00\x01aa"])
def test_octets_that_are_no_properties_are_refused(octets: bytes) -> None:
    with pytest.raises(MalformedTable):
        Properties(octets)


WORDS = st.sampled_from(["a", "b", "", "*", "#"])


def matches(pattern: str, key: str) -> bool:
    """Match by a regular expression, word by word."""
    words = pattern.split(".") if pattern else []
    text = "".join(
        r"(?:\.[^.]*)*" if word == "#" else r"\.[^.]*" if word == "*" else re.escape(f".{word}") for word in words
    )
    return re.fullmatch(text, "".join(f".{word}" for word in (key.split(".") if key else []))) is not None


@given(st.lists(st.lists(WORDS, max_size=5), max_size=8), st.lists(st.sampled_from(["a", "b", ""]), max_size=5))
def test_the_trie_matches_as_the_patterns_say(patterns: list[list[str]], key: list[str]) -> None:
    trie = TopicTrie()
    texts = [".".join(pattern) for pattern in patterns]
    for index, text in enumerate(texts):
        trie.add(text, index, index)
    routing_key = ".".join(key)
    assert set(trie.match(routing_key)) == {i for i, text in enumerate(texts) if matches(text, routing_key)}
    for index, text in enumerate(texts):
        trie.remove(text, index)
    assert not trie._root.children


def test_many_hashes_take_no_exponential_time() -> None:
    trie = TopicTrie()
    trie.add("#.a." * 20 + "#", 0, "found")
    assert list(trie.match(".".join(string.ascii_lowercase[:1] * 60))) == ["found"]
