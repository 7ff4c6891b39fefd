"""How a form's fields become a report: parts of the sources `form` and `standard-webhooks`."""

from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, StrictBool, StrictInt, model_validator

from schemas.configuration_values import Line, Model

Target = Literal[
    "id", "site", "location", "device_id", "danger_level", "category", "description", "reported_by", "acute", "police",
    "reference", "mode", "occurred_at",
]  # fmt: skip
"""The fields of a report that a form can fill; `kind` is the source's."""
Value = StrictBool | StrictInt | Line


def plain(text: str) -> str:
    """As names and answers are compared: without regard to case and outer space."""
    return " ".join(text.split()).casefold()


class Mapped(Model):
    """Where one field of the report comes from; in YAML also the form field's name alone.

    `field`: a form field's name, key or label, or a JMESPath expression; none for what is always the `default`.
    `values` is compared without regard to case and outer space. `default` counts where the form says nothing.
    """

    field: Annotated[str, Field(max_length=500)] = ""
    values: dict[str, Value] = {}
    default: Value | None = None
    required: bool = False

    @cached_property
    def table(self) -> dict[str, Value]:
        """The value table as answers are compared with it."""
        return {plain(key): value for key, value in self.values.items()}

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: Any) -> Any:
        return {"field": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _from_somewhere(self) -> "Mapped":
        if not self.field and (self.default is None or self.values or self.required):
            raise ValueError("has no `field`; write the form field's name, or only a `default`")
        return self


Map = dict[Target, Mapped]


class Signature(Model):
    """An HMAC over the raw body in a header: `prefix` and the digest, in hexadecimal or base64."""

    header: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,100}$")]
    algorithm: Literal["sha1", "sha256", "sha384", "sha512"] = "sha256"
    encoding: Literal["hex", "base64"] = "hex"
    prefix: str = ""
    secret_file: Path


class Preset(Model):
    """What is known of a form system: how it signs, which of its messages are reports, and where its fields stand."""

    header: str
    prefix: str = ""
    only: str
    id: str
    """Unique for each submission, also when it is delivered again."""
    fields: tuple[str, ...]


PRESETS: dict[str, Preset] = {
    "typeform": Preset(
        header="typeform-signature",
        prefix="sha256=",
        only="event_type == 'form_response'",
        id="form_response.token",
        fields=("form_response.answers", "form_response.hidden"),
    ),
    "tally": Preset(
        header="tally-signature",
        only="eventType == 'FORM_RESPONSE'",
        id="eventId",
        fields=("data.fields",),
    ),
}


class Mapping(Model):
    """What `form` and `standard-webhooks` share.

    `only`: a JMESPath condition; messages that do not meet it are ignored. `fields`: a JMESPath expression for where
    in the JSON the form's own fields stand. `ignore`: names of fields that nobody needs to read; `*` at the end stands
    for any ending.
    """

    only: Line | None = None
    fields: Line | None = None
    ignore: tuple[Line, ...] = ()
