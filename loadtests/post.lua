-- Post one body over and over, or several in turn, and print one line of JSON at the end of the load.
-- Usage: wrk --latency -s post.lua URL -- BODY_FILE [JSON_BYTES]
-- BODY_FILE: a body. Without JSON_BYTES, each line is a body.
-- JSON_BYTES: how many of the body's bytes are its JSON header, if binary tensors follow it.

function init(args)
  local file = assert(io.open(args[1], "rb"), "Name a readable body file after '--'.")
  wrk.method = "POST"
  wrk.body = file:read("*a")
  file:close()
  if args[2] then
    wrk.headers["Content-Type"] = "application/octet-stream"
    wrk.headers["Inference-Header-Content-Length"] = args[2]
  else
    wrk.headers["Content-Type"] = "application/json"
    post_in_turn(wrk.body)
  end
end

function post_in_turn(lines)
  local prepared, last = {}, 0
  for line in lines:gmatch("[^\n]+") do
    table.insert(prepared, wrk.format(nil, nil, nil, line))
  end
  if #prepared > 1 then
    function request()
      last = last % #prepared + 1
      return prepared[last]
    end
  end
end

function done(summary, latency, requests)
  local errors = summary.errors
  print(string.format(
    '{"requests":%d,"duration_us":%d,"p50_us":%d,"p90_us":%d,"p99_us":%d,"max_us":%d,' ..
    '"failures":{"connect":%d,"read":%d,"write":%d,"timeout":%d,"status":%d}}',
    summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(90), latency:percentile(99), latency.max,
    errors.connect, errors.read, errors.write, errors.timeout, errors.status
  ))
end
