from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentkit.audit.merkle import (
    Frontier,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    root_of,
    verify_consistency,
    verify_inclusion,
)

# The reference tree of the certificate-transparency project.
LEAVES = [
    leaf_hash(bytes.fromhex(data))
    for data in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
COUNTS = st.integers(1, 70)


def leaves(count: int) -> list[bytes]:
    return [leaf_hash(str(number).encode()) for number in range(count)]


@pytest.mark.parametrize("size", range(9))
def test_roots_are_those_of_the_reference_tree(size: int) -> None:
    assert root_of(LEAVES[:size]).hex() == ROOTS[size]


def test_inclusion_proofs_are_those_of_the_reference_tree() -> None:
    assert [node.hex() for node in inclusion_proof(LEAVES, 0)] == [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ]
    assert [node.hex() for node in inclusion_proof(LEAVES[:3], 2)] == [ROOTS[2]]


def test_consistency_proofs_are_those_of_the_reference_tree() -> None:
    assert consistency_proof(LEAVES, 8) == ()
    assert [node.hex() for node in consistency_proof(LEAVES, 1)] == [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ]
    assert [node.hex() for node in consistency_proof(LEAVES, 6)] == [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]


@given(COUNTS, st.data())
def test_every_leaf_is_included_and_nothing_else(size: int, data: st.DataObject) -> None:
    tree = leaves(size)
    index = data.draw(st.integers(0, size - 1))
    proof, root = inclusion_proof(tree, index), root_of(tree)
    assert verify_inclusion(tree[index], index, size, proof, root)
    assert not verify_inclusion(leaf_hash(b"other"), index, size, proof, root)
    assert not verify_inclusion(tree[index], index, size, proof, hashlib.sha256(root).digest())
    assert not verify_inclusion(tree[index], index, size, (*proof, root), root)
    assert not verify_inclusion(tree[index], size, size, proof, root)
    if proof:
        assert not verify_inclusion(tree[index], index, size, proof[:-1], root)
        other = data.draw(st.integers(0, size - 1).filter(lambda found: found != index))
        assert not verify_inclusion(tree[index], other, size, proof, root)


@given(COUNTS, st.data())
def test_every_longer_tree_is_consistent_and_no_other(size: int, data: st.DataObject) -> None:
    tree = leaves(size)
    old_size = data.draw(st.integers(1, size))
    old, new = root_of(tree[:old_size]), root_of(tree)
    proof = consistency_proof(tree, old_size)
    assert verify_consistency(old_size, size, old, new, proof)
    forged = [*tree]
    forged[data.draw(st.integers(0, old_size - 1))] = leaf_hash(b"other")
    lie = consistency_proof(forged, old_size)
    assert not verify_consistency(old_size, size, old, root_of(forged), lie)
    assert not verify_consistency(old_size, size, old, new, (*proof, new))
    if proof:
        assert not verify_consistency(old_size, size, old, new, proof[:-1])


@given(COUNTS)
def test_the_frontier_and_the_recursive_definition_agree(size: int) -> None:
    def recursive(tree: list[bytes]) -> bytes:
        if len(tree) == 1:
            return tree[0]
        split = 1
        while split * 2 < len(tree):
            split *= 2
        return hashlib.sha256(b"\x01" + recursive(tree[:split]) + recursive(tree[split:])).digest()

    tree = leaves(size)
    frontier = Frontier(tree)
    assert frontier.root() == recursive(tree)
    twin = frontier.copy()
    twin.append(tree[0])
    assert frontier.size == size
    assert frontier.root() == recursive(tree)


@pytest.mark.parametrize(("size", "index"), [(0, 0), (3, 3), (3, -1)])
def test_no_proof_for_a_leaf_that_is_not_there(size: int, index: int) -> None:
    with pytest.raises(IndexError):
        inclusion_proof(leaves(size), index)


@pytest.mark.parametrize(("size", "old"), [(3, 0), (3, 4)])
def test_no_proof_from_a_tree_that_never_was(size: int, old: int) -> None:
    with pytest.raises(IndexError):
        consistency_proof(leaves(size), old)
