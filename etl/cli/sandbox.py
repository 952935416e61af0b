"""The command `etl sandbox`: the four providers on loopback, for trying things out."""

import signal
from contextlib import suppress
from datetime import UTC, datetime
from typing import Annotated

import typer


def sandbox(
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port on loopback; any free one by default.")] = 0,
    seed: Annotated[int, typer.Option(help="The same seed makes the same world.")] = 1,
    calls: Annotated[int, typer.Option(min=0, max=1_000_000, help="Calls per provider in the past.")] = 400,
    days: Annotated[float, typer.Option(min=0.01, max=3650, help="How many days back they reach.")] = 30,
    order: Annotated[str, typer.Option(help="newest, oldest, unsorted or reshuffled.")] = "newest",
    per_hour: Annotated[
        float, typer.Option(min=0, max=100_000, help="New calls per provider and hour from now on.")
    ] = 60,
    fault: Annotated[
        list[str] | None, typer.Option(help="A fault to switch on, such as G09 or H01:every=7; `--fault list` lists.")
    ] = None,
) -> None:
    """Serve the four providers on loopback, with live traffic.

    Prints the variables that lead there, for another terminal; Ctrl-C ends it.

    \b
    Example:  etl sandbox --per-hour 600 --fault H01:every=7
    Next:     in another terminal, `export` what it printed and run `etl sync`
    """
    from etl.sandbox.faults import parse_fault
    from etl.sandbox.server import Sandbox
    from etl.sandbox.world import World

    if fault == ["list"]:
        _list_faults()
        return
    try:
        faults = [parse_fault(each) for each in fault or ()]
        world = World(seed, calls=calls, days=days, order=order, clock=lambda: datetime.now(UTC), per_hour=per_hour)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    try:
        served = Sandbox(world, faults, port=port)
    except OSError:
        raise typer.BadParameter(f"port {port} is taken; leave --port out for a free one") from None
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt):
        for name, value in served.environment().items():
            typer.echo(f"export {name}={value}")
        typer.echo("# for another terminal, where `etl sync` then reads from here; Ctrl-C ends it", err=True)
        served.serve_forever()


def _list_faults() -> None:
    from etl.sandbox.faults import FAULTS

    for name, (sentence, providers) in sorted(FAULTS.items()):
        typer.echo(f"{name}  {sentence} ({', '.join(providers)})")
