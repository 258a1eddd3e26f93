"""One target, one round: throughput, latency at a fixed rate, memory."""

import json
import select
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from harness import machine, targets
from harness.check import complaints, upstream_counts
from harness.processes import Failed, core_seconds, cpu_seconds, memory_kib, run, tree

WRK_SCRIPT = Path(__file__).parent.parent / "wrk.lua"
WRK_CONNECTIONS = 64
RATE_PER_SECOND = 2000
RATE_CONNECTIONS = 16
RATE_WARM_SECONDS = 0.5
# For what compiles as it runs, and for pools to fill.
WARM_SECONDS = 2
SETTLE_SECONDS = 0.5
# Beyond what a step should take.
MARGIN_SECONDS = 30
IDLE_SECONDS = 60


@dataclass
class Bench:
    """What all measurements of a run share."""

    place: targets.Place
    keeper: object
    proxy_core: int
    load_core: int
    stub_pid: int
    seconds: int
    idle_connections: int


@dataclass
class Subject:
    """A target that runs: where it listens, and the processes that it is."""

    target: targets.Target
    port: int
    pids: list


def one_round(bench, target):
    """Starts the target, measures it, stops it; its figures."""
    if target.kind == "direct":
        return figures(bench, Subject(target, bench.place.upstream_port, []))
    process, port = targets.start(target, bench.place, bench.keeper, bench.proxy_core)
    try:
        time.sleep(SETTLE_SECONDS)
        return figures(bench, Subject(target, port, tree(process.pid)))
    finally:
        bench.keeper.stop(process)


def figures(bench, subject):
    """All that is measured of a running target."""
    found = idle_memory(subject)
    require_right_answers(bench, subject)
    wrk(bench, subject, min(bench.seconds, WARM_SECONDS))
    steal = machine.steal_seconds()
    found.update(throughput(bench, subject))
    found.update(fixed_rate(bench, subject))
    found["steal_s"] = machine.steal_seconds() - steal
    if subject.pids and bench.idle_connections:
        found.update(idle_connections(bench, subject))
    return found


def require_right_answers(bench, subject):
    """Failed when the target does not do the work."""
    wrong = complaints(subject.target, subject.port, bench.place.upstream_port)
    if wrong:
        raise Failed("; ".join(wrong))


def idle_memory(subject):
    """The memory of a target that has served nothing yet."""
    if not subject.pids:
        return {}
    return {f"idle_{measure.lower()}_mib": memory_kib(subject.pids, measure) / 1024 for measure in ("Rss", "Pss")}


def wrk(bench, subject, seconds):
    """As many calls as the target answers; wrk's figures."""
    command = ["wrk", "-t1", f"-c{WRK_CONNECTIONS}", f"-d{seconds}s", "-s", WRK_SCRIPT,
               f"http://127.0.0.1:{subject.port}/", "--", subject.target.call]
    output = run(command, bench.load_core, seconds + MARGIN_SECONDS)
    return json.loads(output.strip().splitlines()[-1])


class Meter:
    """Processor time and upstream calls from here to `stop`."""

    def __init__(self, bench, subject):
        self.bench, self.pids = bench, subject.pids or [bench.stub_pid]
        self.before = self.now()

    def now(self):
        """User and system seconds, and calls that the upstream has answered."""
        calls = upstream_counts(self.bench.place.upstream_port)["answered"]
        return *cpu_seconds(self.pids), calls

    def stop(self):
        """User and all processor seconds, and calls, since the start."""
        user, system, calls = (after - before for after, before in zip(self.now(), self.before))
        if calls <= 0:
            raise Failed("the upstream saw no call")
        return user, user + system, calls


def throughput(bench, subject):
    """Calls per second on one core, and what a call costs there. Of `direct`, what it costs the upstream."""
    worked = core_seconds(bench.proxy_core)
    meter = Meter(bench, subject)
    said = wrk(bench, subject, bench.seconds)
    user, cpu, calls = meter.stop()
    worked = core_seconds(bench.proxy_core) - worked
    seconds = said["microseconds"] / 1e6
    return {
        "calls_per_s": said["requests"] / seconds,
        "cpu_us": cpu * 1e6 / calls,
        "user_share": user / cpu if cpu else 0.0,
        "core_busy": cpu / seconds,
        "core_others": max(0.0, worked - (cpu if subject.pids else 0)) / seconds,
        "wrk_errors": said["errors"],
    }


def load_command(bench, mode, subject, **options):
    """The command of the load program."""
    pairs = {"port": subject.port, "call": subject.target.call, **options}
    words = [word for name, value in pairs.items() for word in (f"--{name}", value)]
    return [bench.place.tools / "load", mode, *words]


def fixed_rate(bench, subject):
    """Latency and cost while calls come by the clock."""
    command = load_command(bench, "rate", subject, rate=RATE_PER_SECOND, connections=RATE_CONNECTIONS,
                           seconds=bench.seconds, warm=RATE_WARM_SECONDS)
    meter = Meter(bench, subject)
    said = json.loads(run(command, bench.load_core, bench.seconds + MARGIN_SECONDS))
    _user, cpu, calls = meter.stop()
    return {
        "rate_cpu_us": cpu * 1e6 / calls,
        "p50_us": said["p50_us"],
        "p99_us": said["p99_us"],
        "rate_errors": said["wrong"] + said["closed"] + said["unanswered"],
        "first_wrong": said["first_wrong"],
    }


class Holder:
    """The program that holds idle connections to a target."""

    def __init__(self, bench, subject):
        command = load_command(bench, "idle", subject, connections=bench.idle_connections)
        self.keeper = bench.keeper
        self.process = self.keeper.start(command, bench.load_core, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        self.keeper.stop(self.process)

    def said(self):
        """What the program says when its step is done."""
        if not select.select([self.process.stdout], [], [], IDLE_SECONDS)[0]:
            raise Failed(f"the idle connections did not make their calls within {IDLE_SECONDS} s")
        line = self.process.stdout.readline()
        if not line:
            raise Failed("the idle connections could not be held")
        return json.loads(line)

    def go_on(self):
        """Lets it take its next step; what it says then."""
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()
        return self.said()


def idle_connections(bench, subject):
    """The memory of connections that stay open: after one call each, and after one on all at once."""
    before = memory_kib(subject.pids, "Pss")
    with Holder(bench, subject) as holder:
        errors = holder.said()["wrong"]
        one_each = settled_memory(subject)
        errors += holder.go_on()["wrong"]
        at_once = settled_memory(subject)
        errors += holder.go_on()["closed"]
    return {
        "idle_connection_kib": (one_each - before) / bench.idle_connections,
        "burst_connection_kib": (at_once - before) / bench.idle_connections,
        "idle_errors": errors,
    }


def settled_memory(subject):
    """The target's memory after it had a moment to tidy up."""
    time.sleep(SETTLE_SECONDS)
    return memory_kib(subject.pids, "Pss")
