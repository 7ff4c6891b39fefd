"""What happened, as people call it: the same words in every mail, whichever service writes it."""

from collections.abc import Mapping
from typing import Final

from schemas.configuration import Language
from schemas.events import Category

CATEGORY_WORDS: Final[Mapping[Language, Mapping[Category, str]]] = {
    "de": {
        Category.INSULT: "Beleidigung",
        Category.THREAT: "Bedrohung",
        Category.ASSAULT: "Körperliche Gewalt",
        Category.PROPERTY_DAMAGE: "Sachbeschädigung",
        Category.WEAPON: "Waffe",
        Category.BOMB_THREAT: "Bombendrohung",
        Category.SELF_HARM_THREAT: "Drohende Selbstverletzung",
        Category.HOUSE_RULES: "Verstoß gegen die Hausordnung",
        Category.OTHER: "Sonstiger Vorfall",
    },
    "en": {
        Category.INSULT: "Insult",
        Category.THREAT: "Threat",
        Category.ASSAULT: "Physical violence",
        Category.PROPERTY_DAMAGE: "Property damage",
        Category.WEAPON: "Weapon",
        Category.BOMB_THREAT: "Bomb threat",
        Category.SELF_HARM_THREAT: "Threat of self-harm",
        Category.HOUSE_RULES: "Breach of house rules",
        Category.OTHER: "Other incident",
    },
}
