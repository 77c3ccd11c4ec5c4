"""The tree against one made plainly by the words of RFC 9162, 2.1, and against its own refusals."""

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from idp.audit import merkle

_SIZES = st.integers(1, 300)


def naive(leaves: list[bytes]) -> bytes:
    """Return MTH(D[n]) as the definition reads."""
    if not leaves:
        return hashlib.sha256().digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return hashlib.sha256(b"\x01" + naive(leaves[:split]) + naive(leaves[split:])).digest()


def bodies(size: int) -> list[bytes]:
    return [str(number).encode() for number in range(size)]


def read(height: int, position: int) -> bytes:
    return naive(bodies((position + 1) << height)[position << height :])


@given(_SIZES)
def test_a_root_is_the_one_of_the_definition_when_grown_and_when_read(size: int) -> None:
    growing = merkle.Growing()
    for body in bodies(size):
        for height, position, found in growing.append(merkle.leaf_hash(body)):
            assert found == read(height, position)
    assert growing.root() == merkle.root(read, size) == naive(bodies(size))


@given(_SIZES, st.integers(1, 40))
def test_a_tree_grows_on_from_what_is_stored(size: int, more: int) -> None:
    growing = merkle.Growing.from_stored(read, size)
    for body in bodies(size + more)[size:]:
        growing.append(merkle.leaf_hash(body))
    assert growing.root() == naive(bodies(size + more))


@given(_SIZES, st.data())
def test_inclusion_is_proven_for_the_leaf_at_its_place_and_no_other(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    root, leaf = naive(bodies(size)), merkle.leaf_hash(str(index).encode())
    proof = merkle.inclusion(read, index, size)
    assert merkle.includes(root, size, index, leaf, proof)
    assert not merkle.includes(root, size, index, merkle.leaf_hash(b"another"), proof)
    other = data.draw(st.integers(0, size))
    assert other == index or not merkle.includes(root, size, other, leaf, proof)
    if proof:
        place = data.draw(st.integers(0, len(proof) - 1))
        bent = [*proof[:place], hashlib.sha256(proof[place]).digest(), *proof[place + 1 :]]
        assert not merkle.includes(root, size, index, leaf, bent)
        assert not merkle.includes(root, size, index, leaf, proof[:-1])
    assert not merkle.includes(root, size, index, leaf, [*proof, root])


@given(_SIZES, st.data())
def test_consistency_is_proven_for_the_beginning_and_no_other(size: int, data: st.DataObject) -> None:
    first = data.draw(st.integers(1, size))
    old, new = naive(bodies(first)), naive(bodies(size))
    proof = merkle.consistency(read, first, size)
    assert merkle.extends(old, first, new, size, proof)
    another = naive([b"another", *bodies(first)[1:]])
    assert not merkle.extends(another, first, new, size, proof)
    assert not merkle.extends(old, first, another if first != size else old[::-1], size, proof)
    assert not merkle.extends(old, first, new, size, [*proof, old])


def test_a_node_cannot_pass_for_a_leaf() -> None:
    left, right = merkle.leaf_hash(b"a"), merkle.leaf_hash(b"b")
    assert merkle.node_hash(left, right) != merkle.leaf_hash(left + right)


def test_the_roots_are_those_of_the_certificate_transparency_tests() -> None:
    # The vectors that implementations of RFC 6962 share.
    inputs = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
    growing = merkle.Growing()
    for each in inputs:
        growing.append(merkle.leaf_hash(bytes.fromhex(each)))
    assert growing.root().hex() == "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"
