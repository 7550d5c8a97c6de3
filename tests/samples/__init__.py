"""Documents such as tools write them, made for the tests."""

import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def sbom() -> dict[str, Any]:
    """A CycloneDX document: seven components, one nested, and a dependency on something that is not in it."""
    document: dict[str, Any] = json.loads((HERE / "shop.cdx.json").read_text())
    return document


def advisories() -> list[dict[str, Any]]:
    """Four advisories, three of which concern the document."""
    listed: list[dict[str, Any]] = json.loads((HERE / "advisories.json").read_text())
    return listed
