// An app made with Dapr's JavaScript SDK, server and client, both over PROTOCOL
// (http or grpc). What POST check asks for it does with the client; the answer
// lists what was not as it should be.
const assert = require("node:assert/strict");
const fs = require("node:fs");
const {
  CommunicationProtocolEnum, DaprClient, DaprPubSubStatusEnum, DaprServer, HttpMethod, StateConcurrencyEnum, StateConsistencyEnum,
} = require("@dapr/dapr");

const grpc = process.env.PROTOCOL === "grpc";
const communicationProtocol = grpc ? CommunicationProtocolEnum.GRPC : CommunicationProtocolEnum.HTTP;
const id = process.env.APP_ID;
const other = process.env.OTHER;
const patience = 30_000;

const server = new DaprServer({ serverPort: process.env.APP_PORT, communicationProtocol });
const client = new DaprClient({ communicationProtocol });

// What has arrived, by route.
const arrived = {};

function arrives(route, data, headers) {
  (arrived[route] ??= []).push({ data, headers });
}

// until waits until something is so.
async function until(what, ok) {
  for (const end = Date.now() + patience; ;) {
    const got = await ok();
    if (got) return got;
    if (Date.now() > end) throw new Error(`waited in vain for ${what}; arrived: ${JSON.stringify(arrived)}`);
    await new Promise((done) => setTimeout(done, 20));
  }
}

// next waits for what arrives on a route and takes it away.
const next = (route) => until(`something on ${route}`, () => arrived[route]?.shift());

async function serve() {
  const topic = (name) => `${id}-${name}`;
  await server.pubsub.subscribe("pubsub", topic("plain"), async (data, headers) => arrives("plain", data, headers));
  await server.pubsub.subscribe("pubsub", topic("raw"), async (data) => arrives("raw", data), "raw", { rawPayload: true });
  let tries = 0;
  await server.pubsub.subscribe("pubsub", topic("again"), async (data) => {
    if (++tries < 3) return DaprPubSubStatusEnum.RETRY;
    arrives("again", data);
  }, "again");
  await server.pubsub.subscribeWithOptions("pubsub", topic("dropped"), {
    route: "dropped", deadLetterTopic: topic("dead"), callback: async () => DaprPubSubStatusEnum.DROP,
  });
  await server.pubsub.subscribe("pubsub", topic("dead"), async (data) => arrives("dead", data), "dead");
  const routes = { rules: [{ match: "event.data.n > 5", path: "/big" }], default: "/small" };
  await server.pubsub.subscribeWithOptions("pubsub", topic("routed"), { route: routes });
  server.pubsub.subscribeToRoute("pubsub", topic("routed"), "big", async (data) => arrives("big", data));
  server.pubsub.subscribeToRoute("pubsub", topic("routed"), "small", async (data) => arrives("small", data));
  await server.pubsub.subscribeBulk("pubsub", topic("bulk"), async (data) => arrives("bulk", data), {
    route: "bulk", maxMessagesCount: 3, maxAwaitDurationMs: 500,
  });
  await server.binding.receive("tick", async () => arrives("tick", null));
  await server.invoker.listen("echo", async ({ body, query, metadata }) => ({ app: id, body, query, type: metadata?.contentType }), { method: HttpMethod.POST });
  await server.invoker.listen("hello", async ({ query }) => ({ hello: id, query }), { method: HttpMethod.GET });
  await server.invoker.listen("check", check, { method: HttpMethod.POST });
  await server.invoker.listen("bye", async () => { setImmediate(() => client.sidecar.shutdown()); }, { method: HttpMethod.POST });
  await server.start();
}

// fails wants an operation to fail. The SDK throws over gRPC what it returns over
// HTTP.
async function fails(operation) {
  const [outcome] = await Promise.allSettled([operation]);
  assert.ok(grpc ? outcome.status === "rejected" : outcome.value.error, "it succeeds");
}

