-- What HAProxy does not bring: the buckets of rollout.route, and an end when its parent ends.
-- haproxy.py writes plan.map, starts HAProxy in the same folder and speaks to it over its runtime socket.

-- BLAKE2b (RFC 7693) with a digest of 8 bytes and no key, as hashlib.blake2b(text, digest_size=8).
local IV = {
  0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
  0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179,
}
local SIGMA = {
  { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 },
  { 14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3 },
  { 11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4 },
  { 7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8 },
  { 9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13 },
  { 2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9 },
  { 12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11 },
  { 13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10 },
  { 6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5 },
  { 10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0 },
}
local WORDS = "<" .. ("i8"):rep(16)

local function mix(v, a, b, c, d, x, y)
  local va, vb, vc, vd = v[a] + v[b] + x, v[b], v[c], v[d]
  vd = vd ~ va
  vd = vd >> 32 | vd << 32
  vc = vc + vd
  vb = vb ~ vc
  vb = vb >> 24 | vb << 40
  va = va + vb + y
  vd = vd ~ va
  vd = vd >> 16 | vd << 48
  vc = vc + vd
  vb = vb ~ vc
  vb = vb >> 63 | vb << 1
  v[a], v[b], v[c], v[d] = va, vb, vc, vd
end

local function compress(h, block, count, last)
  local m, v = { WORDS:unpack(block) }, {}
  for i = 1, 8 do
    v[i], v[i + 8] = h[i], IV[i]
  end
  v[13] = v[13] ~ count
  if last then
    v[15] = ~v[15]
  end
  for round = 0, 11 do
    local s = SIGMA[round % 10 + 1]
    mix(v, 1, 5, 9, 13, m[s[1] + 1], m[s[2] + 1])
    mix(v, 2, 6, 10, 14, m[s[3] + 1], m[s[4] + 1])
    mix(v, 3, 7, 11, 15, m[s[5] + 1], m[s[6] + 1])
    mix(v, 4, 8, 12, 16, m[s[7] + 1], m[s[8] + 1])
    mix(v, 1, 6, 11, 16, m[s[9] + 1], m[s[10] + 1])
    mix(v, 2, 7, 12, 13, m[s[11] + 1], m[s[12] + 1])
    mix(v, 3, 8, 9, 14, m[s[13] + 1], m[s[14] + 1])
    mix(v, 4, 5, 10, 15, m[s[15] + 1], m[s[16] + 1])
  end
  for i = 1, 8 do
    h[i] = h[i] ~ v[i] ~ v[i + 8]
  end
end

local function blake2b_8(text)
  local h = { table.unpack(IV) }
  h[1] = h[1] ~ 0x01010008
  local at = 0
  while #text - at > 128 do
    compress(h, text:sub(at + 1, at + 128), at + 128, false)
    at = at + 128
  end
  local rest = text:sub(at + 1)
  compress(h, rest .. ("\0"):rep(128 - #rest), #text, true)
  return (">I8"):unpack(("<i8"):pack(h[1]))
end

-- the plan: one value of one key, so that a request sees the old one or the new one, whole
local plans, seen, plan = Map.new("plan.map", Map._str), nil, nil

local function current()
  local text = plans:lookup("plan")
  if text ~= seen then
    local generation, share, stable, canary, draining, salt =
      text:match("^([^,]+),([^,]+),([^,]+),([^,]*),([^,]*),([^,]*)$")
    plan = {
      generation = generation,
      share = tonumber(share),
      stable = stable,
      canary = canary,
      draining = {},
      salt = salt:gsub("..", function(pair) return string.char(tonumber(pair, 16)) end),
    }
    for name in draining:gmatch("[^/]+") do
      plan.draining[name] = true
    end
    seen = text
  end
  return plan
end

local function is_name(text)
  return #text <= 64 and text:find("^[A-Za-z0-9._:-]+$") ~= nil
end

-- the versions in the order of the config: a request id ends with the place of the version that answers it
local versions = {}
for name in os.getenv("MLPROD_VERSIONS"):gmatch("%S+") do
  versions[#versions + 1] = name
  versions[name] = #versions
end

local function choose(txn, version)
  txn:set_var("txn.version", version)
  txn:set_var("txn.place", tostring(versions[version]))
end

core.register_action("route", { "http-req" }, function(txn)
  local now = current()
  local user, chosen = txn.sf:req_fhdr("x-user-id"), now.stable
  if user and is_name(user) then
    txn:set_var("txn.user", user)
    local place = (blake2b_8(now.salt .. ":" .. user) >> 12) / 2.0 ^ 52
    if now.canary ~= "" and place < now.share then
      chosen = now.canary
    end
  end
  if now.draining[chosen] then
    chosen = chosen == now.stable and now.canary or now.stable
  end
  choose(txn, chosen)
  txn:set_var("txn.plan", now.generation)
end, 0)

-- a label goes to the version that its request's id names
core.register_action("route_label", { "http-req" }, function(txn)
  local place = (txn.sf:req_body() or ""):match('"request_id"%s*:%s*"%x+%-%d+%-(%d+)[."]')
  local version = versions[tonumber(place)]
  if version then
    choose(txn, version)
  end
end, 0)

-- the parent keeps one end of a connection: when it is gone, so is HAProxy
core.register_task(function()
  local parent = core.tcp()
  parent:settimeout(86400)
  if parent:connect("unix@parent.sock") then
    parent:receive("*l")
  end
  os.exit(4)
end)

core.register_task(function()
  core.msleep(math.ceil(1000 * tonumber(os.getenv("MLPROD_LIFETIME_S"))))
  os.exit(5)
end)
