"""The Merkle tree of RFC 6962: roots, inclusion proofs and consistency proofs.

A root is 32 bytes that commit to every leaf and their order. An *inclusion proof* shows that one
leaf is under a root without showing the others; a *consistency proof* shows that a later tree only
appended to an earlier one. Both are checked with nothing but SHA-256.

Leaf and node hashes carry different prefixes (RFC 6962, section 2.1), so that an inner node can
never pass for a leaf.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = [
    "Frontier",
    "consistency_proof",
    "inclusion_proof",
    "leaf_hash",
    "node_hash",
    "root_of",
    "verify_consistency",
    "verify_inclusion",
]


def leaf_hash(data: bytes) -> bytes:
    """Return the 32-byte hash of a leaf's content."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the 32-byte hash of an inner node over its two children."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Frontier:
    """The right edge of a growing tree: its perfect subtrees, widest first.

    Holds at most log2(size) hashes, which is all that appending and the root need.
    """

    __slots__ = ("_subtrees", "size")

    def __init__(self, leaves: Iterable[bytes] = ()) -> None:
        self._subtrees: list[bytes] = []
        self.size = 0
        for leaf in leaves:
            self.append(leaf)

    def append(self, leaf: bytes) -> None:
        """Add one leaf hash at the right."""
        carried = leaf
        position = self.size
        while position & 1:
            carried = node_hash(self._subtrees.pop(), carried)
            position >>= 1
        self._subtrees.append(carried)
        self.size += 1

    def root(self) -> bytes:
        """Return the tree's root; of an empty tree, the hash of nothing."""
        if not self._subtrees:
            return hashlib.sha256().digest()
        root = self._subtrees[-1]
        for subtree in reversed(self._subtrees[:-1]):
            root = node_hash(subtree, root)
        return root

    def copy(self) -> Frontier:
        """Return an independent frontier of the same tree."""
        twin = Frontier()
        twin._subtrees = self._subtrees.copy()
        twin.size = self.size
        return twin


def root_of(leaves: Iterable[bytes]) -> bytes:
    """Return the root over leaf hashes."""
    return Frontier(leaves).root()


def inclusion_proof(leaves: Sequence[bytes], index: int) -> tuple[bytes, ...]:
    """Return PATH(index, leaves) of RFC 6962 section 2.1.1; IndexError where there is no leaf."""
    if not 0 <= index < len(leaves):
        raise IndexError(f"no leaf {index} in a tree of {len(leaves)}")
    if len(leaves) == 1:
        return ()
    split = _split(len(leaves))
    if index < split:
        return (*inclusion_proof(leaves[:split], index), root_of(leaves[split:]))
    return (*inclusion_proof(leaves[split:], index - split), root_of(leaves[:split]))


def consistency_proof(leaves: Sequence[bytes], old_size: int) -> tuple[bytes, ...]:
    """Return PROOF(old_size, leaves) of RFC 6962 section 2.1.2; IndexError out of 1..size."""
    if not 0 < old_size <= len(leaves):
        raise IndexError(f"no tree of {old_size} leaves within one of {len(leaves)}")
    return _subproof(leaves, old_size, complete=True)


def _subproof(leaves: Sequence[bytes], old_size: int, *, complete: bool) -> tuple[bytes, ...]:
    if old_size == len(leaves):
        return () if complete else (root_of(leaves),)
    split = _split(len(leaves))
    if old_size <= split:
        inner = _subproof(leaves[:split], old_size, complete=complete)
        return (*inner, root_of(leaves[split:]))
    inner = _subproof(leaves[split:], old_size - split, complete=False)
    return (*inner, root_of(leaves[:split]))


def _split(size: int) -> int:
    """Return the largest power of two smaller than ``size``."""
    return 1 << (size - 1).bit_length() - 1


def verify_inclusion(
    leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes
) -> bool:
    """Tell whether ``proof`` puts ``leaf`` at ``index`` of the tree ``root`` of ``size`` leaves."""
    if not 0 <= index < size:
        return False
    node, last, found = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if node & 1 or node == last:
            found = node_hash(sibling, found)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            found = node_hash(found, sibling)
        node, last = node >> 1, last >> 1
    return last == 0 and found == root


def verify_consistency(
    old_size: int, new_size: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]
) -> bool:
    """Tell whether ``proof`` shows that the new tree only appended to the old one (RFC 9162)."""
    if not 0 < old_size <= new_size:
        return False
    if old_size == new_size:
        return not proof and old_root == new_root
    path = list(proof)
    if old_size & (old_size - 1) == 0:
        path.insert(0, old_root)  # the old tree is one perfect subtree: its root is the start
    if not path:
        return False
    node, last = old_size - 1, new_size - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    old_found = new_found = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if node & 1 or node == last:
            old_found = node_hash(sibling, old_found)
            new_found = node_hash(sibling, new_found)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            new_found = node_hash(new_found, sibling)
        node, last = node >> 1, last >> 1
    return last == 0 and old_found == old_root and new_found == new_root
