import pytest

from rota.api.rest.versions import etag, expected_version
from rota.domain.errors import DomainError


def test_an_etag_is_read_back_as_its_version() -> None:
    assert expected_version(etag(3)) == 3
    assert expected_version(' "3" ') == 3


def test_a_star_or_no_header_asks_for_any_version() -> None:
    assert expected_version("*") is None
    assert expected_version(None) is None


@pytest.mark.parametrize("header", ["3", 'W/"3"', '"0"', '"-1"', '"abc"', '"1", "2"', "", '"99999999999999999999"'])
def test_what_is_no_etag_of_ours_matches_nothing(header: str) -> None:
    with pytest.raises(DomainError) as refused:
        expected_version(header)
    assert refused.value.code == "VERSION_MISMATCH"
