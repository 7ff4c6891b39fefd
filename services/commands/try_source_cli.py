"""`rufkette try-source`: its options and exit codes. Modules are imported when it runs, as in cli.py."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from services.commands.exits import fail


def try_source(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A source of the configuration.")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The body of a message; - for standard input.")],
    config: Annotated[Path, typer.Option(envvar="RUFKETTE_CONFIG", help="The configuration.")],
    header: Annotated[
        list[str] | None, typer.Option(metavar="'NAME: VALUE'", help="A header of the message; repeatable.")
    ] = None,
    content_type: Annotated[str | None, typer.Option(help="Short for the header Content-Type.")] = None,
    method: Annotated[str, typer.Option(help="The HTTP method.")] = "POST",
    query: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="A parameter of the address; repeatable.")
    ] = None,
    rest: Annotated[str, typer.Option(help="What follows the source's name in the address.")] = "",
    topic: Annotated[
        str | None, typer.Option(help="The topic of a message to a source of type mqtt, instead of all of these.")
    ] = None,
    skip_signature: Annotated[bool, typer.Option("--skip-signature", help="Do not check the signature.")] = False,
    format: Annotated[str, typer.Option(help="text or json.")] = "text",  # noqa: A002 - the option's name
) -> None:
    """Show what a source's message would become, and why. Nothing is sent, and no service is needed.

    Exit codes: 0 an event, 1 refused (or mistakes in the configuration), 2 wrong options, 3 ignored.
    """
    from services.commands.try_source import Untried, as_json, as_text, message_from
    from services.commands.try_source import try_source as understand
    from services.common.configuration.file import ConfigurationError

    if format not in ("text", "json"):
        fail(f"--format {format}: expected text or json", 2)
    if topic is not None and (not topic or "+" in topic or "#" in topic):
        fail(f"--topic {topic}: write the topic of one message; + and # stand in filters only", 2)
    headers = _pairs(header, ":", "--header", "'Name: value'")
    parameters = _pairs(query, "=", "--query", "name=value")
    try:
        content = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        fail(f"cannot read {file}: {error.strerror}", 2)
    message = message_from(
        content,
        headers=headers,
        content_type=content_type,
        method=method,
        query=parameters,
        rest=rest,
        topic=topic,
    )
    try:
        tried = understand(name, config, message, skip_signature=skip_signature)
    except ConfigurationError as error:
        fail("\n".join(map(str, error.mistakes)), 1)
    except Untried as error:
        fail(str(error), 2)
    print(as_json(tried) if format == "json" else as_text(tried))
    raise typer.Exit(tried.exit_code)


def _pairs(given: list[str] | None, separator: str, option: str, example: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for one in given or ():
        key, found, value = one.partition(separator)
        if not found or not key.strip():
            fail(f"{option} {one}: write {example}", 2)
        pairs.setdefault(key.strip(), value.strip())
    return pairs
