"""The command `etl sandbox`: the four providers, simulated on loopback."""

import signal
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime

import click

from etl.runtime.signals import SIGNALS


@click.command(context_settings={"show_default": True})
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port on loopback; a free one by default.")
@click.option("--seed", type=int, default=1, help="The same seed gives the same calls.")
@click.option("--calls", type=click.IntRange(0, 1_000_000), default=400, help="Past calls per provider.")
@click.option("--days", type=click.FloatRange(0.01, 3650), default=30, help="How many days back they go.")
@click.option("--order", default="desc", help="desc (newest first), asc, unsorted or reshuffled.")
@click.option("--per-hour", type=click.FloatRange(0, 100_000), default=60, help="New calls per provider and hour.")
@click.option(
    "--fault",
    multiple=True,
    help="A fault to inject: G09, or H01:every=7 for every 7th request; `--fault list` lists them.",
)
def sandbox(port: int, seed: int, calls: int, days: float, order: str, per_hour: float, fault: Sequence[str]) -> None:
    """Simulate the four providers on loopback, with live traffic.

    Prints the environment variables that point to it, for another terminal. Ctrl-C stops it.

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
        faults = [parse_fault(text) for text in fault]
        world = World(seed, calls=calls, days=days, order=order, clock=lambda: datetime.now(UTC), per_hour=per_hour)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    try:
        served = Sandbox(world, faults, port=port)
    except OSError:
        raise click.BadParameter(f"port {port} is in use; omit --port for a free one") from None
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)
    with suppress(KeyboardInterrupt):
        for name, value in served.environment().items():
            click.echo(f"export {name}={value}")
        click.echo("# set these in another terminal, then run `etl sync` there; Ctrl-C stops the sandbox", err=True)
        served.serve_forever()


def _list_faults() -> None:
    from etl.sandbox.catalogue import CATALOGUE

    for name, entry in sorted(CATALOGUE.items()):
        click.echo(f"{name}  {entry.sentence} ({', '.join(entry.providers)})")