const checks = {
  async state() {
    const store = client.state;
    assert.deepEqual(await store.save("statestore", [{ key: "a", value: { n: 1 } }, { key: "b", value: "text" }, { key: "c", value: 3 }]), {});
    assert.deepEqual(await store.get("statestore", "a", { consistency: StateConsistencyEnum.CONSISTENCY_STRONG }), { n: 1 });
    assert.equal(await store.get("statestore", "b"), "text");
    assert.equal(await store.get("statestore", "none"), "");
    const [a] = await store.getBulk("statestore", ["a"]);
    assert.deepEqual(a.data, { n: 1 });
    const first = { concurrency: StateConcurrencyEnum.CONCURRENCY_FIRST_WRITE, consistency: StateConsistencyEnum.CONSISTENCY_STRONG };
    assert.deepEqual(await store.save("statestore", [{ key: "a", value: { n: 2 }, etag: a.etag, options: first }]), {});
    await fails(store.save("statestore", [{ key: "a", value: { n: 3 }, etag: a.etag, options: first }]));
    await store.transaction("statestore", [
      { operation: "upsert", request: { key: "t", value: "t" } },
      { operation: "delete", request: { key: "b" } },
    ]);
    const bulk = await store.getBulk("statestore", ["a", "b", "t"], { parallelism: 2 });
    const values = Object.fromEntries(bulk.map((i) => [i.key, i.data || ""]));
    assert.deepEqual(values, { a: { n: 2 }, b: "", t: "t" });
    assert.deepEqual(await store.delete("statestore", "t"), {});
    assert.equal(await store.get("statestore", "t"), "");
    await store.save("statestore", [{ key: "short", value: "lived", metadata: { ttlInSeconds: "1" } }]);
    await until("the end of a key with a TTL", async () => (await store.get("statestore", "short")) === "");
    await fails(store.save("nostore", [{ key: "a", value: 1 }]));
  },

  async query() {
    const people = ["Ann", "Bob", "Cid"].map((name, n) => ({ key: name, metadata: { contentType: "application/json" }, value: { person: { name, team: `${id}-${n < 2 ? "one" : "two"}` } } }));
    assert.deepEqual(await client.state.save("people", people), {});
    const found = await client.state.query("people", {
      filter: { EQ: { "person.team": `${id}-one` } }, sort: [{ key: "person.name", order: "DESC" }], page: { limit: 10 },
    });
    const data = found.results.map((r) => (grpc ? JSON.parse(Buffer.from(r.data).toString()) : r.data));
    assert.deepEqual(data.map((d) => d.person.name), ["Bob", "Ann"]);
  },

  async pubsub() {
    const publish = async (topic, data, options) => assert.deepEqual(await client.pubsub.publish("pubsub", `${id}-${topic}`, data, options), {});
    await publish("plain", { n: 1 });
    assert.deepEqual((await next("plain")).data, { n: 1 });
    await publish("plain", "text");
    assert.equal((await next("plain")).data, "text");
    await publish("plain", { specversion: "1.0", id: "1", source: "mine", type: "t", datacontenttype: "application/json", data: { event: true } },
      { contentType: "application/cloudevents+json" });
    assert.deepEqual((await next("plain")).data, { event: true });
    await publish("raw", { raw: true }, { metadata: { rawPayload: "true" } });
    const raw = (await next("raw")).data;
    assert.deepEqual(raw, { raw: true });
    await publish("again", "third try");
    assert.equal((await next("again")).data, "third try");
    await publish("dropped", "gone");
    assert.equal((await next("dead")).data, "gone");
    await publish("routed", { n: 9 });
    assert.deepEqual((await next("big")).data, { n: 9 });
    await publish("routed", { n: 1 });
    assert.deepEqual((await next("small")).data, { n: 1 });
    const all = ["one", { two: 2 }, { entryID: "3", event: "three", contentType: "text/plain" }];
    assert.deepEqual(await client.pubsub.publishBulk("pubsub", `${id}-bulk`, all), { failedMessages: [] });
    const bulk = [await next("bulk"), await next("bulk"), await next("bulk")].map((m) => m.data);
    assert.deepEqual(new Set(bulk.map((d) => JSON.stringify(d))), new Set(['"one"', '{"two":2}', '"three"']));
    const failed = await client.pubsub.publishBulk("nobroker", "t", ["x"]);
    assert.equal(failed.failedMessages.length, 1);
    await fails(client.pubsub.publish("nobroker", "t", "x"));
  },

  async invocation() {
    const echo = await client.invoker.invoke(other, "echo", HttpMethod.POST, { hi: 1 });
    assert.equal(echo.app, other);
    assert.deepEqual(JSON.parse(echo.body), { hi: 1 });
    const hello = await client.invoker.invoke(other, "hello", HttpMethod.GET);
    assert.equal(hello.hello, other);
    await assert.rejects(client.invoker.invoke("nobody", "hello", HttpMethod.GET));
  },

  async bindings() {
    const fileName = `${id}.txt`;
    await client.binding.send("files", "create", "content", { fileName });
    const got = await client.binding.send("files", "get", "", { fileName });
    assert.equal(grpc ? Buffer.from(got.data).toString() : got, "content");
    await assert.rejects(client.binding.send("files", "dance", "x"));
    await next("tick");
  },

  async secrets() {
    assert.deepEqual(await client.secret.get("secrets", "db"), { db: "pw" });
    assert.deepEqual(await client.secret.getBulk("secrets"), { db: { db: "pw" } });
    await assert.rejects(client.secret.get("secrets", "hidden"));
    await assert.rejects(client.secret.get("nosecrets", "db"));
  },

  async configuration() {
    if (!grpc) { // the SDK has it over gRPC only
      await assert.rejects(client.configuration.get("settings", ["color"]));
      return;
    }
    const key = "color";
    const got = await client.configuration.get("settings", [key]);
    assert.equal(got.items[key].value, "blue");
    const seen = [];
    const stream = await client.configuration.subscribeWithKeys("settings", [key], async ({ items }) => { seen.push(items[key].value); });
    await until("the change of a value", () => {
      fs.writeFileSync("change", ""); // the test changes it while the file is there
      return seen.includes("red");
    });
    stream.stop();
  },

  async locks() {
    const resource = `${id}-r`;
    assert.equal((await client.lock.lock("locks", resource, "me", 60)).success, true);
    assert.equal((await client.lock.lock("locks", resource, "you", 60)).success, false);
    assert.equal((await client.lock.unlock("locks", resource, "you")).status, 2);
    assert.equal((await client.lock.unlock("locks", resource, "me")).status, 0);
    assert.equal((await client.lock.unlock("locks", resource, "me")).status, 1);
  },

  async metadata() {
    assert.equal(await client.metadata.set("mood", "good"), true);
    const md = await client.metadata.get();
    assert.equal(md.id, id);
    const names = md.components.map((c) => c.name).sort();
    assert.deepEqual(names, ["files", "locks", "people", "pubsub", "secrets", "settings", "statestore", "tick"]);
    assert.ok(md.components.find((c) => c.name === "statestore").capabilities.includes("ETAG"));
    if (!grpc) assert.equal(md.extended.mood, "good"); // over gRPC the SDK leaves it out
  },

  async health() {
    assert.equal(await client.health.isHealthy(), true);
    assert.equal(await client.daprClient.getIsInitialized(), true);
  },
};

// check runs all checks and lists those that failed.
async function check() {
  const wrong = [];
  for (const [name, one] of Object.entries(checks)) {
    try {
      await one();
    } catch (e) {
      wrong.push(`${name}: ${e.stack}`);
    }
  }
  return { wrong };
}

serve().catch((e) => {
  console.error(e);
  process.exit(1);
});
