#!/bin/sh
# The story of the platform, told with curl: one binary, one folder, seven domains over HTTP.
#
# It builds and starts the server, a mail server and two small upstreams, all on ports of their own, walks
# through the story, checks every answer, and removes everything again. Run it from anywhere:
#
#     examples/story.sh
#
# With PLATFORM_BIN set, the binaries next to it are used and nothing is built.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
if [ -z "${PLATFORM_BIN:-}" ]; then
    (cd "$root" && cargo build --quiet --package platform-server --package test-support)
    PLATFORM_BIN=${CARGO_TARGET_DIR:-$root/target}/debug/platform
fi
bin=$(dirname "$PLATFORM_BIN")
work=$(mktemp -d)
started=
finish() {
    for process in $started; do kill "$process" 2>/dev/null || true; done
    wait
    rm -rf "$work"
}
trap finish EXIT INT TERM

say() { printf '\n== %s\n' "$*"; }
fail() { printf 'story: %s\n' "$*" >&2; [ ! -f "$work/server.log" ] || tail -n 20 "$work/server.log" >&2; exit 1; }

# begin NAME PROGRAM ARGUMENT...: starts a program and waits for "listening on ADDRESS", its address.
begin() {
    name=$1; shift
    "$@" >"$work/$name.out" 2>"$work/$name.log" &
    started="$started $!"
    patience=100
    until address=$(sed -n 's/^listening on //p' "$work/$name.out") && [ -n "$address" ]; do
        patience=$((patience - 1))
        [ $patience -gt 0 ] || fail "$name does not start: $(cat "$work/$name.log")"
        sleep 0.1
    done
}

# call METHOD PATH [BODY]: prints the body of the answer; the status must be one of 2xx. TOKEN signs in.
call() {
    set -- "$1" "$2" "${3:-}"
    status=$(curl --silent --show-error --output "$work/answer" --write-out '%{http_code}' \
        --request "$1" "$base$2" \
        ${TOKEN:+--header "Authorization: Bearer $TOKEN"} \
        ${3:+--header 'Content-Type: application/json' --data "$3"})
    case $status in 2??) cat "$work/answer" ;; *) fail "$1 $2 answers $status: $(cat "$work/answer")" ;; esac
}

# get FIELD METHOD PATH [BODY]: a field of the answer.
get() {
    name=$1; shift
    body=$(call "$@") || exit 1
    printf '%s' "$body" | field "$name"
}

# status METHOD PATH [BODY]: prints the status only.
status() {
    set -- "$1" "$2" "${3:-}"
    curl --silent --output /dev/null --write-out '%{http_code}' --request "$1" "$base$2" \
        ${TOKEN:+--header "Authorization: Bearer $TOKEN"} \
        ${3:+--header 'Content-Type: application/json' --data "$3"}
}

# field NAME: the first string (or number) of this name in the JSON on standard input.
field() { grep -o "\"$1\":\(\"[^\"]*\"\|[0-9]*\)" | head -n 1 | sed 's/^[^:]*://; s/^"//; s/"$//'; }

expect() { [ "$1" = "$2" ] || fail "expected $1, got $2"; printf '   %s\n' "$2"; }

say "A mail server, two upstreams, and the platform on an empty folder"
begin mail "$bin/mail-sink" 127.0.0.1:0 "$work/mail"
mail=$address
begin old "$bin/hello" 127.0.0.1:0 'the old shop'
old=$address
begin new "$bin/hello" 127.0.0.1:0 'the new shop'
new=$address
PLATFORM__NOTIFICATIONS__SMTP_URL=smtp://$mail PLATFORM__NOTIFICATIONS__FROM='Story <story@example.org>' \
    begin server "$PLATFORM_BIN" serve --data "$work/data" --listen 127.0.0.1:0
base=$address
setup_token=$(sed -n 's/^setup token: //p' "$work/server.out")
printf '   %s\n' "$base"

