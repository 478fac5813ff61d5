# SPDX-License-Identifier: Apache-2.0
"""From a saved file to a client that waits: how long until a long poll of /v1/snapshot answers with
the edit; and what a snapshot of many experiments weighs. Used by bench/run.py."""

import http.client
import os
import pathlib
import shutil
import threading
import time

EXPERIMENT = """experiment: experiment-{i}
title: Experiment {i}
hypothesis: Fewer steps lose fewer people.
owner: team {owner}
salt: experiment-{i}-2026
unit: user
audience:
  channel: [search, organic]
  app_version: {{gte: 2.{minor}.0}}
variants:
  control: {{weight: 50, control: true, value: three-page}}
  treatment: {{weight: 50, value: one-page}}
schedule: {{start: 2026-03-02T00:00:00+08:00, end: 2026-12-30T00:00:00+08:00}}
ramp: [{{after: 0d, percent: 10}}, {{after: 2d, percent: 100}}]
primary: [pay_rate]
"""


def write_project(directory, experiments):
    """The sample shop's project with this many experiments instead of its own."""
    shutil.copytree("examples/shop", directory)
    folder = pathlib.Path(directory) / "experiments"
    for path in folder.iterdir():
        path.unlink()
    for i in range(experiments):
        (folder / f"experiment-{i:04}.yaml").write_text(
            EXPERIMENT.format(i=i, owner=i % 7, minor=i % 20))


class LongPoll:
    """A client that waits for the next snapshot on one connection."""

    def __init__(self, port):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self.etag, self.body = self.get("/v1/snapshot", None)

    def get(self, path, etag):
        headers = {} if etag is None else {"If-None-Match": etag}
        self.connection.request("GET", path, headers=headers)
        answer = self.connection.getresponse()
        body = answer.read()
        return answer.headers["ETag"], body

    def wait(self, arrived):
        etag, body = self.get("/v1/snapshot?wait=30", self.etag)
        if etag == self.etag:
            raise SystemExit("error: an edit was not seen within 30 s.")
        self.etag, self.body = etag, body
        arrived.append(time.monotonic())


def save(path, text, in_place):
    """As editors do: over the old file, or beside it and then moved over it."""
    target = path if in_place else path.with_suffix(".new")
    with open(target, "w", encoding="utf-8") as file:
        file.write(text)
    if not in_place:
        os.replace(target, path)


def edits(port, directory, count):
    """Seconds from each saved edit to the long poll's answer."""
    poll = LongPoll(port)
    path = sorted((pathlib.Path(directory) / "experiments").glob("*.yaml"))[0]
    text = path.read_text(encoding="utf-8")
    took = []
    for i in range(count):
        arrived = []
        waiting = threading.Thread(target=poll.wait, args=(arrived,))
        waiting.start()
        time.sleep(0.05 + 0.013 * (i % 17))  # At no fixed place within whatever looks regularly.
        save(path, f"{text}# edit {i}\n", in_place=i % 2 == 0)
        saved = time.monotonic()
        waiting.join()
        took.append(arrived[0] - saved)
    return took, len(poll.body)
