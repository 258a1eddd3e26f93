"""Processes of the comparison: started on a core, looked at in /proc, always stopped."""

import os
import random
import signal
import socket
import subprocess
import time
from pathlib import Path

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
STOP_SECONDS = 5
START_SECONDS = 15


class Failed(Exception):
    """Something that the comparison needs did not work; the text says what."""


class Keeper:
    """Owns every process that was started, and stops what is left when it is closed."""

    def __init__(self):
        self.running = []

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        for process in reversed(list(self.running)):
            self.stop(process)

    def start(self, command, core, log=None, env=None, **pipes):
        """Starts a command on one core."""
        pinned = pin(command, core)
        streams = {"stdout": log, "stderr": log, **pipes}
        environment = {**os.environ, **(env or {})}
        process = subprocess.Popen(pinned, env=environment, start_new_session=True, **streams)
        self.running.append(process)
        return process

    def stop(self, process):
        """Asks a process to end; makes it and its children end when it does not."""
        family = tree(process.pid)
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                for pid in family:
                    kill(pid)
                process.wait(STOP_SECONDS)
        for pipe in (process.stdin, process.stdout):
            if pipe:
                pipe.close()
        self.running.remove(process)


def pin(command, core):
    """The command on one core; it also ends when this script dies without a word."""
    return ["setpriv", "--pdeathsig", "TERM", "taskset", "-c", str(core), *map(str, command)]


def kill(pid):
    """Ends a process that may be gone already."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def run(command, core, seconds):
    """Runs a command on one core to its end; its output. Failed when that takes too long or fails."""
    try:
        done = subprocess.run(pin(command, core), capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        raise Failed(f"{Path(command[0]).name} did not end within {seconds:.0f} s") from None
    if done.returncode != 0:
        raise Failed(f"{Path(command[0]).name}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def free_port():
    """A port to listen on, outside of those that outgoing connections get."""
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    for _ in range(100):
        port = random.randrange(10_000, max(lowest, 11_000))
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise Failed("no free port was found on 127.0.0.1")


def wait_until_listening(process, port):
    """Returns when the port takes connections; Failed when the process ends or takes too long."""
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        if process.poll() is not None:
            raise Failed(f"ended at once with {process.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise Failed(f"did not listen within {START_SECONDS} s")


def stat(pid):
    """The fields of /proc/PID/stat behind the name; none when the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return None


def tree(pid):
    """A process and all that descend from it."""
    children = {}
    for entry in Path("/proc").iterdir():
        fields = stat(entry.name) if entry.name.isdigit() else None
        if fields:
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found, open_ends = [], [pid]
    while open_ends:
        parent = open_ends.pop()
        found.append(parent)
        open_ends += children.get(parent, [])
    return found


def cpu_seconds(pids):
    """User and system time that the processes have taken so far."""
    times = [(int(fields[11]), int(fields[12])) for fields in map(stat, pids) if fields]
    user, system = (sum(column) / TICKS_PER_SECOND for column in zip(*times))
    return user, system


def memory_kib(pids, measure):
    """`Rss` or `Pss` of the processes together. Shared pages count once in Pss, in Rss each time."""
    total = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith(f"{measure}:"):
                total += int(line.split()[1])
    return total


def core_seconds(core):
    """Time that a core has worked so far, for whomever; not what the hypervisor took from it."""
    lines = Path("/proc/stat").read_text().splitlines()
    user, nice, system, _idle, _iowait, irq, softirq = map(int, next(
        line for line in lines if line.startswith(f"cpu{core} ")).split()[1:8])
    return (user + nice + system + irq + softirq) / TICKS_PER_SECOND
