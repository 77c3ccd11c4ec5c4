"""A small factory of client documents."""

from typing import Any

from idp.agencies.document import ClientDocument, read


def members(**changes: Any) -> dict[str, Any]:
    """Return a valid client document; a change to None drops the member."""
    document: dict[str, Any] = {
        "client_id": "etax",
        "client_secret": "a-secret-for-the-sandbox",
        "agency": {"slug": "tax", "name": {"vi": "Cơ quan Thuế", "en": "Tax administration"}},
        "client_name": "Thuế điện tử",
        "client_name#en": "Personal e-tax",
        "redirect_uris": ["https://thue.example/callback"],
        "post_logout_redirect_uris": ["https://thue.example/signed-out"],
        "scope": "openid name",
        "basis": "legal",
        "legal_basis": {"vi": "Thông tư 86/2024/TT-BTC"},
        "purposes": {"name": {"vi": "Ghi đúng người nộp thuế", "en": "To find your file"}},
    }
    document.update(changes)
    return {name: value for name, value in document.items() if value is not None}


def document(*, is_sandbox: bool = True, source: str = "etax.json", **changes: Any) -> ClientDocument:
    """Return a valid client document, read."""
    return read(members(**changes), source=source, is_sandbox=is_sandbox)
