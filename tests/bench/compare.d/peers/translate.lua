-- Series.hr to Thalamus and back, for the servers that speak Lua. Nothing in here knows which one.

local cjson = require "cjson.safe"

local translate = {}

-- Consumers' keys: those of the load and the one of the check.
local consumers = { ["key-probe"] = true }
for key = 0, 15 do
  consumers[string.format("key-%03d", key)] = true
end

local to_thalamus = { open = "open", ["in-progress"] = "in_progress", resolved = "resolved", closed = "closed" }
local to_series = { open = "open", in_progress = "in-progress", resolved = "resolved", closed = "closed" }

local function fault(code, message)
  return code, cjson.encode({ success = false, error = { code = code, message = message } })
end

-- Whether an upstream's error says this, under whatever name.
local function says(answer, word)
  if type(answer.errors) == "table" then
    for _, code in pairs(answer.errors) do
      if code == word then
        return true
      end
    end
  end
  return false
end

-- The upstream's body; or nil, the status and the body of a refusal.
function translate.request(key, text)
  if not consumers[key or ""] then
    return nil, fault(401, "Invalid API key")
  end
  local body = cjson.decode(text or "")
  if type(body) ~= "table" then
    return nil, fault(400, "Invalid JSON")
  end
  local status = to_thalamus[body.status]
  if not status then
    return nil, fault(400, "Invalid status. Must be one of: open, in-progress, resolved, closed")
  end
  if type(body.staffUserId) ~= "number" then
    return nil, fault(400, "staffUserId is required")
  end
  return cjson.encode({ statusName = status })
end

-- The status and the body that the client gets for the upstream's.
function translate.answer(status, text)
  local answer = cjson.decode(text or "")
  if type(answer) ~= "table" then
    return fault(502, "Bad answer of the upstream")
  end
  if status == 201 then
    local moved = to_series[answer.case.status]
    return 200, cjson.encode({ success = true, data = { message = "Status changed to " .. moved } })
  end
  if status == 400 and says(answer, "invalidId") then
    return fault(404, "Ticket not found")
  end
  if status == 400 then
    return fault(400, "The status cannot be changed")
  end
  return fault(502, "Bad answer of the upstream")
end

return translate
