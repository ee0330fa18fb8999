"""Keys of the tests: the same in every run, known to everybody, trusted by test boards alone.

`KEY` lies in the key folder of every test run (tests/conftest.py), so that firmware is built once.
"""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge_runtime.wire.keys import SigningKey

KEY = SigningKey(Ed25519PrivateKey.from_private_bytes(b"the key of the tests".ljust(32)))
# Host boards trust this one too.
OTHER_KEY = SigningKey(Ed25519PrivateKey.from_private_bytes(b"another trusted key".ljust(32)))
STRANGER = SigningKey(Ed25519PrivateKey.from_private_bytes(b"a key that nobody trusts".ljust(32)))
