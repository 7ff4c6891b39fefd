"""What is said of an address on the phone, by both services."""

import pytest

from schemas.spoken_address import spoken_address


@pytest.mark.parametrize(
    ("address", "where", "entrance"),
    [
        ("Parkstraße, 06406 Bernburg; Eingang Hofseite", "Parkstraße, Bernburg", "Eingang Hofseite"),
        ("Musterweg 2, 39218 Schönebeck (Elbe)", "Musterweg 2, Schönebeck (Elbe)", ""),
        ("Musterplatz 3, D-39418 Staßfurt", "Musterplatz 3, Staßfurt", ""),
        ("Musterplatz 3, Staßfurt, 39418", "Musterplatz 3, Staßfurt", ""),
        ("39418 Staßfurt;Hof; Tor 12345", "Staßfurt", "Hof; Tor 12345"),
        ("Am Platz", "Am Platz", ""),
        (None, "", ""),
    ],
)
def test_no_postcode_and_the_entrance_apart(address: str | None, where: str, entrance: str) -> None:
    assert spoken_address(address) == (where, entrance)
