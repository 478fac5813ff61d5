#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Drives the benchmarks: starts what is measured and what it is held against, several runs of each
in turn, and prints medians and ratios. Everything runs on 127.0.0.1 and is stopped by process id."""

import contextlib
import json
import math
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

import reload

BIN = pathlib.Path("build/bin")
START = "2026-03-10T00:00:00+08:00"
START_MS = 1773072000000
ROUNDS = 5


def say(text):
    print(text, flush=True)


@contextlib.contextmanager
def process(command, **options):
    child = subprocess.Popen(command, **options)
    try:
        yield child
    finally:
        child.send_signal(signal.SIGTERM)
        try:
            child.wait(30)
        except subprocess.TimeoutExpired:
            child.kill()


@contextlib.contextmanager
def fulcrum(project="examples/shop"):
    """A server on a project and an empty data directory; yields its port and directory."""
    data = tempfile.mkdtemp(prefix="fulcrum-bench-")
    url_file = pathlib.Path(data) / "server.url"
    command = [BIN / "fulcrum", "serve", "--project", project, "--data", data,
               "--listen", "127.0.0.1:0", "--simulated-clock", START]
    try:
        with process(command, stderr=subprocess.DEVNULL):
            for _ in range(200):
                if url_file.exists() and url_file.read_text().endswith("\n"):
                    break
                time.sleep(0.05)
            yield int(url_file.read_text().rsplit(":", 1)[1]), data
    finally:
        shutil.rmtree(data, ignore_errors=True)


@contextlib.contextmanager
def go_server():
    """Go's net/http with the same OFREP bodies, evaluating nothing; yields its port."""
    go = next((g for g in ("/usr/lib/go-1.19/bin/go", shutil.which("go")) if g and os.path.exists(g)),
              None)
    if go is None:
        raise SystemExit("error: Go is not installed; run script/deps bench.")
    binary = pathlib.Path("build/bench-go-server")
    subprocess.run([go, "build", "-o", str(binary.resolve()), "main.go"], cwd="bench/http/go",
                   env={**os.environ, "GO111MODULE": "off"}, check=True)
    with process([binary], stdout=subprocess.PIPE, text=True) as child:
        yield int(child.stdout.readline())


def load(port, **options):
    command = [BIN / "http_load", "--port", str(port)]
    for name, value in options.items():
        command += ["--" + name.replace("_", "-"), str(value)]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def median(runs, field):
    return statistics.median(run[field] for run in runs)


def bench_decide():
    say("== decide: against a hash-map lookup, two compiled conditions and XXH3 written by hand")
    subprocess.run([BIN / "decide_bench", "--benchmark_repetitions=5",
                    "--benchmark_report_aggregates_only=true",
                    "--benchmark_enable_random_interleaving=true"], check=True)


def bench_ofrep():
    say("== ofrep: single evaluation over keep-alive, against Go net/http that evaluates nothing")
    with fulcrum() as (ours, _), go_server() as theirs:
        for connections in (16, 64, 256):
            mine, yardstick = [], []
            for _ in range(ROUNDS):
                mine.append(load(ours, connections=connections, seconds=3))
                yardstick.append(load(theirs, connections=connections, seconds=3))
            a, b = median(mine, "per_second"), median(yardstick, "per_second")
            say(f"{connections:4d} connections: fulcrum {a:8.0f}/s p99 {median(mine, 'p99_ms'):6.2f} ms"
                f" starved {max(r['starved'] for r in mine)} | Go {b:8.0f}/s"
                f" p99 {median(yardstick, 'p99_ms'):6.2f} ms | ratio {a / b:.2f}")


def metric(port, name):
    text = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics").read().decode()
    values = [float(line.rsplit(" ", 1)[1]) for line in text.splitlines()
              if line.startswith(name + " ") or line.startswith(name + "{")]
    return sum(values) if values else None


def ask_reports(port, stop, asked):
    url = f"http://127.0.0.1:{port}/v1/experiments/one-page-checkout/report?format=json"
    while not stop.wait(5):
        with contextlib.suppress(OSError):
            begin = time.monotonic()
            urllib.request.urlopen(url, timeout=60).read()
            asked.append(time.monotonic() - begin)


def bench_ingest(seconds=60):
    say(f"== ingest: events durable over HTTP, batches of 1,000 from 8 clients for {seconds} s,"
        " reports asked every 5 s")
    # 38 ms between a client's batches offers 210,000 events a second; 0 is as fast as it answers.
    for pace_ms in (38, 0):
        ingest_once(seconds, pace_ms)


