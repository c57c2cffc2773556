# SPDX-License-Identifier: Apache-2.0
"""jetjobs from Python, with nothing but the NATS client nats-py.

    pip install nats-py       in a virtual environment
    python3 jobs.py [URL]     beside `jetjobs --config ../node/jetjobs.yaml up`

Not run by the tests; ../node does the same and is.
"""

import asyncio
import json
import re
import sys
import uuid
from datetime import datetime, timedelta, timezone

import nats


def checked(word):
    """Names and ids go into subjects, so what comes from outside is checked."""
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", word):
        raise ValueError(f"'{word}' is not 1 to 64 of A-Z a-z 0-9 _ -")
    return word


def rfc3339(time):
    return time.astimezone(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def job_headers(job_id):
    return {
        "Job-Id": checked(job_id),
        "Nats-Msg-Id": job_id,  # a publish that is repeated makes no second job
        "Job-Created-At": rfc3339(datetime.now(timezone.utc)),
        "Content-Type": "application/json",
    }


async def enqueue(js, name, data):
    """Store a job; its id, and the headers to ask with so that it is found."""
    job_id = str(uuid.uuid4())
    ack = await js.publish(f"jobs.enqueue.{checked(name)}", json.dumps(data).encode(),
                           headers=job_headers(job_id))
    return job_id, {"Jobs-Seq": str(ack.seq)}


async def schedule(js, name, data, run_at):
    job_id = str(uuid.uuid4())
    headers = job_headers(job_id) | {
        # The server's timer may be late: half a second early, and a mover holds it until then.
        "Nats-Schedule": f"@at {rfc3339(run_at - timedelta(milliseconds=500))}",
        "Nats-Schedule-Target": f"jobs.due.{checked(name)}",
        "Job-Run-At": rfc3339(run_at),
    }
    ack = await js.publish(f"jobs.schedule.{name}.{job_id}", json.dumps(data).encode(),
                           headers=headers)
    return job_id, {"Jobs-Schedule-Seq": str(ack.seq)}


async def ask(nc, what, request, headers):
    """Ask the index service: get, getByName, cancel, retry, logs, stats."""
    answer = await nc.request(f"jobs.{what}", json.dumps(request).encode(), headers=headers,
                              timeout=35)
    if answer.headers and "Nats-Service-Error" in answer.headers:
        raise RuntimeError(answer.headers["Nats-Service-Error"])
    return json.loads(answer.data)


async def main(url):
    nc = await nats.connect(url)
    js = nc.jetstream()

    async def greet(msg):  # the handler: a worker sends the jobs "greet" here
        try:
            name = json.loads(msg.data)["name"]
        except (ValueError, TypeError, KeyError):  # not JSON, not an object, or without it
            name = None
        if name is None:  # 4xx: trying again can't help; 5xx: it can
            await nc.publish(msg.reply, headers={"Nats-Service-Error-Code": "400",
                                                 "Nats-Service-Error": "nobody to greet"})
        else:
            await msg.respond(json.dumps({"greeting": f"hello, {name}"}).encode())

    async def show(msg):
        print("live:", json.loads(msg.data)["type"])

    await nc.subscribe("svc.greet", queue="handlers", cb=greet)
    await nc.subscribe("job.greet.*", cb=show)
    await nc.flush()

    job_id, after = await enqueue(js, "greet", {"name": "Ada"})
    print(await ask(nc, "get", {"id": job_id}, after | {"Jobs-Wait": "30000"}))

    job_id, after = await schedule(js, "greet", {"name": "Eve"},
                                   datetime.now(timezone.utc) + timedelta(hours=1))
    print(await ask(nc, "cancel", {"id": job_id}, after))

    # The stored events, in protobuf: protoc --python_out makes jetjobs_pb2 of broker/jetjobs.proto,
    # and EventBatch.FromString(msg.data) reads one.
    history = await js.subscribe("jobs.events.greet.*", stream="JOBS_EVENTS", ordered_consumer=True)
    msg = await history.next_msg(timeout=5)
    print("stored:", msg.subject, len(msg.data), "bytes")
    await nc.close()


asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "nats://127.0.0.1:4222"))
