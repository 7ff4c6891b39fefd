from email import message_from_bytes, policy
from email.message import EmailMessage

from hypothesis import example, given
from hypothesis import strategies as st

from services.alerting.mailing.mime import build
from services.common.mail.wire import END, OnTheWire, as_data

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)


def parse(raw: OnTheWire) -> EmailMessage:
    whole = raw.removesuffix(END)
    assert as_data(whole) == raw, "it is in the form in which it follows DATA"
    message = message_from_bytes(whole, policy=policy.default)
    assert isinstance(message, EmailMessage)
    return message


@given(subject=TEXT, text=TEXT, html=TEXT.filter(bool))
@example(subject="ÜBERNOMMEN Zi. 112 Bernburg · Bedrohung · 110" * 4, text="ä" * 5000, html="<p>€</p>")
@example(subject="a\r\nBcc: x@example.org", text=".\r\n.\r\n", html="--rufkette-1--")
def test_what_is_written_can_be_read_by_the_standard_library(subject: str, text: str, html: str) -> None:
    raw = build({"From": "r@example.org", "X-Rufkette-Incident": subject}, subject, text, html, "rufkette-1")
    message = parse(raw)
    assert sorted(message.keys()) == ["Content-Type", "From", "MIME-Version", "Subject", "X-Rufkette-Incident"]
    plain, other = message.iter_parts()
    assert isinstance(plain, EmailMessage)
    assert isinstance(other, EmailMessage)
    assert plain.get_payload(decode=True) == text.encode()
    assert (plain.get_content_type(), other.get_content_type()) == ("text/plain", "text/html")
    assert other.get_payload(decode=True) == html.encode()
    assert max(len(line) for line in raw.split(b"\r\n")) <= 998


def test_a_subject_with_umlauts_arrives_as_it_was_written() -> None:
    subject = "ÜBERNOMMEN Zi. 112 Bernburg · Körperliche Gewalt · 110"
    assert parse(build({}, subject, "", "", "rufkette-1"))["Subject"] == subject


@given(st.text(st.characters(exclude_categories=["Cs", "C", "Z"]), min_size=1, max_size=300))
@example("🚨" * 90)
@example("x" * 60 + "ü" + "y" * 200)
def test_encoded_words_keep_to_their_lines_and_tear_no_character(subject: str) -> None:
    raw = build({}, subject, "", "", "rufkette-1")
    assert parse(raw)["Subject"] == subject
    if not subject.isascii():
        lines = raw.split(b"\r\nMIME-Version", 1)[0].split(b"\r\n")
        assert max(map(len, lines)) <= 76
        assert all(line.decode().isprintable() for line in lines)


@given(subject=TEXT, text=TEXT)
def test_a_plain_mail_has_one_part(subject: str, text: str) -> None:
    message = parse(build({"From": "r@example.org"}, subject, text, "", "rufkette-1"))
    assert message.get_content_type() == "text/plain"
    assert message.get_payload(decode=True) == text.encode()
