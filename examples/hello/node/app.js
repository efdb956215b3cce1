// The service: keeps what is posted to /neworder and shows it at /order.
const http = require("node:http");

const sidecar = `http://127.0.0.1:${process.env.DAPR_HTTP_PORT ?? 3500}`;
const headers = { "content-type": "application/json" };
if (process.env.DAPR_API_TOKEN) headers["dapr-api-token"] = process.env.DAPR_API_TOKEN;

async function post(path, value) {
  const reply = await fetch(sidecar + path, { method: "POST", headers, body: JSON.stringify(value) });
  if (!reply.ok) throw new Error(`${reply.status}: ${await reply.text()}`);
}

async function answer(request) {
  if (request.method === "POST" && request.url === "/neworder") {
    let text = "";
    for await (const part of request) text += part;
    const { data } = JSON.parse(text);
    await post("/v1.0/state/statestore", [{ key: "order", value: data }]);
    await post("/v1.0/publish/pubsub/kept", data);
    console.log(`kept order ${data.orderId}`);
    return [200, ""];
  }
  if (request.method === "GET" && request.url === "/order") {
    const reply = await fetch(`${sidecar}/v1.0/state/statestore/order`, { headers });
    return [reply.status, await reply.text()];
  }
  return [404, ""];
}

const server = http.createServer(async (request, response) => {
  try {
    const [status, text] = await answer(request);
    response.writeHead(status, { "content-type": "application/json" }).end(text);
  } catch (error) {
    response.writeHead(500).end(String(error));
  }
});
server.listen(process.env.APP_PORT ?? 3000, "127.0.0.1");
process.on("SIGTERM", () => server.close(() => process.exit(0)));
