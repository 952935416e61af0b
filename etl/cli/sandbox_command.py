"""The command `etl sandbox`: the four providers on loopback, for trying things out."""

import signal
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime

import click


@click.command(context_settings={"show_default": True})
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="The port on loopback; any free one by default.")
@click.option("--seed", type=int, default=1, help="The same seed makes the same world.")
@click.option("--calls", type=click.IntRange(0, 1_000_000), default=400, help="Calls per provider in the past.")
@click.option("--days", type=click.FloatRange(0.01, 3650), default=30, help="How many days back they reach.")
@click.option("--order", default="desc", help="desc (newest first), asc, unsorted or reshuffled.")
@click.option(
    "--per-hour", type=click.FloatRange(0, 100_000), default=60, help="New calls per provider and hour from now on."
)
@click.option("--fault", multiple=True, help="A fault to switch on, such as G09 or H01:every=7; `--fault list` lists.")
def sandbox(port: int, seed: int, calls: int, days: float, order: str, per_hour: float, fault: Sequence[str]) -> None:
    """Serve the four providers on loopback, with live traffic.

    Prints the variables that lead there, for another terminal; Ctrl-C ends it.

    \b
    Example:  etl sandbox --per-hour 600 --fault H01:every=7
    Next:     in another terminal, `export` what it printed and run `etl sync`
    """
    from etl.sandbox.faults import parse_fault
    from etl.sandbox.socket_server import Sandbox
    from etl.sandbox.world import World

    if fault == ("list",):
        _list_faults()
        return
    try:
        faults = [parse_fault(each) for each in fault]
        world = World(seed, calls=calls, days=days, order=order, clock=lambda: datetime.now(UTC), per_hour=per_hour)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    try:
        served = Sandbox(world, faults, port=port)
    except OSError:
        raise click.BadParameter(f"port {port} is taken; leave --port out for a free one") from None
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt):
        for name, value in served.environment().items():
            click.echo(f"export {name}={value}")
        click.echo("# for another terminal, where `etl sync` then reads from here; Ctrl-C ends it", err=True)
        served.serve_forever()


def _list_faults() -> None:
    from etl.sandbox.catalogue import CATALOGUE

    for name, entry in sorted(CATALOGUE.items()):
        click.echo(f"{name}  {entry.sentence} ({', '.join(entry.providers)})")
