"""The API's world, shared with its integration tests."""

from tests.integration.api.conftest import empty_world, furnished_world

__all__ = ["empty_world", "furnished_world"]
