"""The tables. They state what was measured; they judge nothing."""

from statistics import median

# A proxy that takes less of its core than this was held up: by the load's core or by others.
BUSY_MIN = 0.95
# More work of others on the proxy's core than this makes a run doubtful.
OTHERS_MAX = 0.05

KINDS = {"direct": "–", "plain": "no", "translate": "yes"}

# The gateway as it was built, which the others are compared with.
OURS = ["latimer", "latimer_tuned"]

# What is compared: label, figure, peer, unit, decimals.
RATIOS = [
    ("CPU per call ÷ nginx plain", "cpu_us", "nginx_plain", "µs", 1),
    ("CPU per call ÷ nginx + Lua", "cpu_us", "nginx_lua", "µs", 1),
    ("CPU per call ÷ HAProxy plain", "cpu_us", "haproxy_plain", "µs", 1),
    ("CPU per call ÷ stock hyper", "cpu_us", "hyper_plain", "µs", 1),
    ("calls/s on one core ÷ nginx plain", "calls_per_s", "nginx_plain", "/s", 0),
    ("CPU per call at 2,000/s ÷ nginx plain", "rate_cpu_us", "nginx_plain", "µs", 1),
    ("p50 added at 2,000/s ÷ nginx plain", "added_p50_us", "nginx_plain", "µs", 0),
    ("idle RSS ÷ nginx plain", "idle_rss_mib", "nginx_plain", "MiB", 1),
    ("an idle connection ÷ nginx plain", "idle_connection_kib", "nginx_plain", "KiB", 1),
    ("the same after calls on all at once", "burst_connection_kib", "nginx_plain", "KiB", 1),
]


class Results:
    """Figures of all rounds, by target."""

    def __init__(self, rounds):
        self.rounds = [add_differences(figures) for figures in rounds]

    def values(self, target, figure):
        """A target's figure in each round that has it."""
        rows = (row.get(target, {}) for row in self.rounds)
        return [row[figure] for row in rows if figure in row]

    def median(self, target, figure):
        """The middle of the rounds; none where there is no figure."""
        values = self.values(target, figure)
        return median(values) if values else None

    def spread(self, target, figure):
        """Half of the range over the median."""
        values = self.values(target, figure)
        middle = median(values) if values else 0
        return (max(values) - min(values)) / 2 / abs(middle) if middle else 0.0

    def ratios(self, ours, figure, peer):
        """Our figure over the peer's, in each round that has both."""
        pairs = ((row.get(ours, {}).get(figure), row.get(peer, {}).get(figure)) for row in self.rounds)
        return [ours / theirs for ours, theirs in pairs if ours is not None and theirs and theirs > 0]


def add_differences(figures):
    """A round with what each target adds to the direct call's latency in that round."""
    direct = figures.get("direct", {})
    for row in figures.values():
        for share in ("p50_us", "p99_us"):
            if share in row and share in direct:
                row[f"added_{share}"] = row[share] - direct[share]
    return figures


def number(value, decimals=0, factor=1):
    """A figure as text; a dash where there is none."""
    return "–" if value is None else f"{value * factor:,.{decimals}f}"


def with_spread(results, target, figure, decimals=0):
    """A median, with its spread in percent where there are several rounds."""
    middle = number(results.median(target, figure), decimals)
    several = len(results.values(target, figure)) > 1
    return f"{middle} ±{results.spread(target, figure):.0%}" if several else middle


def row(cells):
    """A line of a table."""
    return "| " + " | ".join(cells) + " |"


def heading(titles):
    """The first two lines of a table: words to the left, figures to the right."""
    return [row(titles), "|---|" + "---:|" * (len(titles) - 1)]


def absolute_table(results, targets):
    """Every target with its figures."""
    titles = ["target", "translates", "calls/s on one core", "CPU µs per call", "of it user", "core busy",
              "CPU µs at 2,000/s", "p50 µs at 2,000/s", "p99 µs", "added p50", "added p99",
              "idle RSS MiB", "idle PSS MiB", "KiB per idle connection", "after calls on all at once", "errors"]
    return heading(titles) + [absolute_row(results, target) for target in targets]


