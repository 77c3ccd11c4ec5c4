"""User codes: short enough to read from one screen and type on another (RFC 8628, 6.1)."""

import secrets
import unicodedata

from idp.core.keyring import Keyring, Purpose

# No vowels, so that no code is a word; 20 ** 8 codes, 34 bits.
ALPHABET = "BCDFGHJKLMNPQRSTVWXZ"
LENGTH = 8
_HALF = LENGTH // 2
LONGEST_TYPED = 40
# What eyes and fingers make of the letters above. Vietnamese keyboards (Telex) turn W into a vowel of their own.
_MEANT = str.maketrans(
    {"0": "Q", "O": "Q", "1": "L", "I": "L", "|": "L", "2": "Z", "5": "S", "6": "G", "8": "B", "U": "V", "Ư": "W"}
)


def new_user_code() -> str:
    """Return a random user code without its dash."""
    return "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))


def display(code: str) -> str:
    """Return a user code as it is shown, XXXX-XXXX."""
    return f"{code[:_HALF]}-{code[_HALF:]}"


def read(typed: str) -> str | None:
    """Return the user code somebody meant by what they typed, or None if it cannot be one.

    Case, blanks and dashes do not matter, and signs that only look like a letter count as that letter.
    """
    if len(typed) > LONGEST_TYPED:
        return None
    text = unicodedata.normalize("NFC", unicodedata.normalize("NFKC", typed).upper())
    kept = "".join(sign for sign in text if sign.isalnum() or sign == "|").translate(_MEANT)
    # Telex makes one letter of a D typed twice.
    for code in (kept.replace("Đ", "DD"), kept.replace("Đ", "D")):
        if len(code) == LENGTH and set(code) <= set(ALPHABET):
            return code
    return None


def index(code: str, *, keyring: Keyring, use: str = "user", key_id: str | None = None) -> bytes:
    """Return the only form of a user code that is searched for: with 34 bits a plain hash could be tried out.

    `use` keeps the codes of different things apart: one shown for this opens nothing there.
    """
    return keyring.hmac(Purpose.FORM, f"{use} code {code}".encode(), key_id=key_id)


def every_index(code: str, *, keyring: Keyring, use: str = "user") -> list[bytes]:
    """Return that form under every key still in the keyring."""
    return [index(code, keyring=keyring, use=use, key_id=key_id) for key_id in keyring.key_ids(Purpose.FORM)]
