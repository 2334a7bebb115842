"""Sparse disks: every byte as a plain bytearray has it, whatever was cloned, discarded and resized in between."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nova_fakes.exceptions import InvalidInput
from nova_fakes.volume.chunks import Meter
from nova_fakes.volume.disk import SparseDisk, digest
from nova_fakes.volume.errors import PoolFull
from nova_fakes.volume.file_disk import FileDisk, make_sparse
from nova_fakes.volume.medium import CHUNK_BYTES, copy

TIB = 1 << 40
SIZE = 3 * CHUNK_BYTES + 700

places = st.integers(0, SIZE)
lengths = st.integers(0, CHUNK_BYTES + 100)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("write"), places, lengths, st.integers(1, 255)),
        st.tuples(st.just("discard"), places, lengths, st.just(0)),
        st.tuples(st.just("clone"), st.just(0), st.just(0), st.just(0)),
        st.tuples(st.just("resize"), places, st.just(0), st.just(0)),
        st.tuples(st.just("revert"), st.just(0), st.just(0), st.just(0)),
    ),
    max_size=12,
)


@settings(max_examples=60, deadline=None)
@given(steps=steps)
def test_disk_and_its_clones_hold_what_a_bytearray_holds(steps):
    disk, model = SparseDisk(SIZE), bytearray(SIZE)
    others = []
    for what, offset, length, value in steps:
        length = max(0, min(length, len(model) - offset))
        offset = min(offset, len(model))
        if what == "write":
            disk.write(offset, bytes([value]) * length)
            model[offset : offset + length] = bytes([value]) * length
        elif what == "discard":
            disk.discard(offset, length)
            model[offset : offset + length] = bytes(length)
        elif what == "clone":
            others.append((disk.clone(), bytes(model)))
        elif what == "revert" and others:
            disk.adopt(others[-1][0])
            model = bytearray(others[-1][1])
        elif what == "resize":
            disk.resize(offset)
            model = model[:offset].ljust(offset, b"\0")
    for one, content in [(disk, bytes(model)), *others]:
        assert one.read(0, len(content)) == content
        plain = SparseDisk(len(content))
        plain.write(0, content)
        assert one.digest() == plain.digest()
        allocated = sum(length for _offset, length in one.extents())
        assert allocated <= one.allocated_bytes <= allocated + CHUNK_BYTES


def test_clone_shares_what_neither_has_written():
    meter = Meter()
    disk = SparseDisk(TIB, meter)
    disk.write(0, bytes(range(256)) * 4096 * 8)
    clone = disk.clone()
    assert meter.used_bytes == 8 * CHUNK_BYTES
    clone.write(5, b"other")
    assert meter.used_bytes == 9 * CHUNK_BYTES
    assert disk.read(4, 3) == b"\x04\x05\x06"
    del disk
    assert meter.used_bytes == 8 * CHUNK_BYTES
    del clone
    assert meter.used_bytes == 0


def test_clones_of_clones_stand_alone():
    first = SparseDisk(TIB)
    line = [first]
    for number in range(50):
        line[-1].write(number * CHUNK_BYTES, b"%d" % number)
        line.append(line[-1].clone())
    line[-1].write(0, b"last")
    assert first.read(0, 1) == b"0"
    assert [one.read(0, 1) for one in line[:-1]] == [b"0"] * 50
    assert line[-1].read(49 * CHUNK_BYTES, 2) == b"49"
    assert first.read(49 * CHUNK_BYTES, 2) == b"\0\0"


def test_discard_gives_room_back():
    disk = SparseDisk(4 * CHUNK_BYTES)
    disk.write(0, b"x" * 4 * CHUNK_BYTES)
    disk.discard(10, 2 * CHUNK_BYTES)
    assert disk.allocated_bytes == 3 * CHUNK_BYTES
    assert list(disk.extents()) == [(0, CHUNK_BYTES), (2 * CHUNK_BYTES, 2 * CHUNK_BYTES)]
    assert disk.read(0, 11) == b"x" * 10 + b"\0"
    assert disk.read(2 * CHUNK_BYTES + 9, 2) == b"\0x"


def test_full_pool_takes_what_it_has_room_for():
    disk = SparseDisk(TIB, Meter(2 * CHUNK_BYTES))
    with pytest.raises(PoolFull, match="written full"):
        disk.write(0, b"x" * 3 * CHUNK_BYTES)
    assert disk.read(2 * CHUNK_BYTES - 1, 2) == b"x\0"
    disk.discard(0, CHUNK_BYTES)
    disk.write(5 * CHUNK_BYTES, b"y")


@pytest.mark.parametrize(("offset", "length"), [(-1, 1), (0, 101), (101, 0), (50, 51)])
def test_nothing_lies_beyond_the_end(offset, length):
    disk = SparseDisk(100)
    with pytest.raises(InvalidInput, match="100 bytes"):
        disk.read(offset, length)
    with pytest.raises(InvalidInput, match="100 bytes"):
        disk.discard(offset, length)
    with pytest.raises(InvalidInput, match="100 bytes"):
        disk.write(offset, bytes(length) if length else b"x")


def test_file_disk_is_sparse_and_has_the_digest_of_its_original(tmp_path):
    source = SparseDisk(TIB)
    source.write(5 * CHUNK_BYTES + 17, b"some bytes")
    source.write(TIB - 3, b"end")
    make_sparse(tmp_path / "disk", TIB)
    with FileDisk(tmp_path / "disk") as target:
        assert sum(copy(source, target)) == 2 * CHUNK_BYTES
        assert target.allocated_bytes <= 3 * CHUNK_BYTES
        assert target.read(TIB - 3, 3) == b"end"
        assert digest(target) == source.digest()
        target.discard(5 * CHUNK_BYTES, CHUNK_BYTES)
        assert target.read(5 * CHUNK_BYTES + 17, 4) == b"\0\0\0\0"
        assert digest(target) != source.digest()


def test_copy_makes_holes_where_the_source_has_them():
    source, target = SparseDisk(4 * CHUNK_BYTES), SparseDisk(5 * CHUNK_BYTES)
    target.write(0, b"o" * 5 * CHUNK_BYTES)
    source.write(CHUNK_BYTES, b"new")
    list(copy(source, target))
    assert target.read(CHUNK_BYTES, 3) == b"new"
    assert target.allocated_bytes == CHUNK_BYTES


@given(
    chunks=st.sets(st.integers(0, 40), max_size=12),
    offset=st.integers(0, 41 * CHUNK_BYTES),
    length=st.integers(0, 41 * CHUNK_BYTES),
)
@settings(max_examples=80, deadline=None)
def test_extents_of_a_range_are_those_of_the_whole_that_lie_in_it(chunks, offset, length):
    disk = SparseDisk(41 * CHUNK_BYTES)
    for chunk in chunks:
        disk.write(chunk * CHUNK_BYTES, b"x")
    end = min(offset + length, disk.size_bytes)
    expected = [
        (max(start, offset), min(start + size, end) - max(start, offset))
        for start, size in disk.extents()
        if max(start, offset) < min(start + size, end)
    ]
    assert list(disk.extents(offset, length)) == expected
