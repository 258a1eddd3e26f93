-- The translator in nginx: the client's call is answered by a subrequest to the upstream.

local translate = require "translate"

local translator = {}

local function send(status, body)
  ngx.status = status
  ngx.header["Content-Type"] = "application/json"
  ngx.header["Content-Length"] = #body
  ngx.print(body)
end

function translator.change_status()
  ngx.req.read_body()
  local body, status, refusal = translate.request(ngx.var.http_apikey, ngx.req.get_body_data())
  if not body then
    return send(status, refusal)
  end
  local answer = ngx.location.capture("/thalamus/" .. ngx.var.ticket, { method = ngx.HTTP_PUT, body = body })
  send(translate.answer(answer.status, answer.body))
end

return translator
