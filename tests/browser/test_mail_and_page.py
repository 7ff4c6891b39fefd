"""Mails and pages as a person under stress meets them: on a phone, light or dark, by finger or keyboard."""

from datetime import timedelta
from pathlib import Path

import pytest
from selenium.common.exceptions import WebDriverException
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

from services.alerting.core.effects import Purpose
from services.alerting.core.incident import Incident, Status
from services.alerting.core.messages import compose
from tests.browser.conftest import PHONE, OpenBrowser, Serve
from tests.core.made_up import PRESSED_AT, after, notify, pressed
from tests.core.mails import CALL, FULL, TAKE, close
from tests.desk.in_memory import Desk

LONG = "Wortohneende" * 30
FINGER = 44
"""Pixels: what a finger hits."""

_CONTRAST = """
const channel = v => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
const light = ([r, g, b]) => .2126 * channel(r) + .7152 * channel(g) + .0722 * channel(b);
const numbers = text => text.match(/[\\d.]+/g).map(Number);
const behind = e => { for (; e; e = e.parentElement) {
  const c = numbers(getComputedStyle(e).backgroundColor); if (c.length < 4 || c[3] > 0) return c; }
  return [255, 255, 255]; };
const faint = [];
for (const e of document.body.querySelectorAll('*')) {
  const own = [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
  if (!own || !e.getClientRects().length) continue;
  const a = light(numbers(getComputedStyle(e).color)), b = light(behind(e));
  const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
  if (ratio < 4.5) faint.push(`${e.tagName} ${ratio.toFixed(1)}: ${e.textContent.trim().slice(0, 40)}`);
}
return faint;
"""


def incident(**report: object) -> Incident:
    return pressed(FULL, description=f"Kunde schreit.\n{LONG}", reported_by="C. Kollegin", warnings=("x",), **report)


def fits(browser: Chrome) -> None:
    wide = browser.execute_script("return document.documentElement.scrollWidth - window.innerWidth")
    assert wide <= 0, "the page scrolls sideways"
    assert browser.execute_script(_CONTRAST) == []


def dark_behind(browser: Chrome) -> bool:
    colour = browser.find_element(By.TAG_NAME, "body").value_of_css_property("background-color")
    red = int(colour.partition("(")[2].split(",")[0])
    return red < 64


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_mails_on_a_phone(open_browser: OpenBrowser, tmp_path: Path, dark: bool) -> None:
    browser = open_browser(dark=dark)
    for name, told in {
        "press": incident(),
        "worst": incident(danger_level=3),
        "harmless": incident(danger_level=0, kind="form"),
        "exercise": incident(mode="exercise"),
        "lost": incident(site=None, site_text=LONG[:200], location=LONG[:200]),
        "ended": after(incident(), TAKE, CALL, close(), given=FULL, at=PRESSED_AT),
    }.items():
        for purpose in (Purpose.ALARM, Purpose.TAKEN_OVER, Purpose.CLOSED, Purpose.JOINED):
            mail = notify(told, purpose, "site_management")
            file = tmp_path / f"{name}-{purpose}.html"
            file.write_text(compose(told, mail, FULL, now=PRESSED_AT, link="https://alarm.example.org/a/x").html)
            browser.get(file.as_uri())
            fits(browser)
            assert dark_behind(browser) is dark
            button = browser.find_element(By.TAG_NAME, "a")
            assert button.size["height"] >= FINGER
            if name == "press" and purpose is Purpose.ALARM:
                bottom = button.location["y"] + button.size["height"]
                assert bottom <= PHONE[1], "the button is not on the first screen"


