"""Files that hold a secret in plain text: read only where nobody else can, and made whole and once.

Owns the two acts. Leaves what is in the file, and which file it is, to whoever asks.
"""

import os
import stat
import tempfile
from pathlib import Path


class SecretFileRefused(Exception):
    """The file is there and must not, or cannot, be used; the message names it and says why."""


def is_open_to_others(path: Path) -> bool:
    """Tell whether anybody but the owner may do anything with the file. Raises OSError."""
    return bool(path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO))


def read(path: Path, *, is_production: bool) -> str:
    """Return the ASCII text of the file.

    Raises FileNotFoundError, and SecretFileRefused; in production also when others can read it.
    """
    try:
        if is_production and is_open_to_others(path):
            raise SecretFileRefused(f"{path} can be read by others; chmod 600 it")
        return path.read_text("ascii")
    except FileNotFoundError:
        raise
    except (OSError, UnicodeDecodeError) as error:
        raise SecretFileRefused(f"{path} cannot be read ({type(error).__name__})") from None


def write_once(path: Path, text: str) -> bool:
    """Make the file (mode 0600); False, and nothing is touched, where there is one.

    Safe to race: it appears whole, and once.
    """
    descriptor, whole = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(text)
        # A link, not a rename: it fails where another process was faster.
        os.link(whole, path)
    except FileExistsError:
        return False
    finally:
        Path(whole).unlink()
    return True
