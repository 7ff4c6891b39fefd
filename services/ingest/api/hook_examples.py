"""Messages of third parties for the API page, as their systems send them to `POST /v1/hooks/{source}`."""

from typing import Any, Final

HOOK_EXAMPLES: Final[dict[str, dict[str, Any]]] = {
    "ttn": {
        "summary": "The Things Stack v3: a Milesight WS101, short press",
        "value": {
            "end_device_ids": {"device_id": "knopf-112", "dev_eui": "A81758FFFE030001"},
            "uplink_message": {
                "session_key_id": "AYx5n0k1Qm2s8Jw0a1b2cw==",
                "f_port": 85,
                "f_cnt": 41,
                "frm_payload": "/y4B",
                "decoded_payload": {"button": "short"},
            },
        },
    },
    "chirpstack": {
        "summary": "ChirpStack v4 (?event=up): a Milesight WS101, long press with the battery's charge",
        "value": {
            "deduplicationId": "0d9e6c2a-1f4b-4c57-8a3e-5b6d7c8e9f01",
            "deviceInfo": {"deviceName": "knopf-114", "devEui": "a81758fffe030003"},
            "fCnt": 41,
            "fPort": 85,
            "data": "AXUQ/y4C",
            "object": {"battery": 16, "button_event": {"status": "long press"}},
        },
    },
    "flic": {
        "summary": "Flic: a token that Flic signed, with ?secret=… in the address",
        "value": {"token": "eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCJ9.eyJjbGlja1R5cGUiOiJjbGljayJ9.c2lnbmF0dXJl"},
    },
    "standard-webhooks": {
        "summary": "Standard Webhooks (Formbricks): a finished response; signed in its headers",
        "value": {"event": "responseFinished", "data": {"site": "bernburg", "danger_level": 1, "category": "insult"}},
    },
    "form": {
        "summary": "A form, by the names of its own fields (type: form)",
        "value": {"standort": "Standort Bernburg", "raum": "Zimmer 112", "art": "Bedrohung", "beschreibung": "…"},
    },
}
"""By the source's `type`."""