def ingest_once(seconds, pace_ms):
    with fulcrum() as (port, data):
        stop, asked = threading.Event(), []
        backlog = []
        asker = threading.Thread(target=ask_reports, args=(port, stop, asked))

        def watch():
            while not stop.wait(1):
                backlog.append(metric(port, "fulcrum_inbox_backlog_batches") or 0)

        watcher = threading.Thread(target=watch)
        asker.start()
        watcher.start()
        run = load(port, mode="events", batch=1000, connections=8, seconds=seconds,
                   ts_ms=START_MS, pace_ms=pace_ms)
        stop.set()
        asker.join()
        watcher.join()
        files = {p.name: p.stat().st_size >> 20 for p in pathlib.Path(data).iterdir()
                 if p.is_file()}
        say(f"{'paced' if pace_ms else 'as fast as it goes'}: {run['items_per_second']:.0f} events/s, acknowledgement p50 {run['p50_ms']:.1f} ms"
            f" p99 {run['p99_ms']:.1f} ms max {run['max_ms']:.0f} ms, refused {run['refused']},"
            f" errors {run['errors']}; backlog batches max {max(backlog, default=0):.0f}"
            f" last {backlog[-1] if backlog else 0:.0f};"
            f" {len(asked)} reports, median {statistics.median(asked or [0]):.1f} s; MiB {files}")


def report_ways(units, repeats, ways=None):
    """One run of report_bench; its printed table goes through, its figures come back."""
    with tempfile.NamedTemporaryFile(suffix=".json") as out:
        command = [BIN / "report_bench", "--units", str(units), "--repeats", str(repeats),
                   "--json", out.name]
        if ways:
            command += ["--ways", ",".join(ways)]
        subprocess.run(command, check=True)
        return json.load(open(out.name))["ways"]


def postgres(units, statement):
    """Seconds of the single statement in a private PostgreSQL 15 on a unix socket, or None."""
    bin_dir = pathlib.Path("/usr/lib/postgresql/15/bin")
    if not (bin_dir / "initdb").exists():
        # Not in script/deps: the package starts a server of its own.
        say("postgres     skipped: PostgreSQL 15 is not installed (apt-get install postgresql-15)")
        return None
    directory = pathlib.Path(tempfile.mkdtemp(prefix="fulcrum-bench-postgres-"))
    user = []
    if os.geteuid() == 0:  # The server refuses to run as root.
        user = ["runuser", "-u", "postgres", "--"]
        shutil.chown(directory, "postgres")
    data, socket = directory / "data", directory / "socket"
    quiet = {"stdout": subprocess.DEVNULL, "check": True, "cwd": "/"}

    def psql(sql, **options):
        return subprocess.run([*user, bin_dir / "psql", "-h", socket, "-U", "bench", "-d",
                               "postgres", "-qAt", "-v", "ON_ERROR_STOP=1", "-c", sql],
                              check=True, cwd="/", **options)

    try:
        file = directory / "bench.duckdb"
        subprocess.run([BIN / "report_bench", "keep", file, str(units)], check=True)
        subprocess.run([BIN / "report_bench", "csv", file, directory], check=True)
        os.chmod(directory, 0o755)
        subprocess.run([*user, "mkdir", socket], **quiet)
        subprocess.run([*user, bin_dir / "initdb", "-D", data, "-U", "bench", "-A", "trust"],
                       **quiet)
        # Two processes a query, and room to hash and sort, as on the other side.
        options = (f"-c listen_addresses= -c unix_socket_directories={socket} -c fsync=off"
                   " -c shared_buffers=1GB -c work_mem=1GB -c max_parallel_workers_per_gather=1"
                   " -c max_parallel_workers=1 -c jit=off")
        subprocess.run([*user, bin_dir / "pg_ctl", "-D", data, "-w", "-l", directory / "data/log",
                        "-o", options, "start"], **quiet)
        try:
            psql("CREATE TABLE sql_exposures(unit BIGINT, variant INTEGER, ts_ms BIGINT);"
                 "CREATE TABLE sql_events(unit BIGINT, name INTEGER, ts_ms BIGINT,"
                 " value DOUBLE PRECISION)")
            for table in ("exposures", "events"):
                psql(f"COPY sql_{table} FROM '{directory}/{table}.csv' (FORMAT csv)")
            psql("VACUUM ANALYZE sql_exposures")
            psql("VACUUM ANALYZE sql_events")
            seconds = []
            for _ in range(3):
                begin = time.monotonic()
                psql(statement, stdout=subprocess.DEVNULL)
                seconds.append(time.monotonic() - begin)
            return statistics.median(seconds)
        finally:
            subprocess.run([*user, bin_dir / "pg_ctl", "-D", data, "-m", "immediate", "stop"],
                           **quiet)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def ratios(ways, postgres_seconds):
    """The figures that the goals are in, from one run."""
    plan, floor = ways["plan"], ways["floor"]
    lines = [("against the hand-written loop", "at most 4x", plan["seconds"] / floor["seconds"]),
             ("faster than the single SQL", "at least 8x", ways["sql"]["seconds"] / plan["seconds"]),
             ("memory of the single SQL's", "at most 0.5", plan["peak_mb"] / ways["sql"]["peak_mb"]),
             ("faster than one SQL a metric, 6", "at least 20x",
              ways["sql_each"]["seconds"] / plan["seconds"]),
             ("faster than one SQL a metric, 20", "at least 40x",
              ways["sql_each_20"]["seconds"] / ways["plan_20"]["seconds"]),
             ("repeated after 1% more events", "at most 0.05",
              ways["repeated"]["seconds"] / ways["fresh"]["seconds"]),
             ("with a covariate and 3 slices", "at most 2x",
              ways["sliced"]["seconds"] / plan["seconds"])]
    if postgres_seconds:
        lines.append(("faster than PostgreSQL 15", "at least 60x", postgres_seconds / plan["seconds"]))
    for name, goal, value in lines:
        say(f"{name:34s} {value:7.3g}   (goal {goal})")


