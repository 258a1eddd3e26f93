"""The machine: its cores, what is installed on it, what it calls itself."""

import datetime
import os
import platform
import resource
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path

from harness.processes import TICKS_PER_SECOND, Failed

PACKAGES = ["nginx-light", "libnginx-mod-http-lua", "libnginx-mod-http-js", "lua-cjson", "haproxy", "wrk"]
INSTALL_SECONDS = 600
OPEN_FILES_WANTED = 20_000
START_POLICY = Path("/usr/sbin/policy-rc.d")


def cores():
    """The proxy's core and the one of the rest; not two halves of one core where there is a choice."""
    usable = sorted(os.sched_getaffinity(0))
    if len(usable) < 2:
        raise Failed("one core is not enough: the proxy has one for itself, upstream and clients another one")
    first = usable[0]
    apart = [core for core in usable[1:] if core not in siblings(first)]
    return first, (apart or usable[1:])[0]


def siblings(core):
    """The numbers of the threads of the core that this one is of."""
    path = Path(f"/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list")
    numbers = set()
    for part in path.read_text().strip().split(",") if path.exists() else []:
        low, _, high = part.partition("-")
        numbers.update(range(int(low), int(high or low) + 1))
    return numbers


def allow_open_files():
    """Raises the limit of open files as far as it may; the new limit."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES_WANTED if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES_WANTED)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted


def package_version(name):
    """The version of an installed Debian package, else none."""
    if not shutil.which("dpkg-query"):
        return None
    query = ["dpkg-query", "-W", "-f", "${db:Status-Status} ${Version}", name]
    done = subprocess.run(query, capture_output=True, text=True, timeout=30, check=False)
    state, _, version = done.stdout.partition(" ")
    return version if state == "installed" else None


def install_missing():
    """Installs the packages that are missing; those that are missing still."""
    missing = [name for name in PACKAGES if not package_version(name)]
    if missing and shutil.which("apt-get"):
        as_root = [] if os.geteuid() == 0 else ["sudo"]
        apt = [*as_root, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]
        with services_not_started(as_root):
            for step in (["update", "-q"], ["install", "-y", "-q", "--no-install-recommends", *missing]):
                subprocess.run([*apt, *step], timeout=INSTALL_SECONDS, check=False)
    return [name for name in missing if not package_version(name)]


@contextmanager
def services_not_started(as_root):
    """Meanwhile a package that is installed does not start its service, such as nginx on port 80."""
    if START_POLICY.exists():
        yield
        return
    subprocess.run([*as_root, "tee", START_POLICY], input="#!/bin/sh\nexit 101\n", text=True,
                   stdout=subprocess.DEVNULL, timeout=60, check=True)
    try:
        subprocess.run([*as_root, "chmod", "755", START_POLICY], timeout=60, check=True)
        yield
    finally:
        subprocess.run([*as_root, "rm", "-f", START_POLICY], timeout=60, check=True)


def description():
    """What this machine is, as label and text."""
    model = next((line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                  if line.startswith("model name")), platform.machine())
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "cpu": model,
        "cores": str(os.cpu_count()),
        "kernel": platform.release(),
        "system": system_name(),
    }


def system_name():
    """The distribution, by its own name."""
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError, AttributeError):
        return platform.system()


def steal_seconds():
    """Time that the hypervisor gave to others while somebody here wanted to run."""
    return int(Path("/proc/stat").read_text().split("\n", 1)[0].split()[8]) / TICKS_PER_SECOND


def first_line(command):
    """The first line that a command prints, or nothing."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except OSError:
        return ""
    return next(iter((done.stdout or done.stderr).splitlines()), "") if done.returncode == 0 else ""


def revision(root):
    """The commit that is checked out, and whether something differs from it."""
    return first_line(["git", "-C", str(root), "describe", "--always", "--dirty"]) or "unknown"


def versions(gateway, lock):
    """Of all that was measured and of what measured it."""
    found = {name: package_version(name) or "missing" for name in PACKAGES}
    locked = lock.read_text().split("[[package]]")
    for crate in ("hyper", "hyper-util", "tokio"):
        part = next(part for part in locked if f'name = "{crate}"\n' in part)
        found[crate] = part.split('version = "', 1)[1].split('"', 1)[0]
    found["latimer"] = first_line([str(gateway), "--version"])
    found["rustc"] = first_line(["rustc", "--version"])
    return found