def absolute_row(results, target):
    """One target's line."""
    name = target.name
    errors = (sum(results.values(name, figure)) for figure in ("wrk_errors", "rate_errors", "idle_errors"))
    own_cpu = target.kind != "direct"
    return row([
        name, KINDS[target.kind],
        with_spread(results, name, "calls_per_s"),
        with_spread(results, name, "cpu_us", 1) if own_cpu else "–",
        number(results.median(name, "user_share"), 0, 100) + " %" if own_cpu else "–",
        number(results.median(name, "core_busy"), 0, 100) + " %" if own_cpu else "–",
        with_spread(results, name, "rate_cpu_us", 1) if own_cpu else "–",
        with_spread(results, name, "p50_us"),
        number(results.median(name, "p99_us")),
        number(results.median(name, "added_p50_us")),
        number(results.median(name, "added_p99_us")),
        number(results.median(name, "idle_rss_mib"), 1),
        number(results.median(name, "idle_pss_mib"), 1),
        number(results.median(name, "idle_connection_kib"), 1),
        number(results.median(name, "burst_connection_kib"), 1),
        " + ".join(map(str, errors)),
    ])


def ratio_table(results, name):
    """One of ours beside the peers."""
    rows = [ratio_row(results, name, *ratio) for ratio in RATIOS if results.ratios(name, *ratio[1:3])]
    return heading(["figure", name, "peer", "ratio", "lowest and highest round"]) + rows


def ratio_row(results, name, label, figure, peer, unit, decimals):
    """Our median, the peer's, and what is between them, in all and in single rounds."""
    ours, theirs = (results.median(target, figure) for target in (name, peer))
    ratios = results.ratios(name, figure, peer)
    ratio = f"{ours / theirs:.2f}" if theirs > 0 else "–"
    return row([label, f"{number(ours, decimals)} {unit}", f"{number(theirs, decimals)} {unit}",
                ratio, f"{min(ratios):.2f} – {max(ratios):.2f}"])


def notes(results, targets, seconds):
    """What to know before the tables are believed."""
    said = [
        f"Medians of {len(results.rounds)} interleaved rounds of {seconds} s; ± is half of the range over the median. "
        "Compare figures of one run only.",
        "One core for the proxy, another one for upstream and load. Envoy and Caddy are not in Debian: not here.",
        "Errors: at full load + at the fixed rate + of idle connections. p99 is noisy on a shared machine.",
    ]
    slack = [target.name for target in targets
             if target.kind != "direct" and (results.median(target.name, "core_busy") or 1) < BUSY_MIN]
    if slack:
        said.append(f"Did not have its core full, held up by the load's core or by other work: {', '.join(slack)}.")
    upstream = results.median("direct", "cpu_us")
    if upstream:
        said.append(f"The upstream itself takes {upstream:.1f} µs a call, beside its clients on one core.")
    said.append(disturbance(results))
    return said


def disturbance(results):
    """What others took meanwhile."""
    rows = [figures for round_ in results.rounds for figures in round_.values()]
    others = [figures["core_others"] for figures in rows]
    doubt = ": run this on a quiet machine" if median(others) > OTHERS_MAX else ""
    return (f"Other work took {median(others):.0%} of the proxy's core (median), {max(others):.0%} at worst{doubt}. "
            f"The hypervisor took {sum(figures['steal_s'] for figures in rows):.1f} s in all.")


def text(results, targets, left_out, about, seconds):
    """The whole report."""
    lines = [f"- {label}: {value}" for label, value in about.items()]
    lines += ["", *absolute_table(results, targets), ""]
    for target in targets:
        if target.name in OURS:
            lines += [*ratio_table(results, target.name), ""]
    lines += [f"- {note}" for note in notes(results, targets, seconds)]
    lines += [f"- Left out: {name}: {why}" for name, why in left_out.items()]
    return "\n".join(lines)