say "Set-up: the one-time token makes the first administrator"
TOKEN=
admin=$(get access_token POST /v1/setup "{\"token\":\"$setup_token\",\"email\":\"root@example.org\",\"password\":\"a long enough password\"}")
expect 409 "$(status POST /v1/setup "{\"token\":\"$setup_token\",\"email\":\"eve@example.org\",\"password\":\"a long enough password\"}")"

say "Ada registers; a mail welcomes her"
ada_id=$(get user_id POST /v1/auth/register '{"email":"ada@example.org","password":"correct horse battery","name":"Ada"}')
patience=100
until welcome=$(grep -l '^To: ada@example.org' "$work"/mail/*.eml 2>/dev/null); do
    patience=$((patience - 1))
    [ $patience -gt 0 ] || fail "no mail arrives"
    sleep 0.1
done
expect 'Subject: Welcome, Ada' "$(tr -d '\r' <"$welcome" | grep '^Subject: ')"

say "She signs in and completes her profile"
expect 401 "$(status POST /v1/auth/login '{"email":"ada@example.org","password":"wrong horse battery"}')"
ada=$(get access_token POST /v1/auth/login '{"email":"ada@example.org","password":"correct horse battery"}')
TOKEN=$ada
expect "$ada_id" "$(get id GET /v1/users/me)"
expect 'Ada Lovelace' "$(get name PATCH /v1/users/me '{"name":"Ada Lovelace"}')"

say "Moving money takes a permission; the administrator gives her a role"
expect 403 "$(status POST /v1/accounts '{"asset":"EUR"}')"
TOKEN=$admin
call PUT /v1/roles/teller '{"permissions":["ledger:accounts","ledger:transfer","ledger:read"],"includes":[]}' >"$work/role"
call PUT "/v1/users/$ada_id/roles/teller" >"$work/grant"
TOKEN=$ada

say "Two accounts, one with a floor; a transfer, and one that would break the floor"
bank=$(get id POST /v1/accounts '{"asset":"EUR","name":"bank"}')
purse=$(get id POST /v1/accounts '{"asset":"EUR","name":"purse","min_balance":"0.00"}')
call POST /v1/transfers "{\"debit_account\":\"$bank\",\"credit_account\":\"$purse\",\"asset\":\"EUR\",\"amount\":\"12.50\"}" >"$work/transfer"
expect 12.50 "$(get posted GET "/v1/accounts/$purse")"
expect -12.50 "$(get posted GET "/v1/accounts/$bank")"
expect 409 "$(status POST /v1/transfers "{\"debit_account\":\"$purse\",\"credit_account\":\"$bank\",\"asset\":\"EUR\",\"amount\":\"12.51\"}")"

say "A flag switches a route of the gateway, at once and back"
TOKEN=$admin
flag() { printf '{"state":"%s","variants":{"on":"on","off":"off"},"defaultVariant":"on"}' "$1"; }
call PUT /v1/flags/new-shop "$(flag DISABLED)" >"$work/flag"
call PUT /v1/gateway/routes/shop "{\"match\":{\"path\":\"/shop\"},\"access\":\"open\",\"target\":{\"upstreams\":[\"http://$old\"]},\"flag\":{\"key\":\"new-shop\",\"variants\":{\"on\":{\"upstreams\":[\"http://$new\"]}}}}" >"$work/route"
TOKEN=
expect 'the old shop' "$(call GET /shop)"
TOKEN=$admin
call PUT /v1/flags/new-shop "$(flag ENABLED)" >"$work/flag"
expect 'the new shop' "$(TOKEN='' call GET /shop)"
call POST /v1/flags/new-shop/kill >"$work/flag"
expect 'the old shop' "$(TOKEN='' call GET /shop)"

say "All of it is in the audit log, and provable"
patience=100
until index=$(get index GET "/v1/audit/events?subject=$ada_id&action=auth.account_registered") && [ -n "$index" ]; do
    patience=$((patience - 1))
    [ $patience -gt 0 ] || fail "the registration is not in the audit log"
    sleep 0.1
done
call GET "/v1/audit/events/$index/proof" >"$work/proof"
call GET /v1/audit/key
call GET /v1/audit/checkpoint
"$PLATFORM_BIN" --data "$work/data" audit verify

say "The end"
