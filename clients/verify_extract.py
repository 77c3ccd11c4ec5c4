"""Check an extract of LienKet's audit trail on any machine: `python verify_extract.py KEY EXTRACT.json`.

KEY is the public key the operator publishes (`NAME+ID+KEY`), EXTRACT.json what `idp audit extract` or `idp audit prove`
printed. Needs Python 3.11 and the package `cryptography`, and nothing of LienKet. Prints each event that is proven;
exit status 1 when anything does not fit. What it cannot know is whether events were left out of the extract.
"""

import base64
import hashlib
import json
import sys
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def checkpoint_of(note: str, verifier: str) -> tuple[int, bytes]:
    """Return size and root of a checkpoint signed by `verifier` (C2SP signed-note). Raises ValueError."""
    name, key_id, encoded = verifier.strip().split("+", 2)
    raw = base64.b64decode(encoded, validate=True)
    if raw[:1] != b"\x01" or hashlib.sha256(name.encode() + b"\n" + raw).hexdigest()[:8] != key_id:
        raise ValueError("the key does not fit its own id")
    text, _, signatures = note.partition("\n\n")
    text += "\n"
    for line in signatures.splitlines():
        dash, signer, signature = (*line.split(" "), "", "")[:3]
        blob = base64.b64decode(signature)
        if dash == "\u2014" and signer == name and blob[:4].hex() == key_id:
            try:
                Ed25519PublicKey.from_public_bytes(raw[1:]).verify(blob[4:], text.encode())
            except InvalidSignature:
                raise ValueError("the signature of the checkpoint does not hold") from None
            origin, size, root = text.splitlines()[:3]
            if origin != name:
                raise ValueError("the checkpoint is of another trail")
            return int(size), base64.b64decode(root)
    raise ValueError("the checkpoint is not signed by this key")


def root_of(leaf: bytes, index: int, size: int, proof: list[bytes]) -> bytes:
    """Return the root to which `proof` leads from the leaf at `index` (RFC 9162, 2.1.3.2). Raises ValueError."""
    if not 0 <= index < size:
        raise ValueError("the number is not in the trail")
    found, last = hashlib.sha256(b"\x00" + leaf).digest(), size - 1
    for step in proof:
        if last == 0:
            raise ValueError("the proof is too long")
        if index & 1 or index == last:
            found = hashlib.sha256(b"\x01" + step + found).digest()
            while not index & 1 and index:
                index, last = index >> 1, last >> 1
        else:
            found = hashlib.sha256(b"\x01" + found + step).digest()
        index, last = index >> 1, last >> 1
    if last:
        raise ValueError("the proof is too short")
    return found


def check(extract: dict, verifier: str) -> list[dict]:
    """Return the proven events of an extract. Raises ValueError for the first that is not."""
    size, root = checkpoint_of(extract["checkpoint"], verifier)
    proven = []
    for event in extract["events"]:
        seq, leaf = event["seq"], event["leaf"].encode()
        proof = [base64.b64decode(step) for step in event["proof"]]
        if json.loads(leaf)["seq"] != seq or root_of(leaf, seq, size, proof) != root:
            raise ValueError(f"event {seq} is not in the trail as it stands here")
        proven.append(json.loads(leaf))
    return proven


def main() -> int:
    """Check the file the command line names."""
    if len(sys.argv) != 3:  # noqa: PLR2004
        print(__doc__, file=sys.stderr)
        return 2
    try:
        events = check(json.loads(Path(sys.argv[2]).read_text("utf-8")), sys.argv[1])
    except (ValueError, KeyError, TypeError, OSError) as error:
        print(f"NOT PROVEN: {error}", file=sys.stderr)
        return 1
    for event in events:
        print(event["seq"], event["at"], event["name"], event["outcome"], sep="\t")
    print(f"{len(events)} events, all in the signed trail", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
