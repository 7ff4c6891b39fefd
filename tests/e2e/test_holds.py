"""An incident that must be kept: through the real process's page and the command line."""

import json

import httpx

from services.alerting.core.codes import code_of
from tests.support.chain import Chain
from tests.support.mails import link_in, wait_for_mails


async def test_a_hold_from_command_line_and_page(chain: Chain) -> None:
    pressed = await chain.press()
    (mail, *_) = await wait_for_mails(chain.sink, pressed, 2)
    code = code_of(pressed)
    assert code in mail.text()

    wrong = chain.rufkette("hold", "nope", "--reason", "Strafanzeige", "--by", "A. Muster")
    assert (wrong.returncode, wrong.stderr) == (
        1,
        "There is no incident “nope”, or no longer: four characters as in its mails, or its full id.\n",
    )
    blank = chain.rufkette("hold", code, "--reason", "  ", "--by", " ")
    assert (blank.returncode, blank.stderr) == (1, "Your name is missing.\nThe reason is missing.\n")
    assert chain.rufkette("holds").stdout == "no holds\n"
    placed = chain.rufkette("hold", code.lower(), "--reason", "Strafanzeige", "--by", "A. Muster")
    assert (placed.returncode, placed.stdout) == (0, f"incident {code} ({pressed}) is on hold\n"), placed.stderr
    again = chain.rufkette("hold", pressed, "--reason", "noch einmal", "--by", "A. Muster")
    assert (again.returncode, again.stderr) == (1, "Nothing changed: the incident is on hold already.\n")
    (held,) = json.loads(chain.rufkette("holds", "--format", "json").stdout)
    assert {key: held[key] for key in ("code", "incident_id", "site", "by", "reason")} == {
        "code": code, "incident_id": pressed, "site": "bernburg", "by": "A. Muster", "reason": "Strafanzeige"
    }  # fmt: skip
    assert chain.rufkette("holds").stdout.startswith(f"{code}  {pressed}  since 20")

    async with httpx.AsyncClient(base_url=chain.alerting.url, timeout=10, follow_redirects=True) as client:
        for page in (f"/incidents/{pressed}", link_in(mail)):
            assert "Löschsperre: Von diesem Vorgang wird vorerst nichts gelöscht." in (await client.get(page)).text
        assert "Strafanzeige" in (await client.get("/holds")).text
        fields = {"action": "end", "incident": pressed, "name": "B. Beispiel"}
        ended = await client.post("/holds", data=fields)
        assert (ended.status_code, "Die Löschsperre ist aufgehoben." in ended.text) == (200, True)
        for name in ("nothing", "reports/abc", "reports/2026?as_of=gestern"):
            missing = await client.get(f"/{name}")
            assert (missing.status_code, "gibt es nicht" in missing.text) == (404, True)
    over = chain.rufkette("end-hold", code, "--by", "A. Muster")
    assert (over.returncode, over.stderr) == (1, "Nothing changed: the incident is not on hold.\n")
    lines = chain.alerting.logs
    assert [line["event"] for line in lines if line["event"].startswith("hold.")] == ["hold.ended"]
    assert "Beispiel" not in json.dumps(lines, ensure_ascii=False)