def bench_report():
    say("== report: against a hand-written loop, SQL in DuckDB and in PostgreSQL, on the same data")
    ways = report_ways(1_000_000, ROUNDS)
    statement = subprocess.run([BIN / "report_bench", "statement"], capture_output=True, text=True,
                               check=True).stdout
    seconds = postgres(1_000_000, statement)
    if seconds:
        say(f"postgres     {seconds:8.3f} s")
    ratios(ways, seconds)


GROWTH = {1_000_000: (5, "half a minute"), 10_000_000: (3, "6 minutes and 5 GB of disk"),
          50_000_000: (1, "15 minutes, 20 GB of disk and 12 GB of memory")}


def bench_growth():
    """1, 10 and 50 million units on one chart; sizes as arguments, all if none is given."""
    wanted = [int(float(a) * 1e6) for a in GROWTH_SIZES] or list(GROWTH)
    rows = {}
    for units in wanted:
        repeats, takes = GROWTH[units]
        say(f"== growth: {units // 1_000_000} million units; this takes about {takes}")
        # The statement over 250 million events does not fit beside the data.
        names = ["floor", "plan"] + (["sql"] if units <= 10_000_000 else [])
        rows[units] = report_ways(units, repeats, names)
    table = pathlib.Path("docs/images/growth.json")
    kept = json.loads(table.read_text()) if table.exists() else {}
    kept.update({str(units): {way: {k: round(v, 4) for k, v in of.items()}
                              for way, of in ways.items()} for units, ways in rows.items()})
    table.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n")
    pathlib.Path("docs/images/growth.svg").write_text(growth_svg(kept))
    say("wrote docs/images/growth.json and docs/images/growth.svg")