@pytest.mark.parametrize("size", [PHONE, (320, 568), (1280, 900)], ids=["phone", "small phone", "desktop"])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_pages_at_every_size(open_browser: OpenBrowser, serve: Serve, size: tuple[int, int], dark: bool) -> None:
    desk = Desk(FULL, PRESSED_AT)
    told = (
        incident(),
        incident(mode="exercise", event_id="drill"),
        incident(site=None, location=LONG[:200], event_id="l"),
    )
    ended = after(incident(event_id="e"), TAKE, CALL, close(), given=FULL, at=PRESSED_AT)
    for one in (*told, ended):
        desk.incidents.add(one)
    address = serve(desk.app)
    browser = open_browser(dark=dark, size=size)
    for path in (*(desk.link(one) for one in (*told, ended)), "/", "/incidents/press-1", "/a/nonsense"):
        browser.get(address + path)
        fits(browser)
        assert dark_behind(browser) is dark
        for closed in browser.find_elements(By.TAG_NAME, "summary"):
            closed.click()
        fits(browser)
        for target in browser.find_elements(By.CSS_SELECTOR, "button, .choice, summary, .row"):
            if target.is_displayed():
                assert target.size["height"] >= FINGER, target.text


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_joining_and_splitting_with_fingers(open_browser: OpenBrowser, serve: Serve, dark: bool) -> None:
    desk = Desk(FULL, PRESSED_AT + timedelta(minutes=4))
    room, corridor = incident(), incident(event_id="corridor", location=LONG[:200])
    for told in (room, corridor):
        desk.incidents.add(told)
    address, link = serve(desk.app), desk.link(room, "leitung.bernburg@example.org")
    browser = open_browser(dark=dark)
    browser.get(address + link)
    form = opened(browser, "join")
    form.find_element(By.CSS_SELECTOR, "input[name=into]").click()
    form.find_element(By.NAME, "reason").send_keys("dieselbe Person")
    form.find_element(By.NAME, "name").send_keys("D. Dritte")
    fits(browser)
    form.find_element(By.CSS_SELECTOR, "button[value=join]").click()
    says(browser, "Der Vorgang aus Ihrer Mail (Zimmer 112")
    fits(browser)
    assert desk.incidents.known["press-1"].joined is not None
    opened(browser, "split").find_element(By.CSS_SELECTOR, "button[value=split]").click()
    says(browser, "Bitte mindestens eine Meldung auswählen.")
    form = browser.find_element(By.XPATH, "//form[.//button[@value='split']]")
    form.find_element(By.CSS_SELECTOR, "input[name=reports]").click()
    form.find_element(By.NAME, "reason").send_keys("doch zwei Personen")
    form.find_element(By.NAME, "name").send_keys("D. Dritte")
    fits(browser)
    for target in form.find_elements(By.CSS_SELECTOR, "button, .choice"):
        assert target.size["height"] >= FINGER
    form.find_element(By.CSS_SELECTOR, "button[value=split]").click()
    WebDriverWait(browser, 10).until(lambda _: desk.incidents.known["press-1"].joined is None)
    for path in ("/incidents/press-1", "/incidents/corridor", "/"):
        browser.get(address + path)
        fits(browser)


def opened(browser: Chrome, action: str) -> WebElement:
    """The form of an action, unfolded by its heading."""
    form = browser.find_element(By.XPATH, f"//form[.//button[@value='{action}']]")
    form.find_element(By.XPATH, "./ancestor::details/summary").click()
    return form


def says(browser: Chrome, text: str) -> None:
    # While the old page gives way to the new one, chromedriver answers with whatever it stumbles over.
    WebDriverWait(browser, 10, ignored_exceptions=[WebDriverException]).until(
        lambda b: text in b.find_element(By.TAG_NAME, "main").text
    )


def test_taking_over_and_closing_with_fingers(open_browser: OpenBrowser, serve: Serve) -> None:
    desk = Desk(FULL, PRESSED_AT + timedelta(minutes=4))
    told = incident()
    desk.incidents.add(told)
    browser = open_browser()
    browser.get(serve(desk.app) + desk.link(told, "leitung.bernburg@example.org"))
    take = browser.find_element(By.CSS_SELECTOR, "button[value=acknowledge]")
    assert take.location["y"] + take.size["height"] <= PHONE[1], "the button is not on the first screen"
    take.click()
    says(browser, "Ihr Name fehlt.")
    browser.find_element(By.CSS_SELECTOR, ".choice").click()
    browser.find_element(By.CSS_SELECTOR, "button[value=acknowledge]").click()
    says(browser, "Sie haben übernommen, 09:16 Uhr (A. Muster).")
    assert not browser.find_elements(By.CSS_SELECTOR, "button[value=acknowledge]")
    browser.refresh()
    says(browser, "Sie haben übernommen")
    assert len(desk.incidents.clicks) == 1, "a reload repeats nothing"
    next(s for s in browser.find_elements(By.TAG_NAME, "summary") if s.text == "Vorgang beenden").click()
    form = browser.find_element(By.XPATH, "//form[.//button[@value='close']]")
    form.find_element(By.CSS_SELECTOR, "input[value=false_alarm]").click()
    form.find_element(By.NAME, "name").send_keys("D. Dritte")
    form.find_element(By.CSS_SELECTOR, "button[value=close]").click()
    says(browser, "Der Vorgang ist beendet, 09:16 Uhr (D. Dritte).")
    assert desk.incidents.known[told.id].status is Status.CLOSED
    errors = [entry["message"] for entry in browser.get_log("browser") if "favicon" not in entry["message"]]  # type: ignore[no-untyped-call]
    assert [message for message in errors if "422" not in message] == []


def test_taking_over_by_keyboard(open_browser: OpenBrowser, serve: Serve) -> None:
    desk = Desk(FULL, PRESSED_AT)
    told = incident()
    desk.incidents.add(told)
    browser = open_browser(size=(1280, 900))
    browser.get(serve(desk.app) + desk.link(told))
    for _ in range(10):
        browser.switch_to.active_element.send_keys(Keys.TAB)
        if browser.switch_to.active_element.get_attribute("name") == "name":
            break
    browser.switch_to.active_element.send_keys("B. Beispiel", Keys.ENTER)
    says(browser, "Sie haben übernommen, 09:12 Uhr (B. Beispiel).")
