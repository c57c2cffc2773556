// SPDX-License-Identifier: Apache-2.0

// What a client in JavaScript needs of the wire contract (broker/README.md): enqueue, schedule,
// ask, listen, read the history, and serve jobs. Copy it and take what you need.

import { randomUUID } from "node:crypto";
import { jetstream } from "@nats-io/jetstream";
import { headers } from "@nats-io/transport-node";
import protobuf from "protobufjs";

// Names and ids go into subjects, so what comes from outside is checked here.
function checked(word, what) {
  if (!/^[A-Za-z0-9_-]{1,64}$/.test(word))
    throw new Error(`${what} '${word}' is not 1 to 64 of A-Z a-z 0-9 _ -`);
  return word;
}

function jobHeaders(id, options) {
  const h = headers();
  h.set("Job-Id", checked(id, "id"));
  h.set("Nats-Msg-Id", id); // so that a publish can be repeated without making a second job
  h.set("Job-Created-At", new Date().toISOString());
  h.set("Content-Type", "application/json");
  if (options.maxAttempts !== undefined) h.set("Job-Max-Attempts", `${options.maxAttempts}`);
  return h;
}

// Hand a job to whichever worker is free. The promise is kept once the broker has stored it.
export async function enqueue(nc, name, data, options = {}) {
  const id = options.id ?? randomUUID();
  const ack = await jetstream(nc).publish(`jobs.enqueue.${checked(name, "name")}`,
    JSON.stringify(data), { headers: jobHeaders(id, options) });
  return { id, seq: ack.seq, duplicate: ack.duplicate };
}

// The same at a later time. The server's timer may be a quarter of a second late: so it gets half a
// second more, and a mover holds the job until Job-Run-At.
export async function schedule(nc, name, data, runAt, options = {}) {
  const id = options.id ?? randomUUID();
  const h = jobHeaders(id, options);
  h.set("Nats-Schedule", `@at ${new Date(runAt.getTime() - 500).toISOString()}`);
  h.set("Nats-Schedule-Target", `jobs.due.${checked(name, "name")}`);
  h.set("Job-Run-At", runAt.toISOString());
  const ack = await jetstream(nc).publish(`jobs.schedule.${name}.${id}`, JSON.stringify(data),
    { headers: h });
  return { id, scheduleSeq: ack.seq, duplicate: ack.duplicate };
}

// Ask the index service: what is "get", "getByName", "cancel", "retry", "logs" or "stats". With
// what enqueue() or schedule() returned as after, the answer knows of that job.
export async function ask(nc, what, request, after = {}) {
  const h = headers();
  if (after.seq !== undefined) h.set("Jobs-Seq", `${after.seq}`);
  if (after.scheduleSeq !== undefined) h.set("Jobs-Schedule-Seq", `${after.scheduleSeq}`);
  const answer = await nc.request(`jobs.${what}`, JSON.stringify(request),
    { headers: h, timeout: 5000 });
  const error = answer.headers?.get("Nats-Service-Error");
  if (error) throw new Error(`jobs.${what}: ${error}`);
  return answer.json();
}

// Live events, for as long as one listens: job.<type>, job.<name>.<type>, log.job.<id>, ...
export async function* live(nc, subject) {
  for await (const msg of nc.subscribe(subject)) yield msg.json();
}

// Stored events of a name, from the oldest that is kept. The type stands in the subject.
export async function* history(nc, name, proto) {
  const root = await protobuf.load(proto);
  const EventBatch = root.lookupType("jetjobs.v1.EventBatch");
  const consumer = await jetstream(nc).consumers.get("JOBS_EVENTS",
    { filter_subjects: `jobs.events.${checked(name, "name")}.*` });
  for await (const msg of await consumer.consume()) {
    const batch = EventBatch.toObject(EventBatch.decode(msg.data), { longs: Number });
    for (const event of batch.events ?? [])
      yield { type: msg.subject.split(".")[3], worker: batch.worker, ...event };
  }
}

// Throw this in a handler where trying again can't help.
export class Permanent extends Error {}

// Be the handler of jobs that a worker sends to this subject (`request:` in its configuration).
// Several processes may serve one subject: each job reaches one of them.
export function serve(nc, subject, handler) {
  nc.subscribe(subject, {
    queue: "handlers",
    callback: async (error, msg) => {
      if (error) throw error;
      try {
        const result = await handler(msg.data.length > 0 ? msg.json() : undefined, msg.headers);
        msg.respond(result === undefined ? "" : JSON.stringify(result));
      } catch (e) {
        const h = headers();
        h.set("Nats-Service-Error-Code", e instanceof Permanent ? "400" : "500");
        h.set("Nats-Service-Error", `${e.message ?? e}`.replace(/[\r\n]+/g, " "));
        msg.respond("", { headers: h });
      }
    },
  });
}