def growth_svg(figures):
    """Both axes logarithmic: what grows linearly is a straight line of slope one."""
    colours = {"floor": ("#666666", "hand-written loop"), "plan": ("#0b6e4f", "a plan, cold"),
               "sql": ("#b3541e", "one SQL statement")}
    left, top, width, height = 70, 30, 520, 300
    low, high = 1e-2, 1e2

    def x(units):
        return left + width * (math.log10(units) - 5.8) / 2.1

    def y(seconds):
        return top + height * (math.log10(high) - math.log10(seconds)) / math.log10(high / low)

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left + width + 150} '
           f'{top + height + 50}" font-family="sans-serif" font-size="12">',
           '<rect width="100%" height="100%" fill="white"/>']
    for decade in range(-2, 3):
        at = y(10.0 ** decade)
        out.append(f'<line x1="{left}" x2="{left + width}" y1="{at:.1f}" y2="{at:.1f}" '
                   'stroke="#dddddd"/>'
                   f'<text x="{left - 8}" y="{at + 4:.1f}" text-anchor="end">{10.0 ** decade:g} s</text>')
    for units in GROWTH:
        out.append(f'<text x="{x(units):.1f}" y="{top + height + 20}" text-anchor="middle">'
                   f'{units // 1_000_000} M units</text>')
    for way, (colour, name) in colours.items():
        points = [(x(int(units)), y(of[way]["seconds"]), of[way])
                  for units, of in sorted(figures.items(), key=lambda i: int(i[0])) if way in of]
        if not points:
            continue
        line = " ".join(f"{px:.1f},{py:.1f}" for px, py, _ in points)
        out.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for px, py, of in points:
            memory = "" if way == "floor" else f", {of['peak_mb'] / 1024:.1f} GB"
            out.append(f'<circle cx="{px:.1f}" cy="{py:.1f}" r="3.5" fill="{colour}"/>'
                       f'<text x="{px + 7:.1f}" y="{py + 14:.1f}" fill="{colour}" font-size="10">'
                       f"{of['seconds']:.2g} s{memory}</text>")
        out.append(f'<text x="{points[-1][0] + 12:.1f}" y="{points[-1][1] - 6:.1f}" '
                   f'fill="{colour}">{name}</text>')
    return "\n".join(out) + "\n</svg>\n"


def bench_sdk():
    say("== sdk: the C++ client beside core::Decide; WebAssembly beside the C library")
    subprocess.run([BIN / "client_bench", "--benchmark_repetitions=5",
                    "--benchmark_report_aggregates_only=true",
                    "--benchmark_enable_random_interleaving=true"], check=True)
    subprocess.run(["node", "bench/wasm_bench.mjs", BIN / "fulcrum.wasm", BIN / "vectors_bench"],
                   check=True)


def chart(rows, path):
    """Cost per (metric x arm x slice) as each of the three grows, as an SVG of three lines."""
    width, height, left, right, top, bottom = 720, 300, 60, 150, 30, 250
    series = {"metrics": [r for r in rows if r["arms"] == 3 and r["slices"] == 10],
              "arms": [r for r in rows if r["metrics"] == 20 and r["slices"] == 10],
              "slices": [r for r in rows if r["metrics"] == 20 and r["arms"] == 3]}
    cells = [r["metrics"] * r["arms"] * r["slices"] for r in rows]
    low, high = min(cells), max(cells)
    ceiling = 1.25 * max(r["us_each"] for r in rows)

    def x(row):
        at = math.log(row["metrics"] * row["arms"] * row["slices"] / low) / math.log(high / low)
        return left + at * (width - left - right)

    def y(micros):
        return bottom - micros / ceiling * (bottom - top)

    def text(at_x, at_y, words, anchor="middle"):
        return (f'<text x="{at_x:.1f}" y="{at_y:.1f}" font-size="12" text-anchor="{anchor}" '
                f'fill="#59626d">{words}</text>')

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
           'font-family="sans-serif">', f'<rect width="{width}" height="{height}" fill="#fff"/>',
           text(left, 16, "microseconds for each metric x arm x slice", "start"),
           text((left + width - right) / 2, height - 8, "metrics x arms x slices")]
    for step in range(5):
        micros = ceiling * step / 4
        out.append(f'<line x1="{left}" x2="{width - right}" y1="{y(micros):.1f}" '
                   f'y2="{y(micros):.1f}" stroke="#eceef1"/>')
        out.append(text(left - 8, y(micros) + 4, f"{micros:.0f}", "end"))
    for count in sorted(set(cells)):
        row = {"metrics": count, "arms": 1, "slices": 1}
        out.append(text(x(row), bottom + 18, f"{count:,}"))
    for index, (name, points) in enumerate(series.items()):
        colour = ("#2f6fdb", "#8b5cd6", "#0f8a8a")[index]
        points = sorted({x(p): p for p in points}.items())
        line = " ".join(f"{at:.1f},{y(p['us_each']):.1f}" for at, p in points)
        out.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        out += [f'<circle cx="{at:.1f}" cy="{y(p["us_each"]):.1f}" r="3.5" fill="{colour}"/>'
                for at, p in points]
        out.append(f'<rect x="{width - right + 14}" y="{top + 22 * index}" width="10" height="10" '
                   f'fill="{colour}"/>')
        out.append(text(width - right + 30, top + 9 + 22 * index, f"more {name}", "start"))
    pathlib.Path(path).write_text("\n".join(out) + "\n</svg>\n")


