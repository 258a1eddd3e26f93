-- The calls for wrk, and its figures as one line of JSON. After `--` on wrk's command line: series or thalamus.

-- Clients' keys that are in use at the same time: key-000 and on.
local KEYS = 16

local calls = {}
local sent = 0

local function series(key)
  local headers = {
    ["Content-Type"] = "application/json",
    ["Host"] = "api.series.hr",
    ["apikey"] = string.format("key-%03d", key),
  }
  return wrk.format("POST", "/tickets/10/status", headers, '{"status":"resolved","staffUserId":987654321}')
end

local function thalamus()
  local headers = {
    ["Content-Type"] = "application/json",
    ["Host"] = "cases.example.com",
    ["Thalamus-Token"] = "tok-123",
    ["Thalamus-Touchpoint"] = "web",
  }
  return wrk.format("PUT", "/api/v4/cases/10/transitions", headers, '{"statusName":"resolved"}')
end

function init(arguments)
  local call = arguments[1] == "series" and series or thalamus
  for key = 0, KEYS - 1 do
    calls[key + 1] = call(key)
  end
end

function request()
  sent = sent % KEYS + 1
  return calls[sent]
end

function done(summary)
  local errors = summary.errors
  local broken = errors.connect + errors.read + errors.write + errors.timeout
  io.write(string.format('{"requests":%d,"microseconds":%d,"errors":%d}\n',
    summary.requests, summary.duration, errors.status + broken))
end
