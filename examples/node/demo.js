// SPDX-License-Identifier: Apache-2.0

// jetjobs from JavaScript: enqueue, schedule, listen, cancel, ask, read the history, and be the
// handler of the jobs, which a worker of jetjobs sends here.
//
//     jetjobs --config examples/node/jetjobs.yaml up &
//     cd examples/node && npm ci
//     node demo.js [URL]

import { connect } from "@nats-io/transport-node";
import { ask, enqueue, history, live, Permanent, schedule, serve } from "./jobs.js";

const proto = new URL("../../broker/jetjobs.proto", import.meta.url).pathname;
const nc = await connect({ servers: process.argv[2] ?? "nats://127.0.0.1:4222" });

const isEnd = (event) => ["completed", "failed", "cancelled"].includes(event.type);

// Each job fails once, to show a retry, and for good where there is nobody to greet.
serve(nc, "svc.greet", (data, headers) => {
  if (typeof data?.name !== "string") throw new Permanent("nobody to greet");
  if (headers.get("Job-Attempt") === "1") throw new Error("not in the mood");
  return { greeting: `hello, ${data.name}` };
});

// By job id: a promise of the job's last event, whoever comes first, that event or who waits for it.
const ends = new Map();
function end(id) {
  if (!ends.has(id)) {
    let resolve;
    const promise = new Promise((r) => (resolve = r));
    ends.set(id, { promise, resolve });
  }
  return ends.get(id);
}

(async () => {
  for await (const event of live(nc, "job.greet.*")) {
    console.log(`live: ${event.type}${event.error ? `: ${event.error}` : ""}`);
    if (isEnd(event)) end(event.jobId).resolve(event);
  }
})();
await nc.flush(); // from here on the server passes on every event

const first = await enqueue(nc, "greet", { name: "Ada" }, { maxAttempts: 5 });
console.log("completed:", JSON.stringify((await end(first.id).promise).result));

const again = await enqueue(nc, "greet", { name: "Ada" }, { id: first.id });
console.log("enqueued twice:", again.duplicate ? "a duplicate" : "a second job");

const second = await enqueue(nc, "greet", {});
console.log("failed:", (await end(second.id).promise).error);

const runAt = new Date(Date.now() + 1500);
const third = await schedule(nc, "greet", { name: "Bob" }, runAt);
console.log("scheduled:", (await ask(nc, "get", { id: third.id }, third)).status);
console.log("completed:", JSON.stringify((await end(third.id).promise).result));
const job = await ask(nc, "get", { id: third.id }, third);
console.log("started in time:", new Date(job.startedAt) >= runAt, "attempts:", job.attempts);

const fourth = await schedule(nc, "greet", { name: "Eve" }, new Date(Date.now() + 3600_000));
console.log("cancel:", JSON.stringify(await ask(nc, "cancel", { id: fourth.id }, fourth)));
console.log("now:", (await ask(nc, "get", { id: fourth.id }, fourth)).status);

const ids = new Map([[first.id, "1st"], [second.id, "2nd"], [third.id, "3rd"], [fourth.id, "4th"]]);
let left = 4;
for await (const event of history(nc, "greet", proto)) {
  if (!ids.has(event.id)) continue; // of another run
  console.log(`stored: ${ids.get(event.id)} ${event.type}`, event.result?.toString() ?? "");
  if (isEnd(event) && --left === 0) break;
}
await nc.close();
