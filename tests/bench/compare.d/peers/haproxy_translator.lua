-- The translator in HAProxy: a service that calls the upstream with HAProxy's own client.

local translate = require "translate"

local UPSTREAM = "http://127.0.0.1:@UPSTREAM@/api/v4/cases/%s/transitions"

local headers = {
  ["content-type"] = { "application/json" },
  ["thalamus-token"] = { "tok-123" },
  ["thalamus-touchpoint"] = { "web" },
}

local function send(applet, status, body)
  applet:set_status(status)
  applet:add_header("content-type", "application/json")
  applet:add_header("content-length", tostring(#body))
  applet:start_response()
  applet:send(body)
end

core.register_service("change_status", "http", function(applet)
  local ticket = string.match(applet.path, "^/tickets/([^/]+)/status$")
  if not ticket then
    return send(applet, 404, '{"success":false,"error":{"code":404,"message":"Not found"}}')
  end
  local key = applet.headers["apikey"]
  local body, status, refusal = translate.request(key and key[0], applet:receive())
  if not body then
    return send(applet, status, refusal)
  end
  local url = string.format(UPSTREAM, ticket)
  local answer = core.httpclient():put({ url = url, headers = headers, body = body })
  send(applet, translate.answer(answer.status, answer.body))
end)