def bench_stats():
    say("== stats: a report's statistics from Gram matrices, 20 metrics x 3 arms x 10 slices")
    run = subprocess.run([BIN / "report_stats_bench"], capture_output=True, text=True, check=True)
    rows = [json.loads(line) for line in run.stdout.splitlines()]
    for row in rows:
        say(f"{row['correction']:12s} {row['metrics']:3d} metrics x {row['arms']} arms x {row['slices']:3d} slices:"
            f" {row['ms']:8.2f} ms, {row['us_each']:6.2f} us each")
    chart([row for row in rows if row["correction"] == "holm"], "docs/images/report-cost.svg")


def native_ns(benchmark, unit="ns"):
    """Processor time of one decide_bench case."""
    run = subprocess.run([BIN / "decide_bench", f"--benchmark_filter=^{benchmark}$",
                          "--benchmark_format=json"], capture_output=True, text=True, check=True)
    case = json.loads(run.stdout)["benchmarks"][0]
    assert case["time_unit"] == unit, case
    return case


def bench_others():
    say("== others: an evaluation beside JavaScript libraries that decide locally, 100 flags of two"
        " conditions and a draw; processor time, rounds in turn")
    rounds = {"native": [], "growthbook": [], "flagd": []}
    for _ in range(ROUNDS):
        rounds["native"].append(native_ns("Decide/100")["cpu_time"])
        for name in ("growthbook", "flagd"):
            run = subprocess.run(["node", "bench/sdk/sdk_bench.mjs", name], capture_output=True,
                                 text=True, check=True)
            rounds[name].append(json.loads(run.stdout)["ns"])
    native = statistics.median(rounds["native"])
    names = {"native": "Decide", "growthbook": "@growthbook/growthbook 1.8.0",
             "flagd": "@openfeature/flagd-core 4.0.1"}
    for name, ns in rounds.items():
        say(f"{names[name]:32} {statistics.median(ns):7.0f} ns ({min(ns):.0f} to {max(ns):.0f})"
            f"  {statistics.median(ns) / native:5.1f} x native")


def bench_reload():
    say("== reload: from a saved file (in place and moved over, in turn) to a long poll's answer")
    for experiments, count in ((0, 200), (1000, 40)):
        with tempfile.TemporaryDirectory(prefix="fulcrum-bench-") as parent:
            project = pathlib.Path(parent) / "shop"
            if experiments:
                reload.write_project(project, experiments)
            else:
                shutil.copytree("examples/shop", project)
            with fulcrum(project) as (port, _):
                took, size = reload.edits(port, project, count)
            took.sort()
            name = f"{experiments} experiments" if experiments else "the sample shop"
            say(f"{name:>16}, {count} edits: p50"
                f" {1000 * statistics.median(took):.0f} ms, p99"
                f" {1000 * took[math.ceil(0.99 * count) - 1]:.0f} ms, max {1000 * took[-1]:.0f} ms;"
                f" the snapshot is {size / 1000:.0f} kB")
    load_ms = [native_ns("Load/1000", "ms") for _ in range(ROUNDS)]
    say(f"a snapshot of 1,000 experiments ({load_ms[0]['bytes'] / 1000:.0f} kB) is loaded in"
        f" {median(load_ms, 'real_time'):.2f} ms")


BENCHES = {"decide": bench_decide, "others": bench_others, "reload": bench_reload,
           "ofrep": bench_ofrep, "ingest": bench_ingest, "report": bench_report,
           "stats": bench_stats, "sdk": bench_sdk,
           "growth": bench_growth}
GROWTH_SIZES = []  # Millions of units that were named after "growth".


def main():
    # growth takes long and much disk: only when it is named, as `growth 1 10`.
    names = sys.argv[1:] or [name for name in BENCHES if name != "growth"]
    if names[0] == "growth":
        GROWTH_SIZES.extend(names[1:])
        names = names[:1]
    unknown = [name for name in names if name not in BENCHES]
    if unknown:
        raise SystemExit(f"error: there is no benchmark '{unknown[0]}'; it is one of "
                         + ", ".join(BENCHES) + ".")
    for name in names:
        BENCHES[name]()


main()
